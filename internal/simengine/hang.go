package simengine

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// Hang is how a simulated engine hangs: its process lives and its health check succeeds, but it makes no progress.
type Hang int

const (
	// NotHung is an engine that works.
	NotHung Hang = iota
	// HangShown still shows its requests.
	HangShown
	// HangHidden shows none, as engines do whose scheduler died with them.
	HangHidden
	// HangSilent does not answer for its metrics page any more.
	HangSilent
)

// hangNames returns the names of the Hangs in their order.
func hangNames() []string { return []string{"none", "shown", "hidden", "silent"} }

// SetHang makes the engine hang from now on, or work again. While it hangs, its requests stay and its counters stand still. Afterwards it
// continues from there.
func (e *Engine) SetHang(w Hang) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.hang == NotHung && w != NotHung:
		e.hungAt = e.catchUp()
	case e.hang != NotHung && w == NotHung:
		e.skip(e.time() - e.hungAt)
	}
	e.hang = w
	switch {
	case w == HangSilent && e.silent == nil:
		e.silent = make(chan struct{})
	case w != HangSilent && e.silent != nil:
		close(e.silent)
		e.silent = nil
	}
}

// SetIdle stops new requests, or lets them come again. Running requests are finished.
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

// awaitAnswering waits until the engine answers and reports false if ctx ended first.
func (e *Engine) awaitAnswering(ctx context.Context) bool {
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

// hideRequests removes the requests from the simulation and returns a function that puts them back.
func (e *Engine) hideRequests() func() {
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
// hang=none, shown, hidden or silent and idle=true or false.
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
	case "hang":
		for i, known := range hangNames() {
			if known == value {
				e.SetHang(Hang(i))
				return nil
			}
		}
		return fmt.Errorf("hang=%q: use one of %s", value, strings.Join(hangNames(), ", "))
	case "idle":
		if value != "true" && value != "false" {
			return fmt.Errorf("idle=%q: use true or false", value)
		}
		e.SetIdle(value == "true")
		return nil
	}
	return fmt.Errorf("%q is no setting: use hang or idle", name)
}
