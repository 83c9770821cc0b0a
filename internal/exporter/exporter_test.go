package exporter

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

const vllmPage = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen"} 3.0
# TYPE vllm:prompt_tokens counter
vllm:prompt_tokens_total{engine="0",model_name="adapter"} 1200.0
`

// fakeEngine answers with a page after a delay.
type fakeEngine struct {
	instance Instance
	delay    time.Duration
	fetches  atomic.Int32
	released atomic.Int32

	mu   sync.Mutex
	page string
	err  error
}

func (f *fakeEngine) set(page string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.page, f.err = page, err
}

func (f *fakeEngine) Fetch(ctx context.Context) (Page, error) {
	f.fetches.Add(1)
	select {
	case <-time.After(f.delay):
	case <-ctx.Done():
		return Page{}, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return Page{}, f.err
	}
	return Page{Body: []byte(f.page), Release: func() { f.released.Add(1) }}, nil
}

func (f *fakeEngine) Instance() Instance { return f.instance }

func newEngine(name string) *fakeEngine {
	return &fakeEngine{page: vllmPage, instance: Instance{ID: "7", Name: name, ModelID: "3", Model: "qwen", Runtime: "vLLM", Version: "0.11.0"}}
}

type fakeMapping struct {
	compiled   *mapping.Compiled
	generation int64
}

func (f *fakeMapping) Current() (*mapping.Compiled, int64) { return f.compiled, f.generation }

func newExporter(tb testing.TB, engines ...Engine) (*Exporter, *strings.Builder) {
	tb.Helper()
	compiled, err := mapping.Compile(mapping.Default())
	if err != nil {
		tb.Fatal(err)
	}
	log := &strings.Builder{}
	e, err := New(Options{
		Engines:  func() []Engine { return engines },
		Mapping:  &fakeMapping{compiled, 4},
		Identity: func() Identity { return Identity{"1", "node-1", "2", "lab"} },
		Logger:   slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return e, log
}

func get(tb testing.TB, h http.Handler, path string, header ...string) string {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		tb.Errorf("GET %s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// series returns the sample lines whose names begin with prefix; values of durations and coverage are left out.
func series(page, prefix string) []string {
	var lines []string
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		if strings.Contains(line, "duration_seconds{") || strings.Contains(line, "coverage_ratio{") {
			line = line[:strings.LastIndexByte(line, ' ')]
		}
		lines = append(lines, line)
	}
	return lines
}

const (
	cluster  = `cluster_id="2",cluster_name="lab",`
	worker   = `worker_id="1",worker_name="node-1"`
	instance = `model_id="3",model_name="qwen",model_instance_id="7",model_instance_name="%s",runtime="vLLM"`
)

func TestPage(t *testing.T) {
	a, b := newEngine("a"), newEngine("b")
	b.set("", errors.New("down"))
	e, _ := newExporter(t, a, b)
	e.collectors = []Collector{
		fakeCollector{"memory", time.Millisecond, nil},
		fakeCollector{"disk", time.Millisecond, errors.New("x")},
		fakeCollector{"later", -1, nil},
		fakeCollector{"broken", 0, nil},
	}
	page := get(t, e.Handler(), "/metrics")
	want := []string{
		`gpustack:num_requests_running{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `,engine="0"} 3.0`,
		`gpustack:prompt_tokens_total{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `,engine="0",exported_model_name="adapter"} 1200.0`,
		`gpustack:worker_node_memory_total_bytes{` + cluster + worker + `} 5`,
		`gpustack:worker_node_filesystem_total_bytes{` + cluster + worker + `,mountpoint="memory"} 1`,
		`gpustack:worker_node_filesystem_total_bytes{` + cluster + worker + `,mountpoint="/b"} 2`,
		`gpustack:worker_node_filesystem_total_bytes{` + cluster + worker + `,mountpoint="/c"} 3`,
		`gpustack:model_instance_phase_duration_seconds_bucket{` + cluster + worker + `,phase="all",le="+Inf"} 1`,
		`gpustack:model_instance_phase_duration_seconds_sum{` + cluster + worker + `,phase="all"} 2.5`,
		`gpustack:model_instance_phase_duration_seconds_count{` + cluster + worker + `,phase="all"} 1`,
		`gpustack:worker_node_load1{` + cluster + worker + `} 1`,
		`gpustack:runtime_scrape_success{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `} 1`,
		`gpustack:runtime_scrape_success{` + cluster + worker + `,` + fmt.Sprintf(instance, "b") + `} 0`,
		`gpustack:runtime_scrape_duration_seconds{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `}`,
		`gpustack:runtime_scrape_duration_seconds{` + cluster + worker + `,` + fmt.Sprintf(instance, "b") + `}`,
		`gpustack:runtime_parse_errors_total{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `} 0`,
		`gpustack:runtime_parse_errors_total{` + cluster + worker + `,` + fmt.Sprintf(instance, "b") + `} 0`,
		`gpustack:runtime_dropped_duplicates_total{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `} 0`,
		`gpustack:runtime_dropped_duplicates_total{` + cluster + worker + `,` + fmt.Sprintf(instance, "b") + `} 0`,
		`gpustack:metrics_mapping_coverage_ratio{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `,runtime_version="0.11.0"}`,
		`gpustack:runtime_unmapped_families{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `} 0`,
		`gpustack:runtime_series{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `} 2`,
		`gpustack:runtime_type_conflicts_total{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `} 0`,
		`gpustack:runtime_invalid_histograms_total{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `} 0`,
		`gpustack:runtime_dropped_samples_total{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `,reason="series_limit"} 0`,
		`gpustack:runtime_dropped_samples_total{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `,reason="memory"} 0`,
		`gpustack:collector_success{` + cluster + worker + `,collector="memory"} 1`,
		`gpustack:collector_success{` + cluster + worker + `,collector="disk"} 0`,
		`gpustack:collector_success{` + cluster + worker + `,collector="broken"} 0`,
		`gpustack:collector_duration_seconds{` + cluster + worker + `,collector="memory"}`,
		`gpustack:collector_duration_seconds{` + cluster + worker + `,collector="disk"}`,
		`gpustack:collector_duration_seconds{` + cluster + worker + `,collector="broken"}`,
		`gpustack:metrics_config_applied_generation{` + cluster + worker + `} 4`,
	}
	if diff := cmp.Diff(want, series(page, "gpustack:")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := series(page, "stackscope_build_info{"); len(got) != 1 || !strings.Contains(got[0], runtime.Version()) {
		t.Errorf("got %q", got)
	}
	valid(t, page)
	if a.released.Load() != 1 {
		t.Error("the page was not given back")
	}
}

