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
	// adapters are the LoRA adapters that the page tells of, if it names other models than the page before.
	adapters map[string]bool
	lack     runtimes.Lack
}

// observePage reads a page, and the model's label if the model is not known. It does not hold e.mu meanwhile, because a large page takes a
// while and Status must not wait.
func (e *Engine) observePage(page []byte) pageObservation {
	e.mu.Lock()
	known, ok := e.runtimeNamed(e.status.Runtime)
	before, labelled, models := e.status.Runtime, e.modelLabel, e.models.onPage
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
	s.Reading, s.lack = r.ReadAfter(page, models), r.Lack(page)
	if len(s.Models) > 1 && !sameNames(s.Models, models) {
		s.adapters = runtimes.Adapters(page)
	}
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
