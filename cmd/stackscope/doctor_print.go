package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/access"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/wire"
)

// Widths of what the doctor prints, in columns.
const (
	doctorWidth = 100 // where the screen's is not known, or more
	labelWidth  = 6   // What, Seen, Do, Docs
	hopWidth    = 11
	tookWidth   = 7
	// marginWidth is what stands before a hop's name: the mark of the first broken one, and the hop's own.
	marginWidth = 6
)

// doctorPage collects what is printed.
type doctorPage struct {
	strings.Builder
	screen terminal.Screen
	width  int
}

func newDoctorPage(s terminal.Screen) *doctorPage {
	width := s.Width
	if width <= 0 || width > doctorWidth {
		width = doctorWidth
	}
	return &doctorPage{screen: s, width: max(40, width)}
}

func (p *doctorPage) flush() error {
	_, err := io.WriteString(p.screen, p.String())
	return err
}

// paragraph writes text in lines behind a first part of indent columns.
func (p *doctorPage) paragraph(first string, indent int, style terminal.Style, text string) {
	for i, line := range terminal.Lines(text, p.width-indent) {
		if i > 0 {
			first = strings.Repeat(" ", indent)
		}
		p.WriteString(strings.TrimRight(first+p.screen.Paint(style, line), " ") + "\n")
	}
}

// printDoctor writes the answer of a doctor for people.
func printDoctor(s terminal.Screen, d *wire.Doctor) error {
	p := newDoctorPage(s)
	style := terminal.Strong
	if d.OK {
		style = terminal.Good
	}
	p.paragraph("", 0, style, d.Summary)
	for i := range d.Findings {
		p.finding(&d.Findings[i])
	}
	var whole []string
	for i := range d.Paths {
		if way := &d.Paths[i]; d.Subject.Kind == wire.DoctorFleet && everyHopOK(way) {
			whole = append(whole, wayName(way))
			continue
		}
		p.path(&d.Paths[i])
	}
	if len(whole) > 0 {
		p.WriteByte('\n')
		p.paragraph("  "+p.screen.Paint(terminal.Good, "ok")+"  ", marginWidth, terminal.Plain, "every hop of "+strings.Join(whole, "; "))
	}
	if d.PathsLeftOut > 0 {
		p.paragraph("\n", 0, terminal.Faint, fmt.Sprintf("%d more ways were not walked: name an instance or a worker to see its own.", d.PathsLeftOut))
	}
	return p.flush()
}

func severityStyle(severity string) terminal.Style {
	switch severity {
	case wire.FindingError:
		return terminal.Bad
	case wire.FindingWarning:
		return terminal.Warning
	}
	return terminal.Plain
}

func (p *doctorPage) finding(f *wire.DoctorFinding) {
	about := f.Subject.Kind
	if f.Subject.Name != "" {
		about += " " + f.Subject.Name
	}
	if f.Hop != "" {
		about += ", at " + hopName(f.Hop)
	}
	p.WriteByte('\n')
	title := strings.ToUpper(f.Severity)
	p.paragraph(p.screen.Paint(severityStyle(f.Severity), title)+"  ", len(title)+2, terminal.Strong, f.ID+"  "+about)
	docs := f.Docs
	if docs != "" && !strings.Contains(docs, "://") {
		docs = "docs/" + strings.TrimPrefix(docs, "docs/")
	}
	for _, line := range []struct{ label, text string }{{"What", f.What}, {"Seen", f.Seen}, {"Do", f.Do}, {"Docs", docs}} {
		if line.text != "" {
			p.paragraph(fmt.Sprintf("  %-*s", labelWidth, line.label), 2+labelWidth, terminal.Plain, line.text)
		}
	}
}

func everyHopOK(way *wire.DoctorPath) bool {
	return !slices.ContainsFunc(way.Hops, func(h wire.DoctorHop) bool { return h.State != wire.HopOK })
}

func wayName(way *wire.DoctorPath) string {
	name := "worker " + way.WorkerName
	if way.InstanceName != "" {
		name = "instance " + way.InstanceName + " on " + name
	}
	if way.Metric != "" {
		name = way.Metric + " of " + name
	}
	return name
}

