//go:build !race

package worker

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	ossignal "os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/simengine"
)

// childEnginesKey names the variable by which TestMain is told to be a worker with the engines that it lists.
const childEnginesKey = "STACKSCOPE_TEST_WORKER_ENGINES"

func TestMain(m *testing.M) {
	if engines := os.Getenv(childEnginesKey); engines != "" {
		if err := beWorker(strings.Fields(engines)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beWorker is a worker in a process of its own. It prints where its metrics are.
func beWorker(engines []string) error {
	o := DefaultOptions()
	o.Address, o.MetricsHost, o.MetricsPort = "127.0.0.1", "127.0.0.1", 0
	o.Discover, o.Logger = nil, slog.New(slog.NewTextHandler(os.Stderr, nil))
	for _, text := range engines {
		d, err := engine.ParseDeclaration(text)
		if err != nil {
			return err
		}
		o.Engines = append(o.Engines, d)
	}
	var err error
	if o.DataDir, err = os.MkdirTemp("", "stackscope-worker-*"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(o.DataDir) }()
	o.LimitMemory = true
	ctx, stop := ossignal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	w, err := New(ctx, o)
	if err != nil {
		return err
	}
	fmt.Println(w.Addr())
	return w.Run(ctx)
}

// again writes text until the client goes away, n times at most if n is not negative, with a pause after each.
func again(text string, n int, pause time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i != n; i++ {
			if _, err := io.WriteString(w, text); err != nil || r.Context().Err() != nil {
				return
			}
			if pause > 0 {
				_ = http.NewResponseController(w).Flush()
				time.Sleep(pause)
			}
		}
	}
}

// hostile are pages that no engine should have.
func hostile() []http.HandlerFunc {
	series := func(format string, n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			out := bufio.NewWriter(w)
			for i := range n {
				_, _ = fmt.Fprintf(out, format, i)
			}
			_ = out.Flush()
		}
	}
	announced := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(15<<20))
		_, _ = io.WriteString(w, vllmPage)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(100 * time.Millisecond)
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 1 << 10 {
		_, _ = z.Write(bytes.Repeat([]byte("vllm:num_requests_running 1\n"), 1<<12))
	}
	_ = z.Close()
	zipped := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	}
	return []http.HandlerFunc{
		again(strings.Repeat("vllm:num_requests_running 1\n", 1000), -1, 0),       // gigabytes
		again(strings.Repeat("a", 1<<16), -1, 0),                                  // a line without an end
		series("vllm:num_requests_running{engine=\"%d\"} 1\n", 1_000_000),         // more than a page may have
		series("vllm:num_requests_running{engine=\"%d\"} 1\n", 300_000),           // less
		series("vllm:e2e_request_latency_seconds_bucket{le=\"%d\"} 1\n", 250_000), // buckets
		series("vllm:unknown_%d 1\n", 500_000),                                    // names
		again("vllm:num_requests_running{"+strings.Repeat(`a="b",`, 1_000_000)+"} 1\n", 1, 0),
		again("vllm:num_requests_running{a=\""+strings.Repeat("x", 1<<20)+"\"} 1\n", 15, 0),
		again(strings.Repeat("n", 1<<20)+" 1\n", 10, 0),
		again("vllm:\xff\xfe{\xc0=\"\xff\"} 1\nvllm:num_requests_running{a=\"\xff\"} 1\n", 100_000, 0),
		again(strings.Repeat("\x00", 1<<16), 200, 0),
		again("# TYPE vllm:num_requests_running gauge\n# TYPE vllm:num_requests_running histogram\nvllm:num_requests_running 1\n", 50_000, 0),
		again("vllm:num_requests_running 1\n", -1, time.Second), // a drip
		announced, zipped,
	}
}

// oneOf answers with a page of its own, or with hostile ones in turn.
type oneOf struct {
	good    http.Handler
	hostile []http.HandlerFunc
	turned  *atomic.Bool
	turn    atomic.Int64
}

func (o *oneOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !o.turned.Load() || len(o.hostile) == 0 || r.URL.Path != "/metrics" {
		o.good.ServeHTTP(w, r)
		return
	}
	o.hostile[int(o.turn.Add(1))%len(o.hostile)](w, r)
}

// watchedWorker is a worker's process.
type watchedWorker struct {
	t    *testing.T
	url  string
	pid  int
	most atomic.Int64 // KiB resident
}

func startWorker(t *testing.T, engines []string) *watchedWorker {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), childEnginesKey+"="+strings.Join(engines, " "))
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	t.Cleanup(func() {
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the worker's log ends:\n%s", log.Bytes()[max(0, log.Len()-4000):])
		}
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	return &watchedWorker{t: t, url: "http://" + strings.TrimSpace(address), pid: cmd.Process.Pid}
}

