package prom

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/stackscope/stackscope/internal/targets"
	"github.com/stackscope/stackscope/tests/programs"
)

const testPrefix = "/prometheus"

// fastJobs are the real jobs at an interval that tests can wait for.
func fastJobs() []Job {
	return []Job{{JobWorkers, 200 * time.Millisecond}, {JobServer, 200 * time.Millisecond}}
}

// instance is a running Prometheus behind a real HTTP server.
type instance struct {
	*Prometheus
	url  string // with the prefix
	stop func() // ends Run; fails the test when Run returns an error
}

func start(t *testing.T, o Options) *instance {
	t.Helper()
	in := launch(t, o)
	select {
	case <-in.Ready():
	case <-time.After(20 * time.Second):
		t.Fatalf("not ready within 20 s: %v", in.Err())
	}
	return in
}

// launch starts one without waiting for its data.
func launch(t *testing.T, o Options) *instance {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Jobs == nil {
		o.Jobs = fastJobs()
	}
	o.PathPrefix = testPrefix
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	p.opts.StopTimeout = 20 * time.Second
	server := httptest.NewServer(p.Handler())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var stopped atomic.Bool
	in := &instance{Prometheus: p, url: server.URL + testPrefix}
	in.stop = func() {
		if stopped.Swap(true) {
			return
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		server.Close()
	}
	t.Cleanup(in.stop)
	return in
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	return do(t, http.MethodGet, url, nil)
}

func do(t *testing.T, method, url string, header http.Header) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if location := resp.Header.Get("Location"); location != "" {
		return resp.StatusCode, location
	}
	return resp.StatusCode, string(body)
}

// series is one element of an instant query's result.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

func (in *instance) query(t *testing.T, expr string) []series {
	t.Helper()
	status, body := get(t, in.url+"/api/v1/query?query="+url.QueryEscape(expr))
	var answer struct {
		Status string
		Data   struct{ Result []series }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || answer.Status != "success" {
		t.Fatalf("query %s: status %d, %v: %s", expr, status, err, body)
	}
	return answer.Data.Result
}

// await asks until the result is good.
func (in *instance) await(t *testing.T, expr string, good func([]series) bool) []series {
	t.Helper()
	var got []series
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = in.query(t, expr); good(got) {
			return got
		}
	}
	t.Fatalf("query %s: still %v after 15 s", expr, got)
	return nil
}

func some(result []series) bool { return len(result) > 0 }
func none(result []series) bool { return len(result) == 0 }

// target serves a page and counts who asks how.
type target struct {
	*httptest.Server
	asked atomic.Pointer[url.Values]
}

func newTarget(t *testing.T, page string) *target {
	t.Helper()
	tg := &target{}
	tg.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		tg.asked.Store(&q)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = fmt.Fprint(w, page)
	}))
	t.Cleanup(tg.Close)
	return tg
}

func (tg *target) group(labels map[string]string) []targets.Group {
	return []targets.Group{{Targets: []string{tg.Listener.Addr().String()}, Labels: labels}}
}

const workerPage = `# HELP gpustack:num_requests_running Requests being processed.
# TYPE gpustack:num_requests_running gauge
gpustack:num_requests_running{runtime="vLLM",model_name="qwen"} 3
gpustack:num_requests_running{runtime="SGLang",model_name="qwen"} 4
# TYPE gpustack:time_to_first_token_seconds histogram
gpustack:time_to_first_token_seconds_bucket{runtime="vLLM",le="0.5"} 1
gpustack:time_to_first_token_seconds_bucket{runtime="vLLM",le="+Inf"} 2
gpustack:time_to_first_token_seconds_sum{runtime="vLLM"} 1.5
gpustack:time_to_first_token_seconds_count{runtime="vLLM"} 2
`

func TestScrapedSampleIsAnsweredByPromQL(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	worker := newTarget(t, workerPage)
	in.SetTargets(JobWorkers, worker.group(map[string]string{
		"cluster_name":             "default",
		"worker_name":              "node-1",
		"__param_cluster_labels":   "target",
		"__meta_gpustack_anything": "gone",
	}))
	server := newTarget(t, "gpustack:cluster{cluster_name=\"default\"} 1\n")
	in.SetTargets(JobServer, server.group(nil))

	got := in.await(t, `gpustack:num_requests_running{runtime="vLLM"}`, some)
	want := map[string]string{
		"__name__": "gpustack:num_requests_running", "runtime": "vLLM", "model_name": "qwen",
		"cluster_name": "default", "worker_name": "node-1",
		"job": JobWorkers, "instance": worker.Listener.Addr().String(),
	}
	if diff := cmp.Diff(want, got[0].Metric); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if got[0].Value[1] != "3" {
		t.Errorf("value %v, want 3", got[0].Value[1])
	}
	if q := worker.asked.Load(); q.Get("cluster_labels") != "target" {
		t.Errorf("the target was asked with %v, want cluster_labels=target", q)
	}

	in.await(t, `gpustack:cluster`, some)
	if q := server.asked.Load(); len(*q) != 0 {
		t.Errorf("the server was asked with %v, want no parameters", q)
	}
	byRuntime := in.query(t, `count by (runtime) (gpustack:num_requests_running)`)
	if len(byRuntime) != 2 {
		t.Errorf("count by (runtime): %v, want two runtimes", byRuntime)
	}
	if b := in.query(t, `gpustack:time_to_first_token_seconds_bucket{le="+Inf"}`); len(b) != 1 || b[0].Value[1] != "2" {
		t.Errorf("histogram bucket: %v, want one of value 2", b)
	}
	if up := in.query(t, `up`); len(up) != 2 {
		t.Errorf("up: %v, want two targets", up)
	}
}

