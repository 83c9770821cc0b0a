package exporter

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// scrape is one request for metrics.
type scrape struct {
	start time.Time
	// Engines' pages that have not come by fetchBy, or are not translated by translateBy, are left out.
	fetchBy, translateBy time.Time
	identity             Identity
	compiled             *mapping.Compiled
	generation           int64 // of compiled
	unmapped             bool  // /metrics/raw: only the metrics that the mapping does not use
}

// outcome is what a scrape got from one engine.
type outcome struct {
	state   *engineState
	inTime  bool
	labels  exposition.Labels
	version exposition.Labels // of the runtime
	took    time.Duration
	fetch   *sharedFetch // nil: no page
	// What was made of the page: result for /metrics, raw for /metrics/raw.
	result *translate.Result
	raw    *translate.Raw
	stats  translate.Stats
	// Of the metrics that count for coverage: how many the page has, and how many there are.
	fed, countable int
}

const (
	// clusterLabelsParameter=target asks for samples without cluster labels: the scraper's target has them already, and Prometheus
	// would rename the samples' to exported_cluster_id.
	clusterLabelsParameter = "cluster_labels"
	// unmappedParameter=1 asks /metrics/raw for the metrics that the mapping does not use.
	unmappedParameter = "unmapped"
)

// metricsHandler serves the page that write makes. write returns what it refers to, which is released when the page is copied.
func (e *Exporter) metricsHandler(write func(*exposition.Writer, scrape) []outcome) http.Handler {
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
			http.Error(w, fmt.Sprintf("%d scrapes are in progress: try again", maxScrapes), http.StatusServiceUnavailable)
			return
		}
		fetchTime, translateTime := scrapeTimes(r.Header)
		s := scrape{start: start, fetchBy: start.Add(fetchTime), translateBy: start.Add(translateTime), identity: e.identity(), unmapped: unmapped}
		s.compiled, s.generation = e.mapping.Current()
		if query.Get(clusterLabelsParameter) == "target" {
			s.identity.ClusterID, s.identity.ClusterName = "", ""
		}
		page, err := e.makePage(r, write, s)
		if err != nil {
			http.Error(w, "the page could not be made: "+err.Error(), http.StatusInternalServerError)
			return
		}
		defer page.Release()
		page.Send(w)
	})
}

// makePage makes a page and ends the scrape. A client that reads the page slowly holds only the page.
func (e *Exporter) makePage(r *http.Request, write func(*exposition.Writer, scrape) []outcome, s scrape) (*answer.Answer, error) {
	defer func() { <-e.scrapes }()
	page, _ := e.writers.Get().(*exposition.Writer)
	outcomes := write(page, s)
	defer func() {
		page.Reset() // before release: it refers to the outcomes' memory
		e.writers.Put(page)
		release(outcomes)
	}()
	return e.answers.Encode(r, exposition.ContentType, page)
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
	outcomes, results := e.scrapeUnified(s)
	translate.Merge(w, s.compiled.Families(), results...)
	e.writeOwn(w, s, outcomes)
	return outcomes
}

// scrapeUnified returns what the mapping makes of the pages of all engines.
func (e *Exporter) scrapeUnified(s scrape) (outcomes []outcome, results []*translate.Result) {
	outcomes = e.scrape(s, func(o *outcome, src *translate.Source) {
		u := o.fetch.translate(s.compiled, src, func(u unifiedPage) { e.countPage(o.state, u) })
		o.result, o.stats, o.fed, o.countable = u.result, u.stats, u.fed, u.countable
	})
	results = make([]*translate.Result, 0, len(outcomes))
	for _, o := range outcomes {
		if o.result != nil {
			results = append(results, o.result)
		}
	}
	return outcomes, results
}

// writeOwn writes all metrics but those of engines under unified names.
func (e *Exporter) writeOwn(w *exposition.Writer, s scrape, outcomes []outcome) {
	worker := exposition.RenderLabels(identityPairs(s.identity)...)
	statuses := e.writeCollectors(w, worker)
	writeSelfMetrics(w, worker, outcomes, statuses, s.generation)
	e.writeProcess(w)
}

// Probe makes a page without the engines' parts and throws it away, to show that pages can be made. It does not read engines.
func (e *Exporter) Probe() {
	page, _ := e.writers.Get().(*exposition.Writer)
	defer func() {
		page.Reset()
		e.writers.Put(page)
	}()
	e.states()
	_, generation := e.mapping.Current()
	e.writeOwn(page, scrape{identity: e.identity(), generation: generation}, nil)
}

func (e *Exporter) writeRaw(w *exposition.Writer, s scrape) []outcome {
	unmappedBy := s.compiled
	if !s.unmapped {
		unmappedBy = nil
	}
	// Native metrics of a gateway name users in labels that only the mapping knows, so they cannot be hashed.
	hidden := func(o *outcome) bool { return e.userKey != nil && o.fetch.instance.Gateway }
	outcomes := e.scrape(s, func(o *outcome, src *translate.Source) {
		if !hidden(o) {
			o.raw = o.fetch.collectNative(unmappedBy, src, func(raw *translate.Raw) { e.countDropped(o.state, raw.LeftOut(), raw.Limiter) })
		}
	})
	raws := make([]*translate.Raw, 0, len(outcomes))
	for i := range outcomes {
		o := &outcomes[i]
		if o.raw != nil {
			raws = append(raws, o.raw)
		}
		if o.fetch != nil && hidden(o) {
			w.Raw([]byte("# Left out, since users' names are hashed: the gateway " + strings.ReplaceAll(o.fetch.instance.Name, "\n", " ") + "\n"))
		}
	}
	translate.MergeRaw(w, raws...)
	return outcomes
}