// resident returns the KiB that are resident now.
func (p *watchedWorker) resident() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kib int64
	_, _ = fmt.Sscan(rest, &kib)
	return kib
}

// watch notes the most that is resident until ctx ends.
func (p *watchedWorker) watch(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		p.most.Store(max(p.most.Load(), p.resident()))
		<-tick.C
	}
}

// scrape returns the worker's page.
func (p *watchedWorker) scrape(path string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %v", resp.Status, err)
	}
	return string(page)
}

// value returns the value of the one sample whose line has all parts.
func value(page string, parts ...string) (v float64, ok bool) {
lines:
	for line := range strings.Lines(page) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		if line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64)
		return v, err == nil
	}
	return 0, false
}

// What one engine sends must cost the others nothing, and the worker no memory that grows. STACKSCOPE_HOSTILE=5m makes it a
// long run.
func TestHostileEnginesCostTheOthersNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	run := 15 * time.Second
	if long, err := time.ParseDuration(os.Getenv("STACKSCOPE_HOSTILE")); err == nil {
		run = long
	}
	var turned atomic.Bool
	pages := hostile()
	var engines []string
	for i := range 8 {
		sim, err := simengine.New(simengine.Options{Profile: simengine.ProfileVLLM, Model: "qwen", Seed: uint64(i + 1), Start: time.Now().Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		o := &oneOf{good: sim.Handler(), turned: &turned}
		name := fmt.Sprint("good-", i)
		if i%2 == 1 {
			name, o.hostile = fmt.Sprint("hostile-", i), pages
			o.turn.Store(int64(i * 2))
		}
		s := httptest.NewServer(o)
		t.Cleanup(func() {
			s.CloseClientConnections()
			s.Close()
		})
		engines = append(engines, fmt.Sprintf("url=%s,model=qwen,instance=%s,runtime=vLLM", s.URL, name))
	}
	w := startWorker(t, engines)
	check := func(page string) {
		t.Helper()
		for i := 0; i < 8; i += 2 {
			label := fmt.Sprintf(`model_instance_name="good-%d"`, i)
			success, _ := value(page, "gpustack:runtime_scrape_success{", label)
			coverage, _ := value(page, "gpustack:metrics_mapping_coverage_ratio{", label)
			if n := strings.Count(page, label); success != 1 || coverage < 0.8 || n < 200 {
				t.Errorf("good-%d: success %v, coverage %v, %d lines", i, success, coverage, n)
			}
		}
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	// Without hostile pages, as long as it takes to be at rest.
	var quiet string
	for range 5 {
		quiet = w.scrape("/metrics")
		check(quiet)
		<-tick.C
	}
	idle, goroutines := w.resident(), 0.0
	goroutines, _ = value(quiet, "go_goroutines ")
	if _, ok := value(quiet, "gpustack:runtime_scrape_success{", `model_instance_name="hostile-1"`); !ok {
		t.Fatal("the hostile engines are not there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { defer close(watched); w.watch(ctx) }()
	turned.Store(true)
	rounds, slowest := 0, time.Duration(0)
	for end := time.Now().Add(run); time.Now().Before(end); rounds++ {
		start := time.Now()
		check(w.scrape("/metrics"))
		slowest = max(slowest, time.Since(start))
		if rounds%10 == 5 {
			w.scrape("/metrics/raw") // somebody has a look
		}
		<-tick.C
	}
	cancel()
	<-watched
	turned.Store(false)
	var page string
	after, healed := 0.0, 0.0
	for range 20 { // aborted connections, and the memory of large pages, are released a moment later
		page = w.scrape("/metrics")
		after, _ = value(page, "go_goroutines ")
		healed, _ = value(page, "gpustack:runtime_scrape_success{", `model_instance_name="hostile-1"`)
		if after <= goroutines+4 && healed == 1 {
			break
		}
		<-tick.C
	}
	check(page)
	t.Logf("%d scrapes, the slowest %s; resident %d MiB idle, at most %d MiB, %d MiB in the end; %v goroutines, then %v", rounds, slowest.Round(time.Millisecond), idle>>10, w.most.Load()>>10, w.resident()>>10, goroutines, after)
	// Half of it is pages, which share a budget; the rest is garbage between two collections, which is more on a busy machine.
	const allowed = 80 // MiB
	if more := w.most.Load() - idle; more > allowed<<10 {
		t.Errorf("the worker grew by %d MiB, %d are allowed", more>>10, allowed)
	}
	if after > goroutines+4 {
		t.Errorf("%v goroutines before, %v after", goroutines, after)
	}
	if healed != 1 {
		t.Error("an engine whose pages are good again is not read")
	}
}
