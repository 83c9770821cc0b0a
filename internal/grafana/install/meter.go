package install

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Stage is a part of the work.
type Stage string

// The stages, in the order in which they come.
const (
	StageWait   Stage = "wait"   // Text says for what
	StageFetch  Stage = "fetch"  // Done of Total bytes
	StageRetry  Stage = "retry"  // Text says why
	StageVerify Stage = "verify" // Done of Total bytes
	StageUnpack Stage = "unpack" // Done of Total bytes of the archive
	StageSync   Stage = "sync"   // the disk is waited for
)

// Event says how far the work is. A Total of 0 is not known.
type Event struct {
	Stage       Stage
	Done, Total int64
	Text        string
}

const (
	barWidth  = 16
	redraw    = 100 * time.Millisecond
	plainStep = 10 // percent
	// rateWindow is over how long the rate is averaged.
	rateWindow = 5 * time.Second
)

// Meter shows events to a person: a bar on a terminal, else a line for each tenth of the download.
type Meter struct {
	w        io.Writer
	terminal bool

	stage   Stage
	drawn   time.Time
	open    bool // a bar stands on the last line
	next    int64
	samples []sample // of the fetch, oldest first
}

type sample struct {
	at   time.Time
	done int64
}

// NewMeter returns a meter that writes to w.
func NewMeter(w io.Writer, terminal bool) *Meter { return &Meter{w: w, terminal: terminal} }

// Report shows an event.
func (m *Meter) Report(e Event) {
	if e.Text != "" {
		m.Close()
		fmt.Fprintln(m.w, e.Text)
		m.samples, m.stage = nil, "" // a download begins again
		return
	}
	if e.Stage != m.stage {
		m.stage, m.drawn, m.next = e.Stage, time.Time{}, plainStep
		if e.Stage == StageFetch && e.Total > 0 && !m.terminal {
			m.next = (e.Done*100/e.Total/plainStep + 1) * plainStep
		}
		if !m.terminal && e.Stage != StageFetch {
			fmt.Fprintln(m.w, e.Stage.verb())
		}
	}
	if m.terminal {
		m.bar(e)
	} else if e.Stage == StageFetch {
		m.line(e)
	}
}

// Close ends the line of a bar.
func (m *Meter) Close() {
	if m.open {
		fmt.Fprintln(m.w)
		m.open = false
	}
}

func (s Stage) verb() string {
	switch s {
	case StageFetch:
		return "fetching"
	case StageVerify:
		return "checking"
	case StageUnpack:
		return "unpacking"
	}
	return "waiting for the disk"
}

func (m *Meter) bar(e Event) {
	now := time.Now()
	rate := m.rate(e, now)
	if now.Sub(m.drawn) < redraw && (e.Done < e.Total || e.Total == 0) {
		return
	}
	m.drawn, m.open = now, true
	line := e.Stage.verb()
	if e.Total > 0 {
		full := int(e.Done * barWidth / e.Total)
		line = fmt.Sprintf("%-9s [%s%s] %3d%%", line, strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), e.Done*100/e.Total)
	}
	if e.Stage == StageFetch {
		line += " " + m.amounts(e, rate)
	}
	fmt.Fprintf(m.w, "\r\x1b[K%s", line)
}

// line writes each tenth, or each 32 MB when the size is not known.
func (m *Meter) line(e Event) {
	rate := m.rate(e, time.Now())
	if e.Total == 0 {
		if mark := e.Done / (32 << 20); mark >= m.next/plainStep {
			m.next = (mark + 1) * plainStep
			fmt.Fprintf(m.w, "fetched %s\n", m.amounts(e, rate))
		}
		return
	}
	if percent := e.Done * 100 / e.Total; percent >= m.next {
		m.next = (percent/plainStep + 1) * plainStep
		fmt.Fprintf(m.w, "fetched %3d%% %s\n", percent, m.amounts(e, rate))
	}
}

func (m *Meter) amounts(e Event, rate float64) string {
	s := megabytes(e.Done)
	if e.Total > 0 {
		s += " of " + megabytes(e.Total)
	}
	if rate <= 0 {
		return s
	}
	s += fmt.Sprintf(", %.1f MB/s", rate/1e6)
	if left := e.Total - e.Done; left > 0 {
		s += ", " + time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second).String() + " left"
	}
	return s
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// rate returns the bytes a second of the last moments; 0 when there is nothing to tell yet.
func (m *Meter) rate(e Event, now time.Time) float64 {
	if e.Stage != StageFetch {
		return 0
	}
	if n := len(m.samples); n == 0 || now.Sub(m.samples[n-1].at) >= redraw {
		m.samples = append(m.samples, sample{now, e.Done})
	}
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > rateWindow {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	span := now.Sub(first.at).Seconds()
	if span < redraw.Seconds() || e.Done < first.done {
		return 0
	}
	return float64(e.Done-first.done) / span
}
