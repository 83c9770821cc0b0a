package doctor

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// Bounds of an examination.
const (
	// gatherTime is how long evidence is gathered; what has not come by then is not known.
	gatherTime = 12 * time.Second
	// maxPagesRead bounds the pages of one examination of a model, maxUnwellPages those of the fleet, a worker or a metric.
	maxPagesRead   = 16
	maxUnwellPages = 8
	maxChecks      = 4
	// at once
	pagesAtOnce   = 3 // the server reads four
	queriesAtOnce = 4

	maxWays  = 16 // in an answer
	someWays = 4  // that are in order, where few are not
)

// gatherer asks the sources.
type gatherer struct {
	src Sources
	mu  sync.Mutex
	e   *Evidence
}

func newGatherer(src Sources, r Resolved) *gatherer {
	e := &Evidence{
		Subject: r.Subject, Metric: r.Metric, Now: time.Now(), Version: src.Version(), Snapshot: src.Snapshot(), Connected: map[int64]bool{},
		Mapping: src.Mapping(), Server: src.Server(), Pages: map[int64]Page{}, Checks: map[int64]Check{}, Answers: map[string]Answer{},
	}
	for _, id := range src.Connected() {
		e.Connected[id] = true
	}
	return &gatherer{src: src, e: e}
}

// prometheus asks what Prometheus has of these workers; nil: of all.
func (g *gatherer) prometheus(ctx context.Context, workers []int64) {
	p := g.src.Prometheus(ctx)
	g.mu.Lock()
	g.e.Prometheus = p
	g.mu.Unlock()
	if p.Kind == PrometheusNone || p.Err != "" {
		return
	}
	exprs := expressions(workers, g.e.Metric)
	names := make([]string, 0, len(exprs))
	for name := range exprs {
		names = append(names, name)
	}
	each(names, queriesAtOnce, func(name string) {
		a := g.src.Query(ctx, exprs[name])
		g.mu.Lock()
		defer g.mu.Unlock()
		g.e.Answers[name] = a
	})
}

func (g *gatherer) pages(ctx context.Context, instances []int64) {
	each(instances, pagesAtOnce, func(id int64) {
		p := Page{NotRead: "there was no time left for it"}
		if ctx.Err() == nil {
			p = g.src.Page(ctx, id)
		}
		p.Native = "" // pages are held until all is examined
		if g.e.Metric == "" {
			p.Unified = ""
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.e.Pages[id] = p
	})
}

func (g *gatherer) checks(ctx context.Context, workers []int64) {
	each(workers, maxChecks, func(id int64) {
		c := g.src.Check(ctx, id)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.e.Checks[id] = c
	})
}

// each calls f for all items, a few at once.
func each[T any](items []T, atOnce int, f func(T)) {
	var wg sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for _, item := range items {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			f(item)
		})
	}
	wg.Wait()
}

// Run examines the subject within 15 seconds.
func Run(ctx context.Context, src Sources, r Resolved) wire.Doctor {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, gatherTime)
	defer cancel()
	g := newGatherer(src, r)
	ways := g.e.ways(r)
	var readFirst, checkFirst []int64
	if r.Subject.Kind == wire.DoctorInstance || r.Subject.Kind == wire.DoctorModel {
		readFirst, checkFirst = readable(g.e, ways, maxPagesRead), checkable(ways)
	}
	if r.Subject.Kind == wire.DoctorWorker {
		checkFirst = checkable(ways)
	}
	var all sync.WaitGroup
	all.Go(func() { g.prometheus(ctx, workersOf(r, ways)) })
	all.Go(func() { g.pages(ctx, readFirst) })
	all.Go(func() { g.checks(ctx, checkFirst) })
	all.Wait()
	if len(readFirst) == 0 { // only those that are not well are asked
		unwell := g.e.walkAll(ways)
		all.Go(func() { g.pages(ctx, readable(g.e, unwell, maxUnwellPages)) })
		if len(checkFirst) == 0 {
			all.Go(func() { g.checks(ctx, checkable(unreached(unwell))) })
		}
		all.Wait()
	}
	d := Examine(g.e, r)
	d.CheckedAt, d.Seconds = g.e.Now.UTC(), time.Since(begun).Seconds()
	return d
}

