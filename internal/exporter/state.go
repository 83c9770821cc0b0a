package exporter

import (
	"maps"
	"slices"
	"sync"

	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/translate"
)

// engineState is what is kept about an engine between scrapes.
type engineState struct {
	engine    Engine
	maxSeries int // of a page
	newSeries int // in an hour; 0: unlimited
	memory    *budget.Pool
	users     *translate.Users

	mu      sync.Mutex
	fetch   *sharedFetch        // in progress, or nil
	results []*translate.Result // whose memory and layouts the next scrapes use
	sources []source
	errors  pageErrors
	// Limiters of new series, nil before the first page.
	unifiedLimiter, nativeLimiter *translate.SeriesLimiter
	dropped                       droppedSeries
	unselected                    []translate.Unselected // that were logged
	faulty                        bool                   // its last page had lines that cannot be read
	removed                       bool                   // the engine is no longer exported
}

// states returns the state of each engine in the engines' order, and drops that of engines that are no longer exported.
func (e *Exporter) states() []*engineState {
	engines := e.engines()
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]*engineState, len(engines))
	for i, engine := range engines {
		t, ok := e.byEngine[engine]
		if !ok {
			t = &engineState{engine: engine, maxSeries: e.maxSeries, newSeries: e.newSeries, memory: e.memory, users: translate.NewUsers(e.userLimit, e.userKey)}
			e.byEngine[engine] = t
		}
		list[i] = t
	}
	if len(e.byEngine) > len(engines) {
		current := make(map[Engine]*engineState, len(list))
		for _, t := range list {
			current[t.engine] = t
		}
		for engine, t := range e.byEngine {
			if current[engine] == nil {
				t.remove()
			}
		}
		e.byEngine = current
	}
	return list
}

// maxSpareResults bounds the results that are kept for the next scrapes of an engine: one with and one without cluster labels.
const maxSpareResults = 2

// spareResult returns a result to translate into, if possible the last one with the same labels: it knows the page's layout.
func (t *engineState) spareResult(src *translate.Source) *translate.Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.results) == 0 {
		return &translate.Result{MaxSamples: t.maxSeries, Memory: t.memory, Users: t.users}
	}
	i := max(0, slices.IndexFunc(t.results, func(r *translate.Result) bool { return r.Source() == src }))
	r := t.results[i]
	t.results = slices.Delete(t.results, i, i+1)
	return r
}

// keep keeps a result for the next scrapes, or gives its memory back. t.mu is held.
func (t *engineState) keep(r *translate.Result) {
	if t.removed || len(t.results) == maxSpareResults {
		r.Trim()
		return
	}
	t.results = append(t.results, r)
}

// remove gives back the memory of kept results when the engine is no longer exported.
func (t *engineState) remove() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removed = true
	for _, r := range t.results {
		r.Trim()
	}
	t.results = nil
}

// trim gives back the memory of kept results of large pages.
func (t *engineState) trim() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.results {
		if r.Granted() > 0 {
			r.Trim()
		}
	}
}

// reclaim gives back the memory of all engines' kept results when a page of this scrape needs it.
func (e *Exporter) reclaim() {
	e.mu.Lock()
	list := slices.Collect(maps.Values(e.byEngine))
	e.mu.Unlock()
	for _, t := range list {
		t.trim()
	}
}
