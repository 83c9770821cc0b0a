package exporter

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// scrape is one request for a page.
type scrape struct {
	start time.Time
	// deadline is when the engines' pages must be there, closing when they must be translated.
	deadline, closing time.Time
	identity          Identity
	compiled          *mapping.Compiled
	// generation is that of compiled.
	generation int64
	unmapped   bool // of the engines' own families, only those that the mapping does not take
}

// outcome is what a scrape got from one engine.
type outcome struct {
	tracked *tracked
	arrived bool
	labels  exposition.Labels
	took    time.Duration
	flight  *flight // nil: no page
	result  *translate.Result
	raw     *translate.Raw
	version exposition.Labels // of the runtime
	// What the page was, where there is one.
	stats          translate.Stats
	fed, countable int // of the families that count for coverage
}

// clusterLabelsParameter is the URL parameter by which a target that carries cluster labels itself asks for samples without
// them, so that Prometheus does not rename them.
const clusterLabelsParameter = "cluster_labels"

// unmappedParameter asks /metrics/raw for the families that the mapping does not take.
const unmappedParameter = "unmapped"

func (e *Exporter) page(write func(*exposition.Writer, scrape) []outcome) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		query := r.URL.Query()
		unmapped, err := parseSwitch(query, unmappedParameter)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case e.scrapes <- struct{}{}:
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, fmt.Sprintf("%d scrapes are under way already: try again", maxScrapes), http.StatusServiceUnavailable)
			return
		}
		engines, closing := engineTime(r.Header)
		s := scrape{start: start, deadline: start.Add(engines), closing: start.Add(closing), identity: e.identity(), unmapped: unmapped}
		s.compiled, s.generation = e.mapping.Current()
		if query.Get(clusterLabelsParameter) == "target" {
			s.identity.ClusterID, s.identity.ClusterName = "", ""
		}
		page, err := e.take(r, write, s)
		if err != nil {
			http.Error(w, "the page could not be made: "+err.Error(), http.StatusInternalServerError)
			return
		}
		defer page.Release()
		page.Send(w)
	})
}

// take makes a page in the slot that its request has. Who reads it slowly holds that page alone.
func (e *Exporter) take(r *http.Request, write func(*exposition.Writer, scrape) []outcome, s scrape) (*answer.Answer, error) {
	defer func() { <-e.scrapes }()
	page, _ := e.writers.Get().(*exposition.Writer)
	outcomes := write(page, s)
	defer func() {
		page.Reset() // it refers to what is let go now
		e.writers.Put(page)
		release(outcomes)
	}()
	return e.answers.Take(r, exposition.ContentType, page)
}

// parseSwitch reads a URL parameter that is 1 or 0.
func parseSwitch(query url.Values, name string) (bool, error) {
	switch value := query.Get(name); value {
	case "1":
		return true, nil
	case "", "0":
		return false, nil
	default:
		return false, fmt.Errorf("%s=%.40q: give 1 or 0", name, value)
	}
}

func (e *Exporter) writeUnified(w *exposition.Writer, s scrape) []outcome {
	outcomes := e.scrape(s, func(o *outcome, src *translate.Source) {
		v := o.flight.unified(s.compiled, src, func(v variant) { e.countPage(o.tracked, v) })
		o.result, o.stats, o.fed, o.countable = v.result, v.stats, v.fed, v.countable
	})
	results := make([]*translate.Result, 0, len(outcomes))
	for _, o := range outcomes {
		if o.result != nil {
			results = append(results, o.result)
		}
	}
	translate.Merge(w, s.compiled.Families(), results...)
	worker := exposition.RenderLabels(identityPairs(s.identity)...)
	verdicts := e.writeCollectors(w, worker)
	writeOwn(w, worker, outcomes, verdicts, s.generation)
	e.writeProcess(w)
	return outcomes
}

func (e *Exporter) writeRaw(w *exposition.Writer, s scrape) []outcome {
	outcomes := e.scrape(s, func(o *outcome, src *translate.Source) {
		if e.userKey != nil && o.flight.instance.Gateway {
			return // its labels name users in many ways
		}
		by := s.compiled
		if !s.unmapped {
			by = nil
		}
		o.raw = o.flight.native(by, src, func(raw *translate.Raw) { e.countLeftOut(o.tracked, raw.LeftOut(), raw.Limiter) })
	})
	raws := make([]*translate.Raw, 0, len(outcomes))
	for _, o := range outcomes {
		if o.raw != nil {
			raws = append(raws, o.raw)
		}
	}
	for _, o := range outcomes {
		if o.flight != nil && e.userKey != nil && o.flight.instance.Gateway {
			w.Raw([]byte("# Left out, since users' names are hashed: the gateway " + strings.ReplaceAll(o.flight.instance.Name, "\n", " ") + "\n"))
		}
	}
	translate.MergeRaw(w, raws...)
	return outcomes
}

