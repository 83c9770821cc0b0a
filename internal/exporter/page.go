package exporter

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// scrape is one request for a page.
type scrape struct {
	deadline time.Time
	identity Identity
	compiled *mapping.Compiled
	// generation is that of compiled.
	generation int64
}

// outcome is what a scrape got from one engine.
type outcome struct {
	tracked *tracked
	labels  exposition.Labels
	took    time.Duration
	flight  *flight // nil: no page
	result  *translate.Result
	raw     *translate.Raw
}

// clusterLabelsParameter is the URL parameter by which a target that carries cluster labels itself asks for samples without
// them, so that Prometheus does not rename them.
const clusterLabelsParameter = "cluster_labels"

func (e *Exporter) page(write func(*exposition.Writer, scrape)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		select {
		case e.scrapes <- struct{}{}:
			defer func() { <-e.scrapes }()
		default:
			http.Error(w, fmt.Sprintf("%d scrapes are under way already: try again", maxScrapes), http.StatusServiceUnavailable)
			return
		}
		s := scrape{deadline: start.Add(engineTime(r.Header)), identity: e.identity()}
		s.compiled, s.generation = e.mapping.Current()
		if r.URL.Query().Get(clusterLabelsParameter) == "target" {
			s.identity.ClusterID, s.identity.ClusterName = "", ""
		}
		page, _ := e.writers.Get().(*exposition.Writer)
		page.Reset()
		defer e.writers.Put(page)
		write(page, s)
		e.replier.Reply(w, r, exposition.ContentType, page.Bytes())
	})
}

func (e *Exporter) writeUnified(w *exposition.Writer, s scrape) {
	outcomes := e.scrape(s, func(o *outcome, src *translate.Source) {
		var stats translate.Stats
		var first bool
		o.result, stats, first = o.flight.unified(s.compiled, src)
		if first {
			e.count(o.tracked, stats)
		}
	})
	results := make([]*translate.Result, 0, len(outcomes))
	for _, o := range outcomes {
		if o.result != nil {
			results = append(results, o.result)
		}
	}
	translate.Merge(w, s.compiled.Families(), results...)
	release(outcomes)
	worker := exposition.RenderLabels(identityPairs(s.identity)...)
	verdicts := e.writeCollectors(w, worker)
	writeOwn(w, worker, outcomes, verdicts, s.generation)
	e.writeProcess(w)
}

func (e *Exporter) writeRaw(w *exposition.Writer, s scrape) {
	outcomes := e.scrape(s, func(o *outcome, src *translate.Source) { o.raw = o.flight.native(src) })
	raws := make([]*translate.Raw, 0, len(outcomes))
	for _, o := range outcomes {
		if o.raw != nil {
			raws = append(raws, o.raw)
		}
	}
	translate.MergeRaw(w, raws...)
	release(outcomes)
}

// scrape gets the pages of all engines at once and works on each as it comes.
func (e *Exporter) scrape(s scrape, work func(*outcome, *translate.Source)) []outcome {
	engines := e.track()
	outcomes := make([]outcome, len(engines))
	var wg sync.WaitGroup
	for i, t := range engines {
		wg.Go(func() { e.scrapeOne(&outcomes[i], t, s, work) })
	}
	wg.Wait()
	return outcomes
}

func (e *Exporter) scrapeOne(o *outcome, t *tracked, s scrape, work func(*outcome, *translate.Source)) {
	start := time.Now()
	o.tracked = t
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
		return
	}
	o.flight = f
	src := t.source(s.identity, f.instance)
	o.labels = src.labels
	translating := time.Now()
	work(o, src.src)
	o.took = f.took + time.Since(translating)
}

func release(outcomes []outcome) {
	for _, o := range outcomes {
		if o.flight != nil {
			o.flight.release()
		}
	}
}

// count adds up what was wrong with a page and logs it when it begins.
func (e *Exporter) count(t *tracked, stats translate.Stats) {
	t.mu.Lock()
	t.parseErrors += uint64(stats.ParseErrors)
	t.duplicates += uint64(stats.Duplicates)
	faulty := stats.ParseErrors > 0 || stats.OverLimit > 0
	begins := faulty && !t.faulty
	t.faulty = faulty
	t.mu.Unlock()
	if begins {
		e.logger.Warn("a part of an engine's page is left out", "instance", t.engine.Instance().Name,
			"lines", stats.ParseErrors, "first", stats.FirstError, "over_limit", stats.OverLimit)
	}
}

func writeOwn(w *exposition.Writer, worker exposition.Labels, outcomes []outcome, verdicts []verdict, generation int64) {
	family := func(m catalog.Metric, n int, sample func(i int) (float64, exposition.Labels)) {
		if n == 0 {
			return
		}
		name := m.WireName()
		w.Family(name, string(m.Type), m.Help)
		for i := range n {
			value, labels := sample(i)
			w.Sample(name, value, labels)
		}
	}
	engine := func(m catalog.Metric, value func(o *outcome) float64) {
		family(m, len(outcomes), func(i int) (float64, exposition.Labels) { return value(&outcomes[i]), outcomes[i].labels })
	}
	engine(catalog.RuntimeScrapeSuccess, func(o *outcome) float64 { return boolean(o.result != nil) })
	engine(catalog.RuntimeScrapeDuration, func(o *outcome) float64 { return o.took.Seconds() })
	engine(catalog.RuntimeParseErrors, func(o *outcome) float64 { n, _ := o.tracked.totals(); return float64(n) })
	engine(catalog.RuntimeDuplicates, func(o *outcome) float64 { _, n := o.tracked.totals(); return float64(n) })
	collector := func(m catalog.Metric, value func(v verdict) float64) {
		family(m, len(verdicts), func(i int) (float64, exposition.Labels) {
			return value(verdicts[i]), worker.With(verdicts[i].labels)
		})
	}
	collector(catalog.CollectorSuccess, func(v verdict) float64 { return boolean(v.err == nil) })
	collector(catalog.CollectorDuration, func(v verdict) float64 { return v.took.Seconds() })
	family(catalog.MetricsConfigApplied, 1, func(int) (float64, exposition.Labels) { return float64(generation), worker })
	family(catalog.BuildInfo, 1, func(int) (float64, exposition.Labels) {
		b := buildinfo.Get()
		return 1, exposition.RenderLabels("version", b.Version, "revision", b.Revision, "goversion", b.GoVersion)
	})
}

func (t *tracked) totals() (parseErrors, duplicates uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.parseErrors, t.duplicates
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
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
