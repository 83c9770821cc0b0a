package engine

import (
	"cmp"

	"github.com/stackscope/stackscope/internal/engine/runtimes"
)

// pageObservation is what a page tells about the process that wrote it.
type pageObservation struct {
	runtime string
	runtimes.Reading
	model string // in the labels, if it was looked for
}

// observePage looks on a page for what tells one process from the next, and for the model if that is not known. A large page takes a
// while, and whoever asks how the engine is does not wait for it.
func (e *Engine) observePage(page []byte) pageObservation {
	e.mu.Lock()
	known, ok := e.runtimeNamed(e.status.Runtime)
	before, labelled := e.status.Runtime, e.modelLabel
	e.mu.Unlock()
	s := pageObservation{runtime: e.declared.Runtime}
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

// runtimeNamed finds a runtime by its name and remembers the last one: each page asks for the same.
func (e *Engine) runtimeNamed(name string) (runtimes.Runtime, bool) {
	if e.runtime.Name == "" || e.runtime.Name != name {
		r, ok := runtimes.ByName(name)
		if !ok {
			return runtimes.Runtime{}, false
		}
		e.runtime = r
	}
	return e.runtime, true
}