func (p *doctorPage) path(way *wire.DoctorPath) {
	p.WriteByte('\n')
	p.paragraph("", 0, terminal.Strong, "The way of "+wayName(way))
	p.hops(way.Hops)
}

func (p *doctorPage) hops(hops []wire.DoctorHop) {
	first := true
	for i := range hops {
		h := &hops[i]
		mark, style := hopMark(h.State)
		before, text := "  ", terminal.Plain
		if h.State == wire.HopBroken && first {
			before, text, first = "> ", style, false
		}
		// Colours have no width, so the columns are filled by hand.
		head := p.screen.Paint(style, before+mark) + strings.Repeat(" ", marginWidth-len(before)-len(mark)) +
			p.screen.Paint(text, fmt.Sprintf("%-*s", hopWidth, hopName(h.Hop))) + "  " + fmt.Sprintf("%*s", tookWidth, took(h.Seconds)) + "  "
		seen := h.Seen
		if len(h.Findings) > 0 {
			seen += " (" + strings.Join(h.Findings, ", ") + ")"
		}
		p.paragraph(head, marginWidth+hopWidth+tookWidth+4, text, seen)
	}
}

func hopName(hop string) string { return strings.ReplaceAll(hop, "_", " ") }

func hopMark(state string) (mark string, style terminal.Style) {
	switch state {
	case wire.HopOK:
		return "ok", terminal.Good
	case wire.HopWarning:
		return "!", terminal.Warning
	case wire.HopBroken:
		return "x", terminal.Bad
	}
	return "?", terminal.Faint
}

// took is a time in a few characters, such as 3 ms and 1.5 s; empty: it was not measured.
func took(seconds *float64) string {
	switch {
	case seconds == nil:
		return ""
	case *seconds < 0.0005:
		return "<1 ms"
	case *seconds < 0.9995:
		return strconv.FormatFloat(*seconds*1000, 'f', 0, 64) + " ms"
	case *seconds < 99:
		return strconv.FormatFloat(*seconds, 'f', 1, 64) + " s"
	}
	return time.Duration(*seconds * float64(time.Second)).Round(time.Second).String()
}

// printReach writes how far a request to a server comes.
func printReach(s terminal.Screen, r *reach) error {
	p := newDoctorPage(s)
	p.paragraph("", 0, terminal.Strong, "The server at "+r.Server+" cannot be asked")
	p.hops(r.Steps)
	p.paragraph(fmt.Sprintf("  %-*s", labelWidth, "Do"), 2+labelWidth, terminal.Plain, r.Do)
	p.WriteByte('\n')
	w := r.Worker
	if w == nil {
		p.paragraph("", 0, terminal.Faint, "No worker answers on this machine, at port "+workerMetricsPort+" or the one of "+workerMetricsPortEnv+".")
		return p.flush()
	}
	p.paragraph("", 0, terminal.Strong, "The worker on this machine, "+w.URL)
	line := func(label, text string) {
		p.paragraph(fmt.Sprintf("  %-*s  ", hopWidth, label), 4+hopWidth, terminal.Plain, text)
	}
	if w.Error != "" {
		line("page", w.Error)
		return p.flush()
	}
	line("version", w.Version)
	line("page", "made in "+took(&w.Seconds))
	if w.Generation != nil {
		line("mapping", fmt.Sprintf("generation %d is applied", *w.Generation))
	}
	line("engines", engineCount(w))
	if len(w.Failing) > 0 {
		line("collectors", "these fail: "+strings.Join(w.Failing, ", ")+"; its log says why")
	}
	for i, id := range w.Missing {
		label := "not seen"
		if i > 0 {
			label = ""
		}
		k := access.Of(id)
		if k == nil {
			line(label, id)
			continue
		}
		line(label, k.ID+": "+k.Unseen+". "+k.Lost)
		line("", k.Grant)
	}
	return p.flush()
}

func engineCount(w *localWorker) string {
	text := fmt.Sprintf("%d are read", w.Engines-len(w.Unread))
	if len(w.Unread) > 0 {
		text += fmt.Sprintf(", %d are not: %s", len(w.Unread), strings.Join(w.Unread, ", "))
	}
	return text
}