type fakeCollector struct {
	name string
	took time.Duration
	err  error
}

func (f fakeCollector) Name() string { return f.name }

func (f fakeCollector) Collect(emit Emit) (time.Duration, error) {
	switch f.name {
	case "broken":
		emit(&catalog.WorkerNodeLoad1, "", 1, "")
		panic("index out of range")
	case "memory":
		emit(&catalog.WorkerNodeMemoryTotal, "", 5, "")
		emit(&catalog.WorkerNodeFilesystemTotal, "", 1, exposition.RenderLabels("mountpoint", f.name))
		emit(&catalog.WorkerNodeFilesystemTotal, "", 2, exposition.RenderLabels("mountpoint", "/b"))
	case "disk": // a family that another collector has, too, and a histogram
		emit(&catalog.InstancePhase, "_bucket", 1, exposition.RenderLabels("phase", "all", "le", "+Inf"))
		emit(&catalog.InstancePhase, "_sum", 2.5, exposition.RenderLabels("phase", "all"))
		emit(&catalog.InstancePhase, "_count", 1, exposition.RenderLabels("phase", "all"))
		emit(&catalog.WorkerNodeFilesystemTotal, "", 3, exposition.RenderLabels("mountpoint", "/c"))
	}
	return f.took, f.err
}

// valid checks a page with Prometheus' own parser: it parses, no family or series comes twice.
func valid(t *testing.T, page string) {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(page)); err != nil {
		t.Errorf("page is not legal: %v", err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(page) {
		key := line
		if !strings.HasPrefix(line, "#") {
			key = line[:strings.LastIndexByte(strings.TrimSpace(line), ' ')]
		}
		if seen[key] {
			t.Errorf("comes twice: %s", key)
		}
		seen[key] = true
	}
}

func TestClusterLabelsAreLeftOutForTargetsThatCarryThem(t *testing.T) {
	e, _ := newExporter(t, newEngine("a"))
	page := get(t, e.Handler(), "/metrics?cluster_labels=target")
	if strings.Contains(page, "cluster_id") || strings.Contains(page, "cluster_name") {
		t.Error("cluster labels are there")
	}
	if got := series(page, "gpustack:num_requests_running"); len(got) != 1 || !strings.Contains(got[0], `{`+worker+`,model_id="3"`) {
		t.Errorf("got %q", got)
	}
	if page := get(t, e.Handler(), "/metrics/raw?cluster_labels=target"); strings.Contains(page, "cluster") {
		t.Error("raw: cluster labels are there")
	}
}

func TestLabelsThatAreNotKnownAreAbsent(t *testing.T) {
	a := newEngine("a")
	a.instance.ID, a.instance.ModelID, a.instance.Runtime, a.instance.Version = "", "", "", ""
	e, _ := newExporter(t, a)
	e.identity = func() Identity { return Identity{WorkerName: "node-1"} }
	page := get(t, e.Handler(), "/metrics")
	want := []string{`gpustack:runtime_scrape_success{worker_name="node-1",model_name="qwen",model_instance_name="a"} 1`}
	if diff := cmp.Diff(want, series(page, "gpustack:runtime_scrape_success")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := series(page, "gpustack:num_"); got != nil {
		t.Errorf("an engine that is not known was translated: %q", got)
	}
}

func TestRaw(t *testing.T) {
	e, _ := newExporter(t, newEngine("a"), newEngine("b"))
	page := get(t, e.Handler(), "/metrics/raw")
	valid(t, page)
	if got := series(page, "vllm:num_requests_running{"); len(got) != 2 || !strings.Contains(got[1], `model_instance_name="b"`) {
		t.Errorf("got %q", got)
	}
	if strings.Contains(page, "gpustack:") || strings.Contains(page, "go_") {
		t.Errorf("holds more than the engines' families:\n%s", page)
	}
}

func TestRoutes(t *testing.T) {
	e, _ := newExporter(t)
	h := e.Handler()
	for _, path := range []string{"/metrics", "/metrics/", "/metrics/raw", "/metrics/raw/", "/healthz", "/"} {
		get(t, h, path)
	}
	for path, want := range map[string]int{"/nothing": 404, "/metrics/other": 404} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("GET %s: %d", path, w.Code)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/metrics", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /metrics: %d", w.Code)
	}
}

