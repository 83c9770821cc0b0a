package main

import (
	"fmt"
	"io"
	"time"
)

const (
	transferStep  = 10 * time.Second
	transferDrawn = 200 * time.Millisecond
)

// transfer counts what is read, shows it to a person, and bounds its rate.
type transfer struct {
	w        io.Writer
	verb     string
	total    int64 // 0: not known
	silent   bool
	terminal bool
	rate     int64 // bytes a second; 0: not bounded

	done  int64
	began time.Time
	shown time.Time
	open  bool // a line of the terminal is not ended
}

func newTransfer(w io.Writer, verb string, total int64) *transfer {
	now := time.Now()
	return &transfer{w: w, verb: verb, total: total, terminal: isTerminal(w), began: now, shown: now}
}

// count returns a reader that counts what is read of r.
func (t *transfer) count(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) { return t.read(r, p) })
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (t *transfer) read(r io.Reader, p []byte) (int, error) {
	if t.rate > 0 { // no more than a second's worth, for the sleep below
		p = p[:min(int64(len(p)), t.rate)]
	}
	n, err := r.Read(p)
	t.done += int64(n)
	now := time.Now()
	if t.rate > 0 {
		due := t.began.Add(time.Duration(float64(t.done) / float64(t.rate) * float64(time.Second)))
		time.Sleep(min(due.Sub(now), time.Second))
	}
	step := transferStep
	if t.terminal {
		step = transferDrawn
	}
	if !t.silent && now.Sub(t.shown) >= step {
		t.shown = now
		t.show()
	}
	return n, err
}

func (t *transfer) show() {
	text := fmt.Sprintf("%s %s", t.verb, mebibytes(t.done))
	if t.total > 0 {
		text = fmt.Sprintf("%s of %s (%d%%)", text, mebibytes(t.total), t.done*100/t.total)
	}
	if t.terminal {
		fmt.Fprintf(t.w, "\r\x1b[K%s", text)
		t.open = true
		return
	}
	fmt.Fprintln(t.w, text)
}

// end removes the line of a terminal.
func (t *transfer) end() {
	if t.open {
		_, _ = fmt.Fprint(t.w, "\r\x1b[K")
		t.open = false
	}
}