// scrape gets the pages of all engines at once and works on each as it comes.
func (e *Exporter) scrape(s scrape, work func(*outcome, *translate.Source)) []outcome {
	engines := e.track()
	outcomes := make([]outcome, len(engines))
	arrivals := make(chan arrival, len(engines))
	var closed gate
	for i, t := range engines {
		outcomes[i].tracked = t
		go func() {
			o := e.scrapeOne(t, s, work)
			if !closed.pass(func() { arrivals <- arrival{i, o} }) && o.flight != nil {
				o.flight.release()
			}
		}()
	}
	late := time.NewTimer(time.Until(s.closing))
	defer late.Stop()
	for range engines {
		select {
		case a := <-arrivals:
			outcomes[a.index] = a.outcome
			continue
		case <-late.C:
		}
		break
	}
	closed.close()
	close(arrivals)
	for a := range arrivals {
		outcomes[a.index] = a.outcome
	}
	for i := range outcomes {
		// A page that came in time and takes too long to translate costs the others nothing.
		if o := &outcomes[i]; !o.arrived {
			o.labels, o.took = o.tracked.source(s.identity, o.tracked.engine.Instance()).labels, time.Since(s.start)
			e.logger.Debug("engine's page was not translated before the scrape's deadline", "instance", o.tracked.engine.Instance().Name)
		}
	}
	return outcomes
}

// arrival is the outcome of the engine with an index.
type arrival struct {
	index   int
	outcome outcome
}

// gate lets through until it is closed.
type gate struct {
	mu     sync.Mutex
	closed bool
}

// pass calls do unless the gate is closed, and reports whether it did.
func (g *gate) pass(do func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	do()
	return true
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

func (e *Exporter) scrapeOne(t *tracked, s scrape, work func(*outcome, *translate.Source)) (o outcome) {
	start := time.Now()
	o.tracked, o.arrived = t, true
	defer func() {
		// A page that makes the translator fail must not cost the other engines their data.
		if p := recover(); p != nil {
			e.logger.Error("page of an engine could not be translated", "instance", t.engine.Instance().Name, "panic", p, "stack", string(debug.Stack()))
			o.result, o.raw = nil, nil
			o.took = time.Since(start)
		}
	}()
	f, err := t.board(s.deadline)
	if err != nil {
		// The engine itself logs why, once.
		o.labels = t.source(s.identity, t.engine.Instance()).labels
		o.took = time.Since(start)
		return o
	}
	o.flight = f
	defer f.hasRead()
	done, err := e.turns.wait(len(f.page.Body), s.closing)
	if err != nil {
		return outcome{tracked: t, flight: f} // which did not arrive
	}
	defer done()
	src := t.source(s.identity, f.instance)
	o.labels, o.version = src.labels, src.version
	translating := time.Now()
	work(&o, src.src)
	o.took = f.took + time.Since(translating)
	return o
}

func release(outcomes []outcome) {
	for _, o := range outcomes {
		if o.flight != nil {
			o.flight.release()
		}
	}
}

// countPage adds up what one translation of a page says.
func (e *Exporter) countPage(t *tracked, v variant) {
	e.count(t, v.stats)
	e.countLeftOut(t, v.result.LeftOut(), v.result.Limiter)
}

// count adds up what was wrong with a page and logs it when it begins.
func (e *Exporter) count(t *tracked, stats translate.Stats) {
	t.mu.Lock()
	t.totals.add(stats)
	faulty := stats.ParseErrors > 0 || stats.OverLimit+stats.OverMemory > 0
	begins := faulty && !t.faulty
	t.faulty = faulty
	t.mu.Unlock()
	if begins {
		e.logger.Warn("a part of an engine's page is left out", "instance", t.engine.Instance().Name,
			"lines", stats.ParseErrors, "first", stats.FirstError, "over_limit", stats.OverLimit, "over_memory", stats.OverMemory)
	}
}

// writeProcess writes what Go and the system say about this process.
func (e *Exporter) writeProcess(w *exposition.Writer) {
	buf, _ := e.buffers.Get().(*bytes.Buffer)
	defer e.buffers.Put(buf)
	buf.Reset()
	if err := e.process.AppendTo(buf); err != nil {
		e.logger.Debug("this process cannot be read completely", "error", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	w.Raw(buf.Bytes())
}