// Show 8: one hanging engine among four.
func TestHangingEngineCostsTheOthersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engines := []Engine{newEngine("a"), newEngine("b"), newEngine("c"), newEngine("d")}
		engines[1].(*fakeEngine).delay = time.Hour
		e, _ := newExporter(t, engines...)
		for header, limit := range map[string]time.Duration{"": 5 * time.Second, "2": 2 * time.Second, "0.5": 500 * time.Millisecond, "bad": 5 * time.Second, "-1": 5 * time.Second, "0": 5 * time.Second, "-0": 5 * time.Second, "NaN": 5 * time.Second, "-Inf": 5 * time.Second, "1e400": 5 * time.Second, "+Inf": 30 * time.Second, "1e300": 30 * time.Second, "10000": 30 * time.Second} {
			start := time.Now()
			page := get(t, e.Handler(), "/metrics", timeoutHeader, header)
			if took := time.Since(start); took > limit*8/10 || took < limit*6/10 {
				t.Errorf("timeout %q: took %s", header, took)
			}
			if got := series(page, "gpustack:num_requests_running"); len(got) != 3 {
				t.Errorf("timeout %q: got %q", header, got)
			}
			success := strings.Join(series(page, "gpustack:runtime_scrape_success"), "\n")
			if strings.Count(success, "} 1") != 3 || !strings.Contains(success, `model_instance_name="b",runtime="vLLM"} 0`) {
				t.Errorf("timeout %q: got\n%s", header, success)
			}
		}
		time.Sleep(time.Minute) // all fetches end
	})
}

func TestOverlappingScrapesShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEngine("a")
		a.delay = time.Second
		e, _ := newExporter(t, a)
		h := e.Handler()
		var wg sync.WaitGroup
		for i, path := range []string{"/metrics", "/metrics?cluster_labels=target", "/metrics/raw", "/metrics", "/metrics/raw/?cluster_labels=target"} {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				page := get(t, h, path)
				if strings.Count(page, `num_requests_running{`) != 1 {
					t.Errorf("%s: got\n%s", path, page)
				}
				if strings.Contains(path, "target") == strings.Contains(page, "cluster_name") {
					t.Errorf("%s: wrong cluster labels", path)
				}
			})
		}
		wg.Wait()
		if n, r := a.fetches.Load(), a.released.Load(); n != 1 || r != 1 {
			t.Errorf("%d fetches, %d released", n, r)
		}
		get(t, h, "/metrics")
		if n := a.fetches.Load(); n != 2 {
			t.Errorf("a later scrape got an old page: %d fetches", n)
		}
	})
}

