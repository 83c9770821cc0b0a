package simengine

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// Wedge is how a simulated engine is stuck: alive, healthy, and without progress.
type Wedge int

const (
	// Works is an engine that is not stuck.
	Works Wedge = iota
	// WedgeShown shows the requests that are stuck in it.
	WedgeShown
	// WedgeHidden shows none, as engines do whose scheduler died with them.
	WedgeHidden
	// WedgeSilent does not answer for its metrics page any more.
	WedgeSilent
)

// wedges are the names of Wedge.
func wedges() []string { return []string{"works", "shown", "hidden", "silent"} }

// SetWedge gets the engine stuck from this moment on, or free again. While it is stuck nothing happens in it: what was
// running stays, counters stand still. Afterwards it goes on from where it was.
func (e *Engine) SetWedge(w Wedge) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.wedge == Works && w != Works:
		e.stuckAt = e.catchUp()
	case e.wedge != Works && w == Works:
		e.skip(e.time() - e.stuckAt)
	}
	e.wedge = w
	switch {
	case w == WedgeSilent && e.silent == nil:
		e.silent = make(chan struct{})
	case w != WedgeSilent && e.silent != nil:
		close(e.silent)
		e.silent = nil
	}
}

// SetIdle lets nobody send requests any more, or people come again. What runs is finished.
func (e *Engine) SetIdle(idle bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.catchUp()
	for _, s := range e.ranks {
		switch {
		case idle:
			s.load.close()
		case s.load.closed():
			s.load.open(max(t, s.clock))
		}
	}
}

// speaks waits as long as the engine does not answer and reports whether it does then.
func (e *Engine) speaks(ctx context.Context) bool {
	e.mu.Lock()
	silent := e.silent
	e.mu.Unlock()
	if silent == nil {
		return true
	}
	select {
	case <-silent:
		return true
	case <-ctx.Done():
		return false
	}
}

// hide takes the requests out of sight and returns what brings them back.
func (e *Engine) hide() func() {
	type requests struct{ running, waiting, swapped []*request }
	hidden := make([]requests, len(e.ranks))
	for i, s := range e.ranks {
		hidden[i] = requests{s.running, s.waiting, s.swapped}
		s.running, s.waiting, s.swapped = nil, nil, nil
	}
	return func() {
		for i, s := range e.ranks {
			s.running, s.waiting, s.swapped = hidden[i].running, hidden[i].waiting, hidden[i].swapped
		}
	}
}

// Controlled serves what Handler does and, for tests that run the engine in a process of its own, POST /simulation with
// wedge=works, shown, hidden or silent and idle=true or false.
func (e *Engine) Controlled() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", e.Handler())
	mux.HandleFunc("POST /simulation", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		for name, values := range query {
			if err := e.control(name, values[0]); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (e *Engine) control(name, value string) error {
	switch name {
	case "wedge":
		for i, known := range wedges() {
			if known == value {
				e.SetWedge(Wedge(i))
				return nil
			}
		}
		return fmt.Errorf("wedge=%q: use one of %s", value, strings.Join(wedges(), ", "))
	case "idle":
		if value != "true" && value != "false" {
			return fmt.Errorf("idle=%q: use true or false", value)
		}
		e.SetIdle(value == "true")
		return nil
	}
	return fmt.Errorf("%q is no setting: use wedge or idle", name)
}
