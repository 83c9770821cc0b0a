// Package simengine plays the HTTP surface of inference engines under a plausible load, for demonstrations and tests.
//
// Behind each page is a small simulation of a continuously batching engine: requests come by the hour of the day and in
// bursts, wait for batch slots and KV cache, share prefixes, are preempted, aborted, cut off. All figures of a page follow
// from that one course of events, so they agree with one another as a real engine's do. The course depends on the seed
// alone: two engines of equal options show the same bytes at the same moment, whoever looked before.
//
// A Group is a router with prefill and decode engines, on one course of events. Its Truth is what its users have seen; its pages are what
// each part of it counts.
package simengine

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Bounds of what is simulated.
const (
	// MaxHistory is how far before Now load may begin.
	MaxHistory = 24 * time.Hour
	// MaxRanks bounds the ranks of an engine.
	MaxRanks = 16
	// MaxCatchUp is the longest time between two looks that is simulated. Of a longer one (a machine that slept) the rest
	// passes without requests.
	MaxCatchUp = time.Hour
)

// Options say what to play.
type Options struct {
	// Profile is one of Profiles.
	Profile string
	// Model is the served model's name, by default the profile's own. MindIE may serve two: "a,b".
	Model string
	// Ranks is the number of data-parallel ranks, each with a scheduler and users of its own, at most MaxRanks; 0 is 1. Only vLLM
	// has several.
	Ranks int
	// Seed decides about everything that is left to chance.
	Seed uint64
	// Start is when load began, at most MaxHistory before Now. Zero is now: an engine that was just started.
	Start time.Time
	// LoadAt is the time of day and week at which the users are when load begins, by default Start. With one that is fixed, a
	// run is repeated whenever it begins.
	LoadAt time.Time
	// Now tells the time, by default time.Now.
	Now func() time.Time
	// Speed is how many simulated seconds pass in one of Now's, at most 600; 0 is 1.
	Speed float64
	// Idle: no users come before SetIdle(false).
	Idle bool
	// Gateway is what all requests come through; nil: users ask the engine itself.
	Gateway *Gateway
}

// Engine is one simulated engine. Its methods may be called concurrently.
type Engine struct {
	timeline
	models     []string
	modelLabel string

	mu      sync.Mutex
	sim     *sim   // the first rank
	ranks   []*sim // all of them
	fresh   func(rank, life int) *sim
	life    int     // restarts so far
	begun   float64 // simulated time of the latest
	skipped float64 // simulated seconds that passed without being simulated
	hang    Hang
	hungAt  float64       // simulated time at which it hung
	silent  chan struct{} // open while pages are not answered; nil: they are

	group      *Group // that simulates it; nil: it does so itself
	role       string // in the group
	schedulers int    // of a data-parallel rank that write the same values to an SGLang page; 0: one
}

// New returns an engine of the profile. It simulates what happened between Start and now: an hour takes some 50 ms.
func New(o Options) (*Engine, error) {
	p, err := profileOf(o.Profile)
	if err != nil {
		return nil, err
	}
	line, err := newTimeline(o.Now, o.Start, o.Speed)
	if err != nil {
		return nil, err
	}
	if o.LoadAt.IsZero() {
		o.LoadAt = line.start
	}
	models := strings.Split(o.Model, ",")
	if o.Model == "" {
		models = []string{p.model}
	}
	switch {
	case o.Ranks < 0 || o.Ranks > MaxRanks || o.Ranks > 1 && p.kind != ProfileVLLM:
		return nil, fmt.Errorf("simulated engine with %d ranks: use 1, or up to %d with vLLM", o.Ranks, MaxRanks)
	case len(models) > 1 && p.kind != ProfileMindIE:
		return nil, fmt.Errorf("simulated engine model %q: profile %s serves one model, only %s serves several", o.Model, o.Profile, ProfileMindIE)
	}
	e := &Engine{
		timeline: line,
		models:   models, modelLabel: strings.Join(models, " & "),
	}
	e.fresh = func(rank, life int) *sim {
		s := newSim(p, o.LoadAt, o.Seed^uint64(rank)<<32^uint64(life)<<48)
		if o.Gateway != nil {
			s.onEnd = func(r *request, why reason, now float64) { o.Gateway.finished(models[0], r, why, now) }
		}
		return s
	}
	for rank := range max(1, o.Ranks) {
		s := e.fresh(rank, 0)
		if o.Idle {
			s.load.close()
		}
		s.advance(line.base)
		e.ranks = append(e.ranks, s)
	}
	e.sim = e.ranks[0]
	if o.Gateway != nil {
		o.Gateway.join(e)
	}
	return e, nil
}

// time returns the simulated time of this moment. The caller holds e.mu.
func (e *Engine) time() float64 {
	return e.elapsed() - e.skipped
}

// skip lets seconds pass without simulating them.
func (e *Engine) skip(seconds float64) {
	e.skipped += seconds
	for _, s := range e.ranks {
		s.load.second += seconds
	}
}

// catchUp brings the simulation to the present and returns its time. The caller holds e.mu.
func (e *Engine) catchUp() float64 {
	if e.hang != NotHung {
		return e.hungAt
	}
	t := e.time()
	if behind := t - e.sim.clock - MaxCatchUp.Seconds(); behind > 0 {
		e.skip(behind)
		t -= behind
	}
	for _, s := range e.ranks {
		s.advance(t)
	}
	return t
}

// Burst lets n requests arrive at once, at most 10,000.
func (e *Engine) Burst(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.catchUp()
	for i := range min(n, 10_000) {
		s := e.ranks[i%len(e.ranks)]
		s.arrive(max(t, s.clock))
	}
}

// Restart ends the engine's process and begins a new one: what was running is lost and counters begin anew. The new
// process does not hang.
func (e *Engine) Restart() {
	e.SetHang(NotHung)
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.catchUp()
	e.life++
	for i, old := range e.ranks {
		old.lose()
		s := e.fresh(i, e.life)
		s.clock, s.st.window.since, s.load.second = t, t, old.load.second
		if s.load.open(t); old.load.closed() {
			s.load.close()
		}
		e.ranks[i] = s
	}
	e.sim, e.begun = e.ranks[0], t
}

// page returns the metrics page of this moment.
func (e *Engine) page() []byte {
	if e.group != nil {
		e.group.mu.Lock()
		defer e.group.mu.Unlock()
		e.group.catchUp()
		return e.render()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.catchUp()
	if e.hang == HangHidden {
		defer e.hideRequests()()
	}
	return e.render()
}

// render writes the metrics page of the simulation as it stands.
func (e *Engine) render() []byte {
	switch e.sim.p.kind {
	case ProfileSGLang:
		return e.renderSGLang()
	case ProfileMindIE:
		return e.renderMindIE()
	}
	return e.renderVLLM()
}

// born returns when the engine's process began, in Unix seconds.
func (e *Engine) born() float64 { return float64(e.start.UnixMicro())/1e6 + e.begun }
