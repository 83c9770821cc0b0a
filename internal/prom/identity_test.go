package prom

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"

	"github.com/stackscope/stackscope/internal/targets"
	"github.com/stackscope/stackscope/tests/programs"
)

const gpuAddress = "gpu:1"

// Two workers of one address, in two clusters, don't lend each other their names.
func TestSampleNamesOneWorkerOfItsCluster(t *testing.T) {
	adm := newSharedParts(Options{Dir: t.TempDir()}, slog.New(slog.DiscardHandler)).filter
	known := identities(map[string][]Worker{gpuAddress: {
		{ID: "1", Name: "one", ClusterID: "1"}, {ID: "2", Name: "two", ClusterID: "1"}, {ID: "3", Name: "victim", ClusterID: "2"},
	}}, nil)
	adm.workers.Store(&known)
	from := func(address string, ls ...string) source {
		b := labels.NewBuilder(labels.FromStrings(ls...))
		return adm.source(scrape.NewTarget(b.Set(model.AddressLabel, address).Labels(), nil, nil, nil))
	}
	inOne, inNone, gone := from(gpuAddress, "cluster_id", "1", "cluster_name", "a"), from(gpuAddress), from("gone:1", "cluster_id", "1")
	nameless := from(gpuAddress, "cluster_id", "1")
	for _, tc := range []struct {
		from   source
		labels []string
		has    bool
	}{
		{inOne, nil, true},
		{inOne, []string{"worker_id", "1", "worker_name", "one"}, true},
		{inOne, []string{"worker_id", "2"}, true},
		{inOne, []string{"worker_name", "two"}, true},
		{inOne, []string{"worker_id", "1", "worker_name", "one", "cluster_id", "1", "cluster_name", "a"}, true},
		{inOne, []string{"worker_id", "1", "worker_name", "two"}, false},
		{inOne, []string{"worker_name", "victim"}, false},
		{inOne, []string{"worker_id", "3"}, false},
		{inOne, []string{"worker_id", "1", "worker_name", "victim"}, false},
		{inOne, []string{"worker_id", "3", "worker_name", "victim", "cluster_id", "2"}, false},
		{inOne, []string{"worker_id", "1", "cluster_name", "b"}, false},
		{nameless, []string{"worker_id", "1", "cluster_name", "b"}, false},
		{inNone, []string{"worker_id", "3", "worker_name", "victim"}, true},
		{inNone, []string{"worker_name", "victim", "cluster_id", "2"}, true},
		{inNone, []string{"worker_name", "victim", "cluster_id", "1"}, false},
		{inNone, []string{"worker_id", "3", "cluster_id", "1"}, false},
		{gone, nil, true},
		{gone, []string{"worker_id", "1"}, false},
		{gone, []string{"worker_name", "one"}, false},
	} {
		if got := tc.from.allows(labels.FromStrings(tc.labels...)); got != tc.has {
			t.Errorf("%v at a target of cluster %q: %v", tc.labels, tc.from.clusterID, got)
		}
	}
}

// An identity stays the same as long as nothing about it changes, so that others' changes cost a target nothing.
func TestOthersChangesAreNoChange(t *testing.T) {
	a, b := []Worker{{ID: "1", Name: "one"}}, []Worker{{ID: "2", Name: "two"}}
	first := identities(map[string][]Worker{"a:1": a, "b:1": b}, nil)
	second := identities(map[string][]Worker{"a:1": a, "b:1": {{ID: "2", Name: "other"}}}, first)
	if first["a:1"] != second["a:1"] || first["b:1"] == second["b:1"] {
		t.Error("what changed is not what is looked at again")
	}
}

// changing is a target whose page is written anew for each scrape.
type changing struct {
	*httptest.Server
	page   atomic.Pointer[string]
	rounds atomic.Int64
}

func newChanging(t *testing.T, page string) *changing {
	t.Helper()
	c := &changing{}
	c.page.Store(&page)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "round %d\n%s", c.rounds.Add(1), *c.page.Load())
	}))
	t.Cleanup(c.Close)
	return c
}

