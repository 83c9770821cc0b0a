package exporter

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// pageWithFaults has, for TestWhatAPageWasIsShown's mapping, two of four families, one unmapped family, a type that
// contradicts the mapping, and a histogram whose buckets fall.
const pageWithFaults = `# TYPE e:a gauge
e:a 1
# TYPE e:b gauge
e:b 1
# TYPE e:h histogram
e:h_bucket{le="1"} 5
e:h_bucket{le="+Inf"} 3
e:h_sum 1
e:h_count 3
# TYPE e:other gauge
e:other{x="1"} 1
e:other{x="2"} 1
`

const smallMapping = `{"gpustack_metrics":{
	"gpustack:a":{"type":"gauge","description":"A."},
	"gpustack:b":{"type":"histogram","description":"B."},
	"gpustack:h":{"type":"histogram","description":"H."},
	"gpustack:n":{"type":"gauge","description":"N."}},
	"runtime_mapping":{"vLLM":{"*":{"e:a":"gpustack:a","e:b":"gpustack:b","e:h":"gpustack:h","e:n":"gpustack:n"}}}}`

// about returns the families about engines' pages, as name suffix and value.
func about(page string) map[string]string {
	got := map[string]string{}
	for line := range strings.Lines(page) {
		name, rest, _ := strings.Cut(line, "{")
		for _, suffix := range []string{"metrics_mapping_coverage_ratio", "runtime_unmapped_families", "runtime_series", "runtime_type_conflicts_total", "runtime_invalid_histograms_total", "runtime_dropped_samples_total"} {
			if name == "gpustack:"+suffix && !strings.Contains(rest, `reason="memory"`) {
				got[suffix] = strings.TrimSpace(rest[strings.LastIndexByte(rest, '}')+1:])
			}
		}
	}
	return got
}

func small(t *testing.T) *fakeMapping {
	t.Helper()
	return compiledMapping(t, smallMapping)
}

func TestWhatAPageWasIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEngine("a")
		a.delay = time.Second
		a.set(pageWithFaults, nil)
		e, _ := newExporter(t, a)
		e.mapping, e.maxSeries = small(t), 4
		h := e.Handler()
		want := map[string]string{
			"metrics_mapping_coverage_ratio": "0.5", "runtime_unmapped_families": "1", "runtime_series": "4",
			"runtime_type_conflicts_total": "1", "runtime_invalid_histograms_total": "1", "runtime_dropped_samples_total": "1",
		}
		// All but one of them use what another made of the page.
		var wg sync.WaitGroup
		for _, path := range []string{"/metrics", "/metrics", "/metrics?cluster_labels=target"} {
			wg.Go(func() {
				page := get(t, h, path)
				if diff := cmp.Diff(want, about(page)); diff != "" {
					t.Errorf("%s: (-want +got)\n%s", path, diff)
				}
			})
		}
		wg.Wait()
		if n := a.fetches.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		a.set("", errors.New("down"))
		if got := about(get(t, h, "/metrics")); len(got) != 0 {
			t.Errorf("without a page: got %v", got)
		}
		a.set(pageWithFaults, nil)
		want["runtime_type_conflicts_total"], want["runtime_invalid_histograms_total"], want["runtime_dropped_samples_total"] = "2", "2", "2"
		if diff := cmp.Diff(want, about(get(t, h, "/metrics"))); diff != "" {
			t.Errorf("second page: (-want +got)\n%s", diff)
		}
	})
}

func TestRawOfWhatIsUnmapped(t *testing.T) {
	a := newEngine("a")
	a.set(pageWithFaults, nil)
	e, _ := newExporter(t, a)
	e.mapping = small(t)
	h := e.Handler()
	for path, want := range map[string]int{"/metrics/raw": 8, "/metrics/raw?unmapped=0": 8, "/metrics/raw?unmapped=1": 2, "/metrics/raw/?unmapped=1&cluster_labels=target": 2} {
		page := get(t, h, path)
		valid(t, page)
		if got := series(page, "e:"); len(got) != want {
			t.Errorf("%s: got %q", path, got)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics/raw?unmapped=yes", nil))
	if w.Code != http.StatusBadRequest || w.Body.String() != "unmapped=\"yes\": give 1 or 0\n" {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

// A page that is cut is logged when that begins, and what it lost is added up from page to page.
func TestCutPagesAreLoggedAndAddedUp(t *testing.T) {
	dropped := func(page, reason string) string {
		for _, line := range series(page, "gpustack:runtime_dropped_samples_total{") {
			if strings.Contains(line, `reason="`+reason+`"`) {
				return line[strings.LastIndexByte(line, ' ')+1:]
			}
		}
		return ""
	}
	large := largePage(1)
	for reason, c := range map[string]struct {
		maxSeries  int
		largeBytes int64
	}{
		"series_limit": {24_990, 64 << 20},
		"memory":       {0, 1},
	} {
		t.Run(reason, func(t *testing.T) {
			a := newEngine("a")
			e, log := newExporter(t, a)
			e.mapping, e.maxSeries, e.memory = small(t), c.maxSeries, budget.NewPool(c.largeBytes)
			h := e.Handler()
			a.set(large, nil)
			first, err := strconv.Atoi(dropped(get(t, h, "/metrics"), reason))
			if err != nil || first < 10 {
				t.Fatalf("%d samples are dropped: %v", first, err)
			}
			if second, err := strconv.Atoi(dropped(get(t, h, "/metrics"), reason)); err != nil || second < first+first/2 {
				t.Errorf("%d samples are dropped in all after %d of the first page: %v", second, first, err)
			}
			other := map[string]string{"series_limit": "memory", "memory": "series_limit"}[reason]
			if got := dropped(get(t, h, "/metrics"), other); got != "0" {
				t.Errorf("%s samples are dropped for the other reason", got)
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "instance=a") {
				t.Errorf("logged %d times:\n%s", n, log)
			}
			a.set("e:a 1\n", nil)
			get(t, h, "/metrics")
			a.set(large, nil)
			get(t, h, "/metrics")
			if n := strings.Count(log.String(), "level=WARN"); n != 2 {
				t.Errorf("logged %d times in all:\n%s", n, log)
			}
		})
	}
}

// fadingCollector has fewer samples each time.
type fadingCollector struct{ left int }

func (*fadingCollector) Name() string { return "fading" }

func (f *fadingCollector) Collect(emit Emit) (time.Duration, error) {
	for i := range f.left {
		emit(&catalog.WorkerNodeFilesystemTotal, "", float64(f.left), exposition.RenderLabels("mountpoint", fmt.Sprint("/", i)))
	}
	f.left--
	return time.Millisecond, nil
}

// What a collector no longer says is not on the page.
func TestCollectorsSamplesAreThoseOfThePage(t *testing.T) {
	e, _ := newExporter(t)
	e.collectors = []Collector{&fadingCollector{3}}
	for left := 3; left >= 0; left-- {
		page := get(t, e.Handler(), "/metrics")
		valid(t, page)
		var want []string
		for i := range left {
			want = append(want, fmt.Sprintf(`gpustack:worker_node_filesystem_total_bytes{%s%s,mountpoint="/%d"} %d`, cluster, worker, i, left))
		}
		if diff := cmp.Diff(want, series(page, "gpustack:worker_node_")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if strings.Contains(page, "TYPE gpustack:worker_node_filesystem") != (left > 0) {
			t.Errorf("with %d samples the family's head is wrong", left)
		}
	}
}