// scrape fetches the pages of all engines at once and calls work for each that comes. work is called in several goroutines.
func (e *Exporter) scrape(s scrape, work func(*outcome, *translate.Source)) []outcome {
	engines := e.states()
	outcomes := make([]outcome, len(engines))
	var (
		mu   sync.Mutex
		over bool // translateBy has passed: nothing more is written to outcomes
		wg   sync.WaitGroup
	)
	for i, t := range engines {
		outcomes[i].state = t
		wg.Go(func() {
			o := e.scrapeEngine(t, s, work)
			mu.Lock()
			defer mu.Unlock()
			if !over {
				outcomes[i] = o
			} else if o.fetch != nil {
				o.fetch.release()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	timer := time.NewTimer(time.Until(s.translateBy))
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	mu.Lock()
	over = true
	mu.Unlock()
	for i := range outcomes {
		if o := &outcomes[i]; !o.inTime {
			in := o.state.engine.Instance()
			o.labels, o.took = o.state.source(s.identity, in).labels, time.Since(s.start)
			e.logger.Debug("engine's page was not translated before the scrape's deadline", "instance", in.Name)
		}
	}
	return outcomes
}

func (e *Exporter) scrapeEngine(t *engineState, s scrape, work func(*outcome, *translate.Source)) (o outcome) {
	start := time.Now()
	o.state, o.inTime = t, true
	defer func() {
		// A page that makes the translator panic must not cost the other engines their data.
		if p := recover(); p != nil {
			e.logger.Error("page of an engine could not be translated", "instance", t.engine.Instance().Name, "panic", p, "stack", string(debug.Stack()))
			o.result, o.raw = nil, nil
			o.took = time.Since(start)
		}
	}()
	f, err := t.join(s.fetchBy)
	if err != nil {
		// The engine logs the error itself, once.
		o.labels = t.source(s.identity, t.engine.Instance()).labels
		o.took = time.Since(start)
		return o
	}
	o.fetch = f
	defer f.releasePage()
	done, err := e.queue.acquire(len(f.page.Body), s.translateBy)
	if err != nil {
		return outcome{state: t, fetch: f}
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
		if o.fetch != nil {
			o.fetch.release()
		}
	}
}

// countPage adds a page to the engine's counters.
func (e *Exporter) countPage(t *engineState, u unifiedPage) {
	e.countErrors(t, u.stats)
	e.countDropped(t, u.result.LeftOut(), u.result.Limiter)
	e.tellUnselected(t, u.result.Unselected())
}

// tellUnselected logs once for each native metric that samples of it are in no unified one.
func (e *Exporter) tellUnselected(t *engineState, list []translate.Unselected) {
	for _, u := range list {
		t.mu.Lock()
		told := slices.ContainsFunc(t.unselected, func(v translate.Unselected) bool { return v.Family == u.Family && v.Reason == u.Reason })
		full := len(t.unselected) >= maxToldUnselected
		if !told && !full {
			t.unselected = append(t.unselected, u)
		}
		t.mu.Unlock()
		if !told && !full {
			e.logger.Info("samples of an engine are in no unified metric: no target of the mapping takes their labels. "+
				"To see which, run stackscope mapping translate --explain on the engine's page",
				"instance", t.engine.Instance().Name, "family", u.Family, "reason", u.Reason, "samples", u.Samples)
		}
	}
}

// maxToldUnselected bounds how many native metrics of an engine are logged by tellUnselected.
const maxToldUnselected = 64

// countErrors counts what was wrong with a page. It logs the first faulty page after a faultless one.
func (e *Exporter) countErrors(t *engineState, stats translate.Stats) {
	t.mu.Lock()
	t.errors.add(stats)
	faulty := stats.ParseErrors > 0 || stats.OverLimit+stats.OverMemory > 0
	begins := faulty && !t.faulty
	t.faulty = faulty
	t.mu.Unlock()
	if begins {
		e.logger.Warn("a part of an engine's page is left out", "instance", t.engine.Instance().Name,
			"lines", stats.ParseErrors, "first", stats.FirstError, "over_limit", stats.OverLimit, "over_memory", stats.OverMemory)
	}
}

// writeProcess writes the process_* and go_* metrics of this process.
func (e *Exporter) writeProcess(w *exposition.Writer) {
	buf, _ := e.buffers.Get().(*bytes.Buffer)
	defer e.buffers.Put(buf)
	buf.Reset()
	if err := e.process.AppendTo(buf); err != nil {
		e.logger.Debug("some metrics of this process cannot be read", "error", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	w.Raw(buf.Bytes())
}