// ways returns the ways that the subject has.
func (e *Evidence) ways(r Resolved) (out []*way) {
	s := e.Snapshot
	add := func(in *fleet.Instance) {
		if w := worker(s, in.WorkerID); w != nil {
			out = append(out, &way{worker: w, instance: in, metric: r.Metric})
		}
	}
	all := func(want func(*fleet.Instance) bool) {
		for i := range s.Instances {
			if want(&s.Instances[i]) {
				add(&s.Instances[i])
			}
		}
	}
	switch r.Subject.Kind {
	case wire.DoctorInstance:
		if in := instance(s, r.Subject.ID); in != nil {
			add(in)
		}
	case wire.DoctorModel:
		all(func(in *fleet.Instance) bool {
			return r.Subject.ID != 0 && in.ModelID == r.Subject.ID || slices.Contains(r.Renamed, in.ID)
		})
	case wire.DoctorWorker:
		if w := worker(s, r.Subject.ID); w != nil {
			out = append(out, &way{worker: w, metric: r.Metric})
			if r.Metric == "" || ofEngines(&view{Evidence: e}, r.Metric) {
				all(func(in *fleet.Instance) bool { return in.WorkerID == w.ID })
			}
		}
	case wire.DoctorMetric:
		if ofEngines(&view{Evidence: e}, r.Metric) {
			all(func(in *fleet.Instance) bool {
				return len(nativesOf(e.Mapping.Compiled, in.Runtime, in.RuntimeVersion, r.Metric)) > 0 ||
					len(nativesOf(e.Mapping.Builtin, in.Runtime, in.RuntimeVersion, r.Metric)) > 0
			})
			if len(out) == 0 {
				all(func(*fleet.Instance) bool { return true })
			}
			break
		}
		if !ofServer(r.Metric) {
			for i := range s.Workers {
				out = append(out, &way{worker: &s.Workers[i], metric: r.Metric})
			}
		}
	default:
		for i := range s.Workers {
			out = append(out, &way{worker: &s.Workers[i]})
		}
		all(func(*fleet.Instance) bool { return true })
	}
	return out
}

// workersOf returns the workers of the ways; nil for all.
func workersOf(r Resolved, ways []*way) (ids []int64) {
	if r.Subject.Kind == wire.DoctorFleet || r.Subject.Kind == wire.DoctorMetric {
		return nil
	}
	for _, w := range ways {
		if !slices.Contains(ids, w.worker.ID) {
			ids = append(ids, w.worker.ID)
		}
	}
	return ids
}

// readable returns the instances whose worker can be asked for their page.
func readable(e *Evidence, ways []*way, most int) (ids []int64) {
	for _, w := range ways {
		if w.instance != nil && alive(w.worker) && len(ids) < most {
			if _, read := e.Pages[w.instance.ID]; !read {
				ids = append(ids, w.instance.ID)
			}
		}
	}
	return ids
}

func checkable(ways []*way) (ids []int64) {
	for _, w := range ways {
		if alive(w.worker) && !slices.Contains(ids, w.worker.ID) && len(ids) < maxChecks {
			ids = append(ids, w.worker.ID)
		}
	}
	return ids
}

// unreached returns the ways on which the scrape fails.
func unreached(ways []*way) []*way {
	return slices.DeleteFunc(slices.Clone(ways), func(w *way) bool {
		return !slices.ContainsFunc(w.hops, func(h hop) bool { return h.name == wire.HopScrape && h.state == wire.HopBroken })
	})
}

// walkAll walks the ways and returns those that are not in order, the broken ones first.
func (e *Evidence) walkAll(ways []*way) (unwell []*way) {
	v := newView(e)
	for _, w := range ways {
		w.hops, w.broken, w.raised = nil, nil, nil
		w.walk(v)
		if !w.well() {
			unwell = append(unwell, w)
		}
	}
	slices.SortStableFunc(unwell, func(a, b *way) int { return rankOf(a) - rankOf(b) })
	return unwell
}

// rankOf orders ways: those that break at an engine first, because their pages tell more.
func rankOf(w *way) int {
	switch {
	case len(w.broken) > 0 && w.instance != nil && hopRank(w.broken[0]) < hopRank(wire.HopWorkerPage):
		return 0
	case len(w.broken) > 0:
		return 1
	}
	return 2
}
