package exporter

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// sharedFetch is one fetch of an engine's page, shared by all scrapes that need the page while it is in progress. Each of them calls
// releasePage when it has translated the page, and release when it has written the result. Lock order: mu, then state.mu.
type sharedFetch struct {
	state    *engineState
	deadline time.Time
	done     chan struct{}

	// Set before done is closed.
	page     Page
	instance Instance
	took     time.Duration
	err      error

	// Guarded by state.mu: how many have not called release, and releasePage.
	users, pageUsers int

	mu      sync.Mutex
	unified []unifiedPage
	native  []nativePage
	counted bool
}

// unifiedPage is the page translated by one mapping with one set of labels.
type unifiedPage struct {
	compiled *mapping.Compiled
	source   *translate.Source
	result   *translate.Result
	stats    translate.Stats
	// Of the metrics that count for coverage: how many the page has, and how many there are.
	fed, countable int
}

// nativePage is the page under the engine's own names with one set of labels.
type nativePage struct {
	unmappedBy *mapping.Compiled // nil: all metrics; else only those that this mapping does not use
	source     *translate.Source
	raw        *translate.Raw
}

// minFetchTime is given to every fetch. A scrape with a timeout of a millisecond does not wait that long, but without it the fetch that
// it began would fail for all who share it, and the engine would look down.
const minFetchTime = 2 * time.Second

var (
	errStillFetching = errors.New("the engine did not send its page before the scrape's deadline")
	errFetchPanicked = errors.New("the fetch panicked")
)

// join waits until deadline for the fetch in progress, or for a new one. If the error is nil, the caller must call releasePage and
// release. Joining a fetch that failed because whoever began it had less time starts another one.
func (t *engineState) join(deadline time.Time) (*sharedFetch, error) {
	for {
		f, started := t.current(deadline)
		if started {
			f.start(deadline)
		}
		err := f.wait(deadline)
		if err == nil {
			if err = f.err; err == nil {
				return f, nil
			}
		}
		timedOut := !started && !errors.Is(err, errStillFetching) && !time.Now().Before(f.deadline)
		f.releasePage()
		f.release()
		if !timedOut || !time.Now().Before(deadline) {
			return nil, err
		}
	}
}

// current returns the fetch in progress, or a new one that the caller must start.
func (t *engineState) current(deadline time.Time) (f *sharedFetch, started bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f = t.fetch; f != nil {
		f.users++
		f.pageUsers++
		return f, false
	}
	if soonest := time.Now().Add(minFetchTime); deadline.Before(soonest) {
		deadline = soonest
	}
	f = &sharedFetch{state: t, deadline: deadline, done: make(chan struct{}), users: 2, pageUsers: 2} // the caller and run
	t.fetch = f
	return f, true
}

// start runs the fetch, here if the caller waits for all of it anyway: a goroutine for each engine costs a scrape a tenth of its time.
func (f *sharedFetch) start(deadline time.Time) {
	if f.deadline.After(deadline) {
		go f.run()
		return
	}
	f.run()
}

func (f *sharedFetch) run() {
	ctx, cancel := context.WithDeadline(context.Background(), f.deadline)
	defer cancel()
	start := time.Now()
	f.err = errFetchPanicked
	defer func() { // also if Fetch panics: others wait
		f.took = time.Since(start)
		f.finish()
		f.releasePage()
		f.release()
	}()
	f.page, f.err = f.state.engine.Fetch(ctx)
	f.instance = f.state.engine.Instance()
}

// finish gives the page to all who wait. The next scrape starts a new fetch.
func (f *sharedFetch) finish() {
	t := f.state
	t.mu.Lock()
	t.fetch = nil
	t.mu.Unlock()
	close(f.done)
}

func (f *sharedFetch) wait(deadline time.Time) error {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-f.done:
		return nil
	case <-timer.C:
		return errStillFetching
	}
}

// releasePage says that the caller has translated the page. The last call frees the page's memory, for which other pages may be
// waiting.
func (f *sharedFetch) releasePage() {
	t := f.state
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.pageUsers--; f.pageUsers > 0 {
		return
	}
	if f.err == nil && f.page.Release != nil {
		f.page.Release()
		f.page = Page{}
	}
}

// release says that the caller has written what it made of the page. The last call keeps the results for the engine's next scrapes.
func (f *sharedFetch) release() {
	t := f.state
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.users--; f.users > 0 {
		return
	}
	for _, u := range f.unified {
		t.keep(u.result)
	}
	for _, n := range f.native {
		n.raw.Trim() // native metrics are rarely scraped twice
	}
}

// translate returns the page under the unified names, translated by the first scrape that needs it. count is called for the first
// translation of this page alone, before any other scrape gets it: its counts are the page's.
func (f *sharedFetch) translate(compiled *mapping.Compiled, src *translate.Source, count func(unifiedPage)) unifiedPage {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.unified {
		if u.compiled == compiled && u.source == src {
			return u
		}
	}
	r := f.state.spareResult(src)
	r.Limiter = f.state.newSeriesLimiter(false, f.instance.Gateway)
	plan := compiled.Plan(f.instance.Runtime, f.instance.Version)
	stats := r.Translate(f.page.Body, translate.DetectFormat(f.page.ContentType, f.page.Body), plan, src)
	u := unifiedPage{compiled: compiled, source: src, result: r, stats: stats}
	if u.fed, u.countable = r.Coverage(plan); u.fed == 0 && f.instance.Role == fleet.RoleRouter {
		u.countable = 0 // the metrics that count are engines'
	}
	f.unified = append(f.unified, u)
	if !f.counted {
		f.counted = true
		count(u)
		f.tellEngine(&u)
	}
	return u
}

// tellEngine tells the engine what became of its page. A page of which samples were dropped for lack of room says nothing.
func (f *sharedFetch) tellEngine(u *unifiedPage) {
	dropped := u.stats.OverLimit > 0 || u.stats.OverMemory > 0 || len(u.result.LeftOut()) > 0
	if f.page.Translated == nil || u.fed == 0 && dropped {
		return
	}
	f.page.Translated(Translation{Samples: u.stats.Samples, Fed: u.fed, Countable: u.countable})
}

// collectNative returns the page under the engine's own names with the instance's labels: all metrics or, with a mapping, those that
// it does not use. count is called as translate calls it.
func (f *sharedFetch) collectNative(unmappedBy *mapping.Compiled, src *translate.Source, count func(*translate.Raw)) *translate.Raw {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.native {
		if n.unmappedBy == unmappedBy && n.source == src {
			return n.raw
		}
	}
	t := f.state
	r := &translate.Raw{MaxSamples: t.maxSeries, Memory: t.memory, Limiter: t.newSeriesLimiter(true, f.instance.Gateway)}
	format := translate.DetectFormat(f.page.ContentType, f.page.Body)
	if unmappedBy == nil {
		r.Collect(f.page.Body, format, src)
	} else {
		r.CollectUnmapped(f.page.Body, format, src, unmappedBy.Plan(f.instance.Runtime, f.instance.Version))
	}
	f.native = append(f.native, nativePage{unmappedBy, src, r})
	if len(f.native) == 1 {
		count(r)
	}
	return r
}
