package exporter

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// tracked is what is kept about an engine from scrape to scrape.
type tracked struct {
	engine    Engine
	maxSeries int // of a page
	newSeries int // in an hour; 0: not bounded
	room      *room
	users     *translate.Users

	mu      sync.Mutex
	flight  *flight // under way, or nil
	results []*translate.Result
	sources []source
	totals  totals
	// What was new, nil where no page was looked at.
	unifiedGrowth, nativeGrowth *translate.SeriesLimiter
	churning                    churning
	faulty                      bool // its last page had lines that cannot be read
	gone                        bool
}

// flight is one fetch of an engine's page, shared by all scrapes that overlap with it. The page lives until the last of them
// lets go. Of the two locks, mu is taken first.
type flight struct {
	tracked  *tracked
	deadline time.Time
	done     chan struct{}

	// Set before done is closed.
	page     Page
	instance Instance
	took     time.Duration
	err      error

	// Guarded by tracked.mu: who may look at what the page became, and who still needs the page itself.
	refs, readers int

	mu       sync.Mutex
	variants []variant
	raw      []rawVariant
	counted  bool
}

// variant is the page translated under one mapping with one set of labels.
type variant struct {
	compiled *mapping.Compiled
	source   *translate.Source
	result   *translate.Result
	stats    translate.Stats
	// Of the families that count for coverage: those that the page feeds, and all.
	fed, countable int
}

// rawVariant is the page's own families with one set of labels: all of them or, with a mapping, those that it does not take.
type rawVariant struct {
	unmappedBy *mapping.Compiled
	source     *translate.Source
	raw        *translate.Raw
}

// leastFetch is what a fetch may take however little time the scrape has that began it, which need not wait for it: else one
// with a millisecond would make an engine look dead.
const leastFetch = 2 * time.Second

var errStillFetching = errors.New("the engine's page did not come before the scrape's deadline")

// board joins the fetch under way or begins one, and waits for it until deadline. On success the caller must call release.
// A fetch that somebody with less time began and that failed for want of it is tried again.
func (t *tracked) board(deadline time.Time) (*flight, error) {
	for {
		f, joined := t.join(deadline)
		if err := f.wait(deadline); err != nil {
			f.hasRead()
			f.release()
			return nil, err
		}
		if f.err == nil {
			return f, nil
		}
		err := f.err
		cutShort := joined && !time.Now().Before(f.deadline)
		f.hasRead()
		f.release()
		if !cutShort || !time.Now().Before(deadline) {
			return nil, err
		}
	}
}

func (t *tracked) join(deadline time.Time) (f *flight, joined bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f = t.flight; f != nil {
		f.refs++
		f.readers++
		return f, true
	}
	if soonest := time.Now().Add(leastFetch); deadline.Before(soonest) {
		deadline = soonest
	}
	f = &flight{tracked: t, deadline: deadline, done: make(chan struct{}), refs: 2, readers: 2}
	t.flight = f
	go f.fetch()
	return f, false
}

func (f *flight) fetch() {
	ctx, cancel := context.WithDeadline(context.Background(), f.deadline)
	defer cancel()
	start := time.Now()
	f.page, f.err = f.tracked.engine.Fetch(ctx)
	f.instance = f.tracked.engine.Instance()
	f.took = time.Since(start)
	f.tracked.land()
	close(f.done)
	f.hasRead()
	f.release()
}

// land makes the next scrape begin a fetch of its own.
func (t *tracked) land() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flight = nil
}

func (f *flight) wait(deadline time.Time) error {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-f.done:
		return nil
	case <-timer.C:
		return errStillFetching
	}
}

// hasRead says that one of the scrapes needs the page no more. The last one gives the page's memory back: others may wait for
// it.
func (f *flight) hasRead() {
	t := f.tracked
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.readers--; f.readers > 0 {
		return
	}
	if f.err == nil && f.page.Release != nil {
		f.page.Release()
		f.page = Page{}
	}
}

// release lets go of the flight. The last one leaves the memory of what the page became to the next flights.
func (f *flight) release() {
	t := f.tracked
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.refs--; f.refs > 0 {
		return
	}
	for _, v := range f.variants {
		if t.gone || len(t.results) == maxSpare {
			t.room.give(v.result.Trim())
			continue
		}
		t.results = append(t.results, v.result)
	}
	for _, v := range f.raw {
		// Those who look at native families seldom come again soon.
		t.room.give(v.raw.Trim())
	}
}

// forget gives back what is kept for the next flights of an engine that is gone.
func (t *tracked) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone = true
	for _, r := range t.results {
		t.room.give(r.Trim())
	}
	t.results = nil
}

// trim gives back what is kept for the next flights, if it is more than a usual page needs.
func (t *tracked) trim() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.results {
		if r.Granted() > 0 {
			t.room.give(r.Trim())
		}
	}
}

// maxSpare bounds the translations whose memory is kept for the next scrapes of an engine: one with and one without cluster
// labels.
const maxSpare = 2

// spare returns the memory of an earlier translation, the one that was made with the same labels if it is there.
func (t *tracked) spare(src *translate.Source) *translate.Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.results)
	if n == 0 {
		return &translate.Result{MaxSamples: t.maxSeries, More: t.room.take, Users: t.users}
	}
	i := max(0, slices.IndexFunc(t.results, func(r *translate.Result) bool { return r.Source() == src }))
	r := t.results[i]
	t.results = slices.Delete(t.results, i, i+1)
	return r
}

// unified translates the page, or returns the translation that another scrape made of it. count is called with the first one of
// this page, whose counts are the ones to add up, before another scrape gets it.
func (f *flight) unified(compiled *mapping.Compiled, src *translate.Source, count func(variant)) variant {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.variants {
		if v.compiled == compiled && v.source == src {
			return v
		}
	}
	r := f.tracked.spare(src)
	r.Limiter = f.tracked.growth(false, f.instance.Gateway)
	plan := compiled.Plan(f.instance.Runtime, f.instance.Version)
	stats := r.Translate(f.page.Body, translate.DetectFormat(f.page.ContentType, f.page.Body), plan, src)
	v := variant{compiled: compiled, source: src, result: r, stats: stats}
	v.fed, v.countable = r.Coverage(plan)
	f.variants = append(f.variants, v)
	if !f.counted {
		f.counted = true
		count(v)
	}
	return v
}

// native adds the instance's labels to the page's own families: to all or, with a mapping, to those that it does not take. count is
// called with the first one of this page, before another scrape gets it.
func (f *flight) native(unmappedBy *mapping.Compiled, src *translate.Source, count func(*translate.Raw)) *translate.Raw {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.raw {
		if v.unmappedBy == unmappedBy && v.source == src {
			return v.raw
		}
	}
	r := &translate.Raw{MaxSamples: f.tracked.maxSeries, More: f.tracked.room.take, Limiter: f.tracked.growth(true, f.instance.Gateway)}
	format := translate.DetectFormat(f.page.ContentType, f.page.Body)
	if unmappedBy == nil {
		r.Collect(f.page.Body, format, src)
	} else {
		r.CollectUnmapped(f.page.Body, format, src, unmappedBy.Plan(f.instance.Runtime, f.instance.Version))
	}
	f.raw = append(f.raw, rawVariant{unmappedBy, src, r})
	if len(f.raw) == 1 {
		count(r)
	}
	return r
}