// more waits until n more pages are stored.
func (c *changing) more(t *testing.T, in *instance, n int64) {
	t.Helper()
	in.await(t, fmt.Sprintf("round > %d", c.rounds.Load()+n), some)
}

// A series that was there goes on only as long as its worker is the one at the address.
func TestCachedSeriesAreCheckedAgain(t *testing.T) {
	t.Parallel()
	for name, trick := range map[string]string{
		"at once":               "a{worker_name=\"later\"} 666\nown{worker_name=\"evil\"} 1\n",
		"after a time far away": fmt.Sprintf("a{worker_name=\"later\"} 666 %d\n", time.Now().Add(time.Hour).UnixMilli()),
		"after an absence":      "",
		"after a broken page":   "a{\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log programs.Buffer
			in := start(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			page := "a{worker_name=\"later\"} 666\nown{worker_name=\"evil\"} 1\n"
			c := newChanging(t, page)
			at := c.Listener.Addr().String()
			in.SetWorkers(map[string][]Worker{at: {{ID: "1", Name: "later"}}})
			in.SetTargets(JobWorkers, []targets.Group{{Targets: []string{at}, Labels: map[string]string{}}})
			in.await(t, "a", some)
			c.more(t, in, 2)
			c.page.Store(&trick)
			in.SetWorkers(map[string][]Worker{at: {{ID: "1", Name: "evil"}}})
			for asked := c.rounds.Load(); c.rounds.Load() < asked+3; {
				time.Sleep(10 * time.Millisecond)
			}
			c.page.Store(&page)
			c.more(t, in, 3)
			in.await(t, "own", some)
			if got := in.query(t, `a`); len(got) != 0 {
				t.Errorf("another worker's series goes on: %v", got)
			}
			if s := log.String(); name == "at once" && (strings.Contains(s, "level=ERROR") || strings.Contains(s, "level=WARN")) {
				t.Errorf("the log says\n%s", s)
			}
			in.SetWorkers(map[string][]Worker{at: {{ID: "1", Name: "later"}}})
			in.await(t, "a", some) // it is the worker again
		})
	}
}

