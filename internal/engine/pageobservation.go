package engine

import (
	"cmp"

	"github.com/stackscope/stackscope/internal/engine/runtimes"
)

// pageObservation is what a page shows of the process that wrote it.
type pageObservation struct {
	runtime string
	runtimes.Reading
	model string // in the labels; empty if the model was known
}

// observePage reads a page, and the model's label if the model is not known. It does not hold e.mu meanwhile, because a large page takes a
// while and Status must not wait.
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

// runtimeNamed is runtimes.ByName with a cache of the last result. The caller holds e.mu.
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