func TestTargetThatIsDownAndTargetThatIsGone(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	worker := newTarget(t, workerPage)
	group := worker.group(map[string]string{"worker_name": "node-1"})
	in.SetTargets(JobWorkers, group)
	in.await(t, `up{worker_name="node-1"} == 1`, some)

	worker.Close()
	in.await(t, `up{worker_name="node-1"} == 0`, some)
	in.await(t, `gpustack:num_requests_running`, none)

	in.SetTargets(JobWorkers, nil)
	in.await(t, `up`, none)
}

func TestGroupsOfAJobAreAllScraped(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	first, second := newTarget(t, "a 1\n"), newTarget(t, "a 2\n")
	groups := append(first.group(map[string]string{"cluster_name": "a"}), second.group(map[string]string{"cluster_name": "b"})...)
	in.SetTargets(JobWorkers, groups)
	in.await(t, `a{cluster_name="a"} == 1 and on () a{cluster_name="b"} == 2`, some)
	in.SetTargets(JobWorkers, groups[1:])
	in.await(t, `up{cluster_name="a"}`, none)
	if got := in.query(t, `up`); len(got) != 1 {
		t.Errorf("%v is up, want the second target alone", got)
	}
}

func TestSetTargetsKeepsTheLastCall(t *testing.T) {
	t.Parallel()
	first, last := newTarget(t, "a 1\n"), newTarget(t, "b 1\n")
	p, err := New(Options{Dir: t.TempDir(), Jobs: fastJobs()})
	if err != nil {
		t.Fatal(err)
	}
	// Nobody receives yet: a call that waited for that would hang here.
	for range 100 {
		p.SetTargets(JobWorkers, first.group(nil))
	}
	p.SetTargets(JobServer, first.group(nil))
	p.SetTargets(JobWorkers, last.group(nil))
	p.SetTargets("no-such-job", last.group(nil))
	got := <-p.updates
	if len(got) != 2 {
		t.Fatalf("got jobs %v, want the two that exist", got)
	}
	for job, tg := range map[string]*target{JobWorkers: last, JobServer: first} {
		if address := string(got[job][0].Targets[0]["__address__"]); address != tg.Listener.Addr().String() {
			t.Errorf("job %s has target %s, want %s", job, address, tg.Listener.Addr())
		}
		if source := got[job][0].Source; source != job+"/0" {
			t.Errorf("job %s has source %q", job, source)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDataDirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(Options{Dir: dir})
	want := "prometheus: data directory " + dir + " is in use by another process; stop that process, or set another --data-dir"
	if err == nil || err.Error() != want {
		t.Errorf("second New: got %v, want %s", err, want)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	// A separate Prometheus is refused by the same lock file.
	in := start(t, Options{Dir: dir})
	if db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil); err == nil {
		_ = db.Close()
		t.Error("tsdb.Open took a directory that is in use")
	}
	in.stop()
	if _, err := os.Stat(filepath.Join(dir, "lock")); !os.IsNotExist(err) {
		t.Errorf("the lock file is still there after Run: %v", err)
	}
}

func TestDataDirectoryUnusable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	readOnly := filepath.Join(t.TempDir(), "ro")
	if err := os.Mkdir(readOnly, 0o500); err != nil {
		t.Fatal(err)
	}
	taken := t.TempDir()
	if err := os.Mkdir(filepath.Join(taken, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ dir, want string }{
		"a file is above":          {filepath.Join(file, "prometheus"), "can't be created: " + file + " is a file; move it away"},
		"a file is in its place":   {file, "can't be created: " + file + " is a file; move it away"},
		"below a read-only one":    {filepath.Join(readOnly, "prometheus"), "can't be created: permission denied; give this user write permission, or set another --data-dir"},
		"read-only":                {readOnly, "can't be written to: permission denied; give this user write permission, or set another --data-dir"},
		"lock file is a directory": {taken, "can't be written to: " + filepath.Join(taken, "lock") + " is a directory; move it away"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "read-only") && os.Geteuid() == 0 {
				t.Skip("root may write everywhere")
			}
			p, err := New(Options{Dir: tc.dir})
			if err != nil {
				t.Fatal(err)
			}
			_, out := p.tryOpen()
			want := "prometheus: data directory " + tc.dir + " " + tc.want + "; the server retries every 15s"
			if p.health.setOutage(out); p.Err() == nil || p.Err().Error() != want || !out.transient {
				t.Errorf("got  %v\nwant %s", p.Err(), want)
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for want, o := range map[string]Options{
		"no data directory given":            {},
		"retention time -1s: use a time":     {Dir: dir, RetentionTime: -time.Second},
		"retention time 1752000h0m0s: use a": {Dir: dir, RetentionTime: 200 * 365 * 24 * time.Hour},
		"retention size -1: use a number":    {Dir: dir, RetentionBytes: -1},
		`path prefix "prometheus": begin it`: {Dir: dir, PathPrefix: "prometheus"},
		`path prefix "/prometheus/": begin`:  {Dir: dir, PathPrefix: "/prometheus/"},
		"web UI: open index.html: file does": {Dir: dir, UI: os.DirFS(t.TempDir())},
	} {
		_, err := New(o)
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "no such file", "file does"), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRestartKeepsSamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := start(t, Options{Dir: dir})
	worker := newTarget(t, workerPage)
	in.SetTargets(JobWorkers, worker.group(nil))
	in.await(t, `gpustack:num_requests_running`, some)
	in.stop()

	in = start(t, Options{Dir: dir})
	if got := in.query(t, `max_over_time(gpustack:num_requests_running{runtime="SGLang"}[5m])`); len(got) != 1 || got[0].Value[1] != "4" {
		t.Errorf("after the restart: %v, want one series of value 4", got)
	}
}

// writeTSDB makes the data directory of a Prometheus that has run before: blocks with a sample of each age, and one in the head.
func writeTSDB(t *testing.T, dir string, ages ...time.Duration) {
	t.Helper()
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, age := range ages {
		app := db.Appender(t.Context())
		if _, err := app.Append(0, labels.FromStrings("__name__", "inherited"), time.Now().Add(-age).UnixMilli(), age.Minutes()); err != nil {
			t.Fatal(err)
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(db.Blocks()); n != len(ages)-1 {
		t.Fatalf("%d blocks were written", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryOfASeparatePrometheusIsTakenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTSDB(t, dir, 8*time.Hour, time.Minute)
	in := start(t, Options{Dir: dir})
	if got := in.query(t, `inherited`); len(got) != 1 || got[0].Value[1] != "1" {
		t.Errorf("from the head: %v, want 1", got)
	}
	if got := in.query(t, `max_over_time(inherited[1d])`); len(got) != 1 || got[0].Value[1] != "480" {
		t.Errorf("from the block: %v, want 480", got)
	}
}

func TestOldBlocksGo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		Options
		left int
	}{
		"none yet": {Options{}, 2},
		"by age":   {Options{RetentionTime: 10 * time.Hour}, 1},
		"by size":  {Options{RetentionBytes: 1}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tc.Dir = t.TempDir()
			writeTSDB(t, tc.Dir, 30*time.Hour, 8*time.Hour, time.Minute)
			in := start(t, tc.Options)
			_, body := get(t, in.url+"/api/v1/status/tsdb/blocks")
			if n := strings.Count(body, `"ulid"`); n != tc.left {
				t.Errorf("%d blocks are left, want %d: %s", n, tc.left, body)
			}
			if got := in.query(t, `inherited`); len(got) != 1 {
				t.Errorf("the newest sample: %v", got)
			}
		})
	}
}

func TestCorruptedWriteAheadLogIsRepairedAndLogged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTSDB(t, dir, 8*time.Hour, time.Minute)
	segments, err := filepath.Glob(filepath.Join(dir, "wal", "0*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no write-ahead log: %v", err)
	}
	f, err := os.OpenFile(segments[len(segments)-1], os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(strings.Repeat("garbage ", 100)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	var log programs.Buffer
	in := start(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if got := in.query(t, `inherited`); len(got) != 1 {
		t.Errorf("what lay before the corruption: %v, want one series", got)
	}
	if !strings.Contains(log.String(), "attempting repair") {
		t.Errorf("the repair wasn't logged:\n%s", log.String())
	}
	_, body := get(t, in.url+"/api/v1/status/runtimeinfo")
	if !strings.Contains(body, `"corruptionCount":1`) {
		t.Errorf("the status page doesn't know of the corruption: %s", body)
	}
}