func TestScrapeWithMoreTimeIsNotCutShortByOneWithLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEngine("a")
		a.delay = 2 * time.Second
		e, _ := newExporter(t, a)
		var wg sync.WaitGroup
		wg.Go(func() {
			if got := series(get(t, e.Handler(), "/metrics", timeoutHeader, "1"), "gpustack:num_"); got != nil {
				t.Errorf("the short scrape got %q", got)
			}
		})
		wg.Go(func() {
			time.Sleep(100 * time.Millisecond)
			start := time.Now()
			if got := series(get(t, e.Handler(), "/metrics", timeoutHeader, "10"), "gpustack:num_"); len(got) != 1 {
				t.Errorf("the long scrape got %q", got)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %s", took)
			}
		})
		wg.Wait()
	})
}

// GPUStack keeps exporting the last values of the last instance after it stopped.
func TestGPUStackBug05_StoppedEngineLeavesNoSeries(t *testing.T) {
	a := newEngine("a")
	engines := []Engine{a}
	e, _ := newExporter(t)
	e.engines = func() []Engine { return engines }
	h := e.Handler()
	if got := series(get(t, h, "/metrics"), "gpustack:num_"); len(got) != 1 {
		t.Fatalf("got %q", got)
	}
	a.set("", errors.New("connection refused"))
	page := get(t, h, "/metrics")
	if got := series(page, "gpustack:num_"); got != nil {
		t.Errorf("a stopped engine still has %q", got)
	}
	if got := series(page, "gpustack:runtime_scrape_success"); len(got) != 1 || !strings.HasSuffix(got[0], " 0") {
		t.Errorf("got %q", got)
	}
	if got := series(get(t, h, "/metrics/raw"), "vllm:"); got != nil {
		t.Errorf("raw: a stopped engine still has %q", got)
	}
	engines = nil
	page = get(t, h, "/metrics")
	if strings.Contains(page, "model_instance_name") {
		t.Error("an engine that was taken away still has series")
	}
	if len(e.byEngine) != 0 {
		t.Error("an engine that was taken away is remembered")
	}
}

