package exporter

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// tracked is what is kept about an engine from scrape to scrape.
type tracked struct {
	engine    Engine
	maxSeries int // of a page

	mu      sync.Mutex
	flight  *flight // under way, or nil
	results []*translate.Result
	raws    []*translate.Raw
	sources []source
	totals  totals
	faulty  bool // its last page had lines that cannot be read
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

	refs int // guarded by tracked.mu

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

var errStillFetching = errors.New("the engine's page did not come before the scrape's deadline")

// board joins the fetch under way or begins one, and waits for it until deadline. On success the caller must call release.
// A fetch that somebody with less time began and that failed for want of it is tried again.
func (t *tracked) board(deadline time.Time) (*flight, error) {
	for {
		f, joined := t.join(deadline)
		if err := f.wait(deadline); err != nil {
			f.release()
			return nil, err
		}
		if f.err == nil {
			return f, nil
		}
		err := f.err
		cutShort := joined && !time.Now().Before(f.deadline)
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
		return f, true
	}
	f = &flight{tracked: t, deadline: deadline, done: make(chan struct{}), refs: 2}
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

// release lets go of the flight. The last one gives its memory back.
func (f *flight) release() {
	t := f.tracked
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.refs--; f.refs > 0 {
		return
	}
	if f.err == nil && f.page.Release != nil {
		f.page.Release()
	}
	for _, v := range f.variants {
		t.results = keep(t.results, v.result)
	}
	for _, v := range f.raw {
		t.raws = keep(t.raws, v.raw)
	}
}

// maxSpare bounds the translations whose memory is kept for the next scrapes of an engine: one with and one without cluster
// labels.
const maxSpare = 2

func keep[T any](spare []T, v T) []T {
	if len(spare) < maxSpare {
		spare = append(spare, v)
	}
	return spare
}

func take[T any](t *tracked, spare *[]*T) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(*spare)
	if n == 0 {
		return new(T)
	}
	v := (*spare)[n-1]
	(*spare)[n-1] = nil
	*spare = (*spare)[:n-1]
	return v
}

// unified translates the page, or returns the translation that another scrape made of it. first says that it is the first
// one of this page, whose counts are the ones to add up.
func (f *flight) unified(compiled *mapping.Compiled, src *translate.Source) (v variant, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.variants {
		if v.compiled == compiled && v.source == src {
			return v, false
		}
	}
	r := take(f.tracked, &f.tracked.results)
	r.MaxSamples = f.tracked.maxSeries
	plan := compiled.Plan(f.instance.Runtime, f.instance.Version)
	stats := r.Translate(f.page.Body, translate.DetectFormat(f.page.ContentType, f.page.Body), plan, src)
	v = variant{compiled: compiled, source: src, result: r, stats: stats}
	v.fed, v.countable = r.Coverage(plan)
	f.variants = append(f.variants, v)
	first, f.counted = !f.counted, true
	return v, first
}

// native adds the instance's labels to the page's own families: to all or, with a mapping, to those that it does not take.
func (f *flight) native(unmappedBy *mapping.Compiled, src *translate.Source) *translate.Raw {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.raw {
		if v.unmappedBy == unmappedBy && v.source == src {
			return v.raw
		}
	}
	r := take(f.tracked, &f.tracked.raws)
	format := translate.DetectFormat(f.page.ContentType, f.page.Body)
	if unmappedBy == nil {
		r.Collect(f.page.Body, format, src)
	} else {
		r.CollectUnmapped(f.page.Body, format, src, unmappedBy.Plan(f.instance.Runtime, f.instance.Version))
	}
	f.raw = append(f.raw, rawVariant{unmappedBy, src, r})
	return r
}
