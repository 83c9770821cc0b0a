package exporter

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/mapping"
)

// fetched is an engine behind HTTP.
type fetched struct {
	fetcher  *engine.Fetcher
	target   engine.Target
	instance Instance
}

func (f *fetched) Fetch(ctx context.Context) (Page, error) {
	page, err := f.fetcher.Fetch(ctx, f.target)
	if err != nil {
		return Page{}, err
	}
	return Page{Body: page.Body, ContentType: page.ContentType, Release: page.Release}, nil
}

func (f *fetched) Instance() Instance { return f.instance }

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

// hostile are pages that no engine should have. An engine that answers with several takes turns.
func hostile() [4][]http.HandlerFunc {
	series := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := range n {
				_, _ = fmt.Fprintf(w, "vllm:num_requests_running{engine=\"%d\"} 1\n", i)
			}
		}
	}
	announced := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(15<<20))
		_, _ = io.WriteString(w, vllmPage)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(100 * time.Millisecond)
	}
	lines := strings.Repeat("vllm:num_requests_running 1\n", 1000)
	return [4][]http.HandlerFunc{
		{again(lines, -1, 0), again(strings.Repeat("a", 1<<16), -1, 0)},
		{again("vllm:num_requests_running 1\n", -1, 50*time.Millisecond), announced},
		{
			again(strings.Repeat("\x00", 1<<16), 32, 0), again("vllm:\xff\xfe{\xc0=\"\xff\"} 1\n", 10_000, 0),
			again(strings.Repeat("n", 1<<20), 2, 0), again("vllm:num_requests_running{"+strings.Repeat(`a="b",`, 1_000_000)+"} 1\n", 1, 0),
		},
		{series(200_000), again("", 0, 0), series(10)},
	}
}

// What one engine sends must cost the others nothing, and the worker no memory that grows. STACKSCOPE_HOSTILE=5m makes it a
// long run with one scrape a second.
func TestHostileEnginesCostTheOthersNothing(t *testing.T) {
	long, _ := time.ParseDuration(os.Getenv("STACKSCOPE_HOSTILE"))
	goroutines := runtime.NumGoroutine()
	fetcher := engine.NewFetcher(engine.FetcherOptions{})
	var engines []Engine
	var servers []*httptest.Server
	add := func(name string, h http.Handler) {
		s := httptest.NewServer(h)
		servers = append(servers, s)
		d, err := engine.ParseDeclaration("url=" + s.URL)
		if err != nil {
			t.Fatal(err)
		}
		target, err := d.Target()
		if err != nil {
			t.Fatal(err)
		}
		engines = append(engines, &fetched{fetcher, target, Instance{Name: name, Model: "qwen", Runtime: "vLLM", Version: "0.11.0"}})
	}
	for i, answers := range hostile() {
		var mu sync.Mutex
		turn := 0
		add(fmt.Sprint("hostile-", i), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			answer := answers[turn%len(answers)]
			turn++
			mu.Unlock()
			answer(w, r)
		}))
		add(fmt.Sprint("good-", i), again(vllmPage, 1, 0))
	}
	compiled, err := mapping.Compile(mapping.Default())
	if err != nil {
		t.Fatal(err)
	}
	const maxSeries = 50_000
	e, err := New(Options{
		Engines: func() []Engine { return engines }, Mapping: &fakeMapping{compiled, 1}, MaxSeries: maxSeries,
		Identity: func() Identity { return Identity{WorkerName: "node-1"} }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := e.Handler()
	var mu sync.Mutex
	var slowest time.Duration
	scrape := func(path string) {
		start := time.Now()
		page := get(t, h, path, timeoutHeader, "1")
		took := time.Since(start)
		mu.Lock()
		slowest = max(slowest, took)
		mu.Unlock()
		for i := range hostile() {
			// The page's own lines and, unless it is /metrics/raw, a verdict.
			name := fmt.Sprintf(`model_instance_name="good-%d"`, i)
			if n := strings.Count(page, "num_requests_running{worker_name=\"node-1\",model_name=\"qwen\","+name); n != 1 {
				t.Errorf("%s: %d lines of good-%d", path, n, i)
			}
		}
	}
	// Pages overlap: several scrapes of both kinds at once.
	round := func() {
		var wg sync.WaitGroup
		for _, path := range []string{"/metrics", "/metrics", "/metrics?cluster_labels=target", "/metrics/raw?unmapped=0"} {
			wg.Go(func() { scrape(path) })
		}
		wg.Wait()
	}
	for range 4 {
		round() // each hostile answer once
	}
	before, during := heap(), runtime.NumGoroutine()
	peak := watchHeap()
	rounds := 4
	if long > 0 {
		rounds = 0
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for end := time.Now().Add(long); time.Now().Before(end); rounds++ {
			<-tick.C
			round()
		}
	} else {
		for range rounds {
			round()
		}
	}
	most, after := peak(), heap()
	t.Logf("%d rounds: heap in use %d MiB, then %d MiB, at most %d MiB; slowest scrape %s; %d goroutines, then %d", rounds, before>>20, after>>20, most>>20, slowest, during, settled(during))
	// Pages, what is made of them, the replies to four scrapes, and as much again that is not yet collected.
	const bound = 1 << 30
	if most > bound {
		t.Errorf("heap in use was %d MiB", most>>20)
	}
	// Kept for the next scrapes are, of two translations of every kind, the series up to the limit, at about 200 bytes.
	const room = 4 * maxSeries * 200
	if after > before+room {
		t.Errorf("heap in use grew from %d to %d MiB", before>>20, after>>20)
	}
	for _, s := range servers {
		s.CloseClientConnections()
		s.Close()
	}
	fetcher.Close()
	if n := settled(goroutines); n > goroutines {
		t.Errorf("%d goroutines before, %d after", goroutines, n)
	}
}

// heap returns the bytes of heap in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // pools keep what they have for one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// watchHeap looks at the heap in use until the function that it returns is called, which returns the most that it saw.
func watchHeap() func() uint64 {
	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		var m runtime.MemStats
		var most uint64
		for {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
			select {
			case <-stop:
				done <- most
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return <-done
	}
}

// settled waits until there are no more goroutines than most, but not for long.
func settled(most int) int {
	n := runtime.NumGoroutine()
	for range 200 {
		if n <= most {
			break
		}
		time.Sleep(10 * time.Millisecond)
		n = runtime.NumGoroutine()
	}
	return n
}