// GPUStack's worker says nothing about its own process and how its scrapes went.
func TestGPUStackBug24_WorkerJudgesItsSourcesAndItself(t *testing.T) {
	e, _ := newExporter(t, newEngine("a"))
	page := get(t, e.Handler(), "/metrics")
	wanted := []string{
		"gpustack:runtime_scrape_success{", "gpustack:runtime_scrape_duration_seconds{",
		"go_goroutines ", "go_memstats_heap_alloc_bytes ", "stackscope_build_info{",
	}
	if runtime.GOOS == "linux" {
		wanted = append(wanted, "process_resident_memory_bytes ", "process_cpu_seconds_total ")
	}
	for _, want := range wanted {
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
}

// GPUStack gives its samples a label instance, which Prometheus then renames.
func TestGPUStackBug25_NoInstanceLabel(t *testing.T) {
	e, _ := newExporter(t, newEngine("a"))
	for _, path := range []string{"/metrics", "/metrics?cluster_labels=target", "/metrics/raw"} {
		if page := get(t, e.Handler(), path); strings.Contains(page, `{instance="`) || strings.Contains(page, `,instance="`) {
			t.Errorf("%s: there is a label instance", path)
		}
	}
}

func TestFaultyLinesAreCountedAndLoggedOnce(t *testing.T) {
	a := newEngine("a")
	e, log := newExporter(t, a)
	a.set(vllmPage+"vllm:num_requests_waiting{model_name=\"q\"} -nan(ind)\nvllm:num_requests_running{engine=\"0\",model_name=\"qwen\"} 4\n", nil)
	var page string
	for range 3 {
		page = get(t, e.Handler(), "/metrics")
	}
	for family, want := range map[string]string{"gpustack:runtime_parse_errors_total": " 3", "gpustack:runtime_dropped_duplicates_total": " 3", "gpustack:runtime_scrape_success": " 1", "gpustack:num_requests_running": " 3.0"} {
		if got := series(page, family); len(got) != 1 || !strings.HasSuffix(got[0], want) {
			t.Errorf("%s: got %q, want%s", family, got, want)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "line 6") {
		t.Errorf("logged %d times:\n%s", n, log)
	}
	a.set(vllmPage, nil)
	get(t, e.Handler(), "/metrics")
	a.set(vllmPage+"vllm:num_requests_waiting x\n", nil)
	get(t, e.Handler(), "/metrics")
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("logged %d times in all:\n%s", n, log)
	}
}

func TestChangedIdentityAndMappingAreUsedByTheNextScrape(t *testing.T) {
	a := newEngine("a")
	e, _ := newExporter(t, a)
	h := e.Handler()
	get(t, h, "/metrics")
	a.instance.ModelID = "33"
	e.identity = func() Identity { return Identity{WorkerID: "9", WorkerName: "other"} }
	doc, err := mapping.Decode([]byte(`{"gpustack_metrics":{"gpustack:mine":{"type":"gauge","description":"Mine."}},"runtime_mapping":{"vLLM":{"*":{"vllm:num_requests_running":"gpustack:mine"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := mapping.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	e.mapping = &fakeMapping{compiled, 5}
	page := get(t, h, "/metrics")
	want := []string{`gpustack:mine{worker_id="9",worker_name="other",model_id="33",model_name="qwen",model_instance_id="7",model_instance_name="a",runtime="vLLM",engine="0"} 3.0`}
	if diff := cmp.Diff(want, series(page, "gpustack:mine")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := series(page, "gpustack:metrics_config_applied_generation"); len(got) != 1 || !strings.HasSuffix(got[0], " 5") {
		t.Errorf("got %q", got)
	}
	if got := series(page, "gpustack:num_"); got != nil {
		t.Errorf("the old mapping still has %q", got)
	}
}

func TestReply(t *testing.T) {
	e, _ := newExporter(t, newEngine("a"))
	h := e.Handler()
	for accept, zipped := range map[string]bool{
		"": false, "gzip": true, "gzip, deflate": true, "deflate;q=1, GZIP;q=0.5": true, "*": true, "gzip;q=0": false, "gzip; q=0.000": false, "identity": false, "br": false,
	} {
		for range 2 { // pooled writers too
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
			r.Header.Set("Accept-Encoding", accept)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header().Get("Content-Encoding") == "gzip"; got != zipped {
				t.Errorf("%q: gzip %v", accept, got)
			}
			if w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) || w.Header().Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
				t.Errorf("%q: header %v for %d bytes", accept, w.Header(), w.Body.Len())
			}
			var body io.Reader = w.Body
			if zipped {
				zr, err := gzip.NewReader(body)
				if err != nil {
					t.Fatal(err)
				}
				body = zr
			}
			page, err := io.ReadAll(body)
			if err != nil || !strings.Contains(string(page), "gpustack:num_requests_running{") {
				t.Errorf("%q: %v\n%s", accept, err, page)
			}
		}
	}
}

func TestScrapesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEngine("a")
		a.delay = time.Hour
		e, _ := newExporter(t, a)
		h := e.Handler()
		var refused atomic.Int32
		var wg sync.WaitGroup
		for range maxScrapes + 5 {
			wg.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
				if w.Code == http.StatusServiceUnavailable {
					refused.Add(1)
				}
			})
		}
		wg.Wait()
		if n := refused.Load(); n != 5 {
			t.Errorf("%d were refused", n)
		}
		if n := a.fetches.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestManyScrapesAtOnce(t *testing.T) {
	engines := []Engine{newEngine("a"), newEngine("b"), newEngine("c")}
	e, _ := newExporter(t, engines...)
	h := e.Handler()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			path := []string{"/metrics", "/metrics?cluster_labels=target", "/metrics/raw", "/metrics/raw?cluster_labels=target"}[i%4]
			for range 50 {
				if page := get(t, h, path); strings.Count(page, "num_requests_running{") != 3 {
					t.Errorf("%s: got\n%s", path, page)
				}
			}
		})
	}
	wg.Wait()
	for _, en := range engines {
		f := en.(*fakeEngine)
		if f.fetches.Load() != f.released.Load() {
			t.Errorf("%d fetches, %d released", f.fetches.Load(), f.released.Load())
		}
	}
}

func BenchmarkScrape(b *testing.B) {
	engines := make([]Engine, 4)
	for i := range engines {
		engines[i] = newEngine(fmt.Sprint("engine-", i))
	}
	e, _ := newExporter(b, engines...)
	h := e.Handler()
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil))
	}
}