// A target that is leaving speaks for no worker, and nothing is said about that.
func TestTargetWithoutAWorkerNamesNone(t *testing.T) {
	t.Parallel()
	var log programs.Buffer
	in := start(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c := newChanging(t, "a{worker_id=\"1\",worker_name=\"one\"} 1\n")
	at := c.Listener.Addr().String()
	in.SetWorkers(map[string][]Worker{at: {{ID: "1", Name: "one"}}})
	in.SetTargets(JobWorkers, []targets.Group{{Targets: []string{at}, Labels: map[string]string{}}})
	in.await(t, "a", some)
	in.SetWorkers(map[string][]Worker{})
	c.more(t, in, 2)
	in.await(t, "a", none)
	in.SetTargets(JobWorkers, nil)
	in.await(t, "round", none)
	if s := log.String(); strings.Contains(s, "level=ERROR") || strings.Contains(s, "level=WARN") {
		t.Errorf("the log says\n%s", s)
	}
}

// When all was looked at, remembered series pass without a look again.
func TestCheckingEnds(t *testing.T) {
	adm := newSharedParts(Options{Dir: t.TempDir()}, slog.New(slog.DiscardHandler)).filter
	known := identities(map[string][]Worker{gpuAddress: {{ID: "1", Name: "one"}}}, nil)
	adm.workers.Store(&known)
	target := scrape.NewTarget(labels.FromStrings(model.AddressLabel, gpuAddress), nil, nil, nil)
	around := &sharedParts{filter: adm}
	pageOf := func(scraped float64, refs ...seriesRef) bool {
		a := &guardedAppender{AppenderV2: nothing{}, shared: around, worker: true, source: adm.source(target), series: func() uint64 { return 0 }}
		a.verified = a.source.verified()
		for _, ref := range refs {
			name := map[bool]string{true: "one", false: "another"}[ref < 100]
			_, _ = a.Append(ref, labels.FromStrings("__name__", "a", "worker_name", name), 0, 1, 1, nil, nil, options{})
		}
		_, _ = a.Append(3, labels.FromStrings("__name__", "scrape_samples_scraped"), 0, 1, scraped, nil, nil, options{MetricFamilyName: samplesScraped})
		a.saveCheck()
		return adm.source(target).verified()
	}
	for _, tc := range []struct {
		what    string
		scraped float64
		refs    []seriesRef
		settled bool
	}{
		{"nothing came", 0, nil, false},
		{"one of two came", 2, []seriesRef{1}, false},
		{"one may not be there", 2, []seriesRef{1, 100}, false},
		{"all came", 2, []seriesRef{1, 2}, true},
	} {
		if got := pageOf(tc.scraped, tc.refs...); got != tc.settled {
			t.Errorf("%s: settled is %v", tc.what, got)
		}
	}
	changed := identities(map[string][]Worker{gpuAddress: {{ID: "1", Name: "new"}}}, known)
	adm.workers.Store(&changed)
	if adm.source(target).verified() {
		t.Error("another worker is there, and nothing is looked at")
	}
}

// A series whose labels are too large is left out alone.
func TestLabelsHaveABound(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	worker := newTarget(t, fmt.Sprintf("a{v=%q} 1\nlarge{v=%q} 1\nmany{%s} 1\nplain 1\n", strings.Repeat("x", maxLabelBytes-300), strings.Repeat("x", maxLabelBytes),
		strings.TrimSuffix(strings.Repeat("L", 300), "L")+`="x",v="`+strings.Repeat("x", maxLabelBytes-300)+`"`))
	in.SetTargets(JobWorkers, worker.group(nil))
	in.await(t, "a and on () plain", some)
	for expr, n := range map[string]int{"large": 0, "many": 0, "up == 1": 1} {
		if got := in.query(t, expr); len(got) != n {
			t.Errorf("%s: %d series, want %d", expr, len(got), n)
		}
	}
	if _, page := get(t, in.url+"/metrics"); strings.Contains(page, `stackscope_prometheus_samples_refused_total{reason="labels"} 0`) {
		t.Error("it is not counted")
	}
}

// What begins like the embedded Prometheus' own families comes from no worker.
func TestWorkersHaveNoFamiliesOfPrometheus(t *testing.T) {
	t.Parallel()
	in := start(t, Options{ServerFamilies: []string{"stackscope_query_wait_seconds_bucket"}})
	worker := newTarget(t, "prometheus_tsdb_head_series 1\nnet_conntrack_dialer_conn_failed_total 1\nstackscope_query_wait_seconds_bucket 1\n"+
		"stackscope_build_info 1\ngo_goroutines 1\nprocess_open_fds 1\ngpustack:num_requests_running 1\n")
	in.SetTargets(JobWorkers, worker.group(nil))
	in.await(t, `gpustack:num_requests_running`, some)
	for expr, n := range map[string]int{
		`{job="gpustack-worker-discovery",__name__=~"prometheus_.*|net_.*|stackscope_query_.*"}`:                             0,
		`{job="gpustack-worker-discovery",__name__=~"stackscope_build_info|go_.*|process_.*|gpustack:num_requests_running"}`: 4,
	} {
		if got := in.query(t, expr); len(got) != n {
			t.Errorf("%s: %v, want %d", expr, got, n)
		}
	}
}

// A page that unpacks to more than its bound fails its own scrape.
func TestPageHasABound(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z, line := gzip.NewWriter(&packed), strings.Repeat("#", 1<<16-1)+"\n"
	for range 65 << 20 / len(line) {
		_, _ = io.WriteString(z, line)
	}
	_ = z.Close()
	bomb := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}))
	t.Cleanup(bomb.Close)
	in := start(t, Options{Jobs: []Job{{JobWorkers, 5 * time.Second}}})
	in.SetTargets(JobWorkers, []targets.Group{{Targets: []string{bomb.Listener.Addr().String()}}})
	got := in.lastError(t)
	for end := time.Now().Add(time.Minute); strings.Contains(got, "took longer than the scrape timeout") && time.Now().Before(end); got = in.lastError(t) {
		time.Sleep(100 * time.Millisecond) // on a busy machine a scrape may end before it reaches the bound
	}
	if !strings.Contains(got, "body size limit exceeded") {
		t.Errorf("the last error is %s", got)
	}
}
