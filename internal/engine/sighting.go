package engine

import (
	"cmp"
	"math"

	"github.com/stackscope/stackscope/internal/engine/runtimes"
)

// startTolerance is by how much one process' start time may differ between two pages, in seconds.
const startTolerance = 2.0

// sighting is what a page tells about the process that wrote it.
type sighting struct {
	runtime string
	runtimes.Reading
	model string // in the labels, if it was looked for
}

// sight looks on a page for what tells one process from the next, and for the model if that is not known. A large page takes a
// while, and whoever asks how the engine is does not wait for it.
func (e *Engine) sight(page []byte) sighting {
	e.mu.Lock()
	known, ok := e.kind(e.status.Runtime)
	before, labelled := e.status.Runtime, e.labelled
	e.mu.Unlock()
	s := sighting{runtime: e.declared.Runtime}
	if s.runtime == "" {
		if ok && known.Wrote(page) {
			s.runtime = known.Name
		} else {
			s.runtime = runtimes.Recognise(page)
		}
	}
	r := known
	if name := cmp.Or(s.runtime, before); name != known.Name {
		r, _ = runtimes.ByName(name)
	}
	s.Reading = r.Read(page)
	if labelled == "" {
		s.model = r.ModelLabel(page)
	}
	return s
}

// restarted reports whether the page was written by another process than the page before: one with another start time or,
// where pages have none, one whose counters fell or that took the place of one that was down.
func (e *Engine) restarted(now sighting) bool {
	if now.runtime != "" && e.last.runtime != "" && now.runtime != e.last.runtime {
		return true
	}
	if now.Start > 0 && e.last.Start > 0 {
		return math.Abs(now.Start-e.last.Start) > startTolerance
	}
	const rounding = 1e-9
	return e.refused || now.RestartCounters < e.last.RestartCounters*(1-rounding)
}

// kind finds a runtime by its name and remembers the last one: each page asks for the same.
func (e *Engine) kind(name string) (runtimes.Runtime, bool) {
	if e.runtime.Name == "" || e.runtime.Name != name {
		r, ok := runtimes.ByName(name)
		if !ok {
			return runtimes.Runtime{}, false
		}
		e.runtime = r
	}
	return e.runtime, true
}
