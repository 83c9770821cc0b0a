package bench

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
)

const (
	scrapeEngines = 8
	// scrapeRounds is how many rounds are measured, each of scrapesARound scrapes of either program.
	scrapeRounds  = 15
	scrapesARound = 40
	// relayPeer bounds the worker's processor time for a scrape by that of a program that passes the engines' pages on as they are.
	// 1.5 is the goal.
	relayPeer = 3
	// residentPeer bounds the worker's resident memory, in MB. 25 is the goal.
	residentPeer = 40
	manyEngines  = 64
	// slowestPeer bounds the time of a scrape of many engines by that of the slowest one's answer.
	slowestPeer = 3
	answerTime  = 200 * time.Millisecond
)

// relayKey is the environment variable that makes TestMain run a relay. It holds the address to listen on, the size of an answer in
// bytes, and the engines' URLs.
const relayKey = "STACKSCOPE_BENCH_RELAY"

func TestMain(m *testing.M) {
	if settings := strings.Fields(os.Getenv(relayKey)); len(settings) > 2 {
		size, err := strconv.Atoi(settings[1])
		if err == nil {
			err = http.ListenAndServe(settings[0], &relay{size: size, engines: settings[2:]})
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// relay answers with the pages of all engines one after the other, and repeats them until it has sent size bytes.
type relay struct {
	size    int
	engines []string
	buffers sync.Pool
}

func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	pages := make([]*bytes.Buffer, len(r.engines))
	var wg sync.WaitGroup
	for i, engine := range r.engines {
		wg.Go(func() { //nolint:contextcheck // it has the request's
			pages[i], _ = r.buffers.Get().(*bytes.Buffer)
			if pages[i] == nil {
				pages[i] = new(bytes.Buffer)
			}
			pages[i].Reset()
			get, err := http.NewRequestWithContext(req.Context(), http.MethodGet, engine, nil)
			if err != nil {
				return
			}
			get.Header.Set("Accept-Encoding", "identity")
			resp, err := http.DefaultClient.Do(get)
			if err != nil {
				return
			}
			_, _ = pages[i].ReadFrom(resp.Body)
			_ = resp.Body.Close()
		})
	}
	wg.Wait()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	w.Header().Set("Content-Length", strconv.Itoa(r.size))
	left := r.size
	for left > 0 {
		before := left
		for _, p := range pages {
			n, _ := w.Write(p.Bytes()[:min(left, p.Len())])
			left -= n
		}
		if left == before {
			return
		}
	}
	for _, p := range pages {
		r.buffers.Put(p)
	}
}

// simulated starts an engine under load whose pages are five seconds apart, however fast it is scraped. It adds the bytes of its
// answers to sent.
func simulated(t *testing.T, i int, sent *atomic.Int64) string {
	t.Helper()
	var mu sync.Mutex
	now := time.Now()
	ranks := 1
	if i%4 == 3 {
		ranks = 2
	}
	e, err := simengine.New(simengine.Options{
		Profile: simengine.ProfileVLLM, Model: "qwen3-32b", Ranks: ranks, Seed: uint64(i), Start: now.Add(-time.Hour), LoadAt: time.Date(2026, time.March, 3, 13, 0, 0, 0, time.UTC),
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := e.Handler()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		if r.URL.Path == "/metrics" {
			mu.Lock()
			now = now.Add(agentEvery)
			mu.Unlock()
		}
		h.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
		sent.Add(int64(answer.Body.Len()))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// engineServer starts a server that answers with each of the pages in turn, after a delay.
func engineServer(t *testing.T, pages [][]byte, delay time.Duration) string {
	t.Helper()
	var turn atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		time.Sleep(delay)
		page := pages[int(turn.Add(1))%len(pages)]
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		_, _ = w.Write(page)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func worker(t *testing.T, urls []string, args ...string) *measuredProcess {
	t.Helper()
	bin := os.Getenv("STACKSCOPE_BIN")
	if bin == "" {
		bin = filepath.Join("..", "bin")
	}
	address := freeAddress(t)
	args = append(args, "--data-dir", t.TempDir(), "--worker-metrics-host", "127.0.0.1", "--log-level", "error", "--discover", "none",
		"--worker-metrics-port", address[strings.LastIndexByte(address, ':')+1:])
	for i, u := range urls {
		args = append(args, "--engine", fmt.Sprintf("url=%s,model=qwen3-32b,runtime=vLLM,instance=engine-%d", u, i))
	}
	return startMeasured(t, "stackscope-worker", address, filepath.Join(bin, "stackscope-worker"), args...)
}

// scrapeAll gets a page n times and returns its size and the processor time that the process took for each.
func (p *measuredProcess) scrapeAll(t *testing.T, n int) (size int, each time.Duration) {
	t.Helper()
	before := p.used(t)
	for range n {
		var err error
		if size, err = fetchPlain(t, p.url); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
	}
	return size, (p.used(t) - before) / time.Duration(n)
}

// fetchPlain is fetch without compression.
func fetchPlain(t *testing.T, url string) (int, error) {
	t.Helper()
	return fetchAs(t, url, "identity")
}

// TestScrape compares the processor time of a whole scrape of eight engines with that of a relay, which fetches the same pages and
// answers with as many bytes. Both are measured in turns.
func TestScrape(t *testing.T) {
	if os.Getenv("STACKSCOPE_BENCH") == "" {
		t.Skip("measures processes: set STACKSCOPE_BENCH=1 or run make bench")
	}
	var urls, pages []string
	var in atomic.Int64
	for i := range scrapeEngines {
		urls = append(urls, simulated(t, i, &in))
		pages = append(pages, urls[i]+"/metrics")
	}
	agent := worker(t, urls)
	agent.scrapeAll(t, 10) // until it knows the pages' layouts
	size, _ := agent.scrapeAll(t, 10)
	address := freeAddress(t)
	t.Setenv(relayKey, address+" "+strconv.Itoa(size)+" "+strings.Join(pages, " "))
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	peer := startMeasured(t, "relay", address, program)
	if got, _ := peer.scrapeAll(t, 20); got != size {
		t.Fatalf("the relay answers with %d bytes, want %d", got, size)
	}
	var ratios, ours, theirs []float64
	in.Store(0)
	peer.scrapeAll(t, 1)
	received := in.Load()
	for range scrapeRounds {
		_, a := agent.scrapeAll(t, scrapesARound)
		_, b := peer.scrapeAll(t, scrapesARound)
		ratios, ours, theirs = append(ratios, float64(a)/float64(b)), append(ours, a.Seconds()*1e3), append(theirs, b.Seconds()*1e3)
		agent.resident, peer.resident = max(agent.resident, agent.memory(t)), max(peer.resident, peer.memory(t))
	}
	t.Logf("%d engines, %d KB in, %d KB out: worker %.2f ms of a core, %.1f MB resident; relay %.2f ms, %.1f MB; %.2f times",
		scrapeEngines, received>>10, size>>10, median(ours), agent.resident, median(theirs), peer.resident, median(ratios))
	if r := median(ratios); r > relayPeer {
		t.Errorf("a scrape takes %.2f times the processor time of a relay, %v are allowed", r, relayPeer)
	}
	if agent.resident > residentPeer {
		t.Errorf("the worker has %.1f MB resident, %d are allowed", agent.resident, residentPeer)
	}
}

// TestManyEngines scrapes a worker with 64 engines that each take 200 ms to answer.
func TestManyEngines(t *testing.T) {
	if os.Getenv("STACKSCOPE_BENCH") == "" {
		t.Skip("measures speed: set STACKSCOPE_BENCH=1 or run make bench")
	}
	var urls []string
	for range manyEngines {
		urls = append(urls, engineServer(t, Pages(1, true), answerTime))
	}
	w := worker(t, urls)
	var took []float64
	for i := range 15 {
		start := time.Now()
		size, err := fetchPlain(t, w.url)
		if err != nil {
			t.Fatal(err)
		}
		if i >= 3 {
			took = append(took, time.Since(start).Seconds())
		}
		w.size, w.resident = size, max(w.resident, w.memory(t))
	}
	m := median(took)
	t.Logf("%d engines that answer in %s: a scrape of %d KB takes %.0f ms, %.2f times that; %.1f MB resident", manyEngines, answerTime, w.size>>10, m*1e3, m/answerTime.Seconds(), w.resident)
	if m > slowestPeer*answerTime.Seconds() {
		t.Errorf("a scrape takes %.2f times the slowest answer, %d are allowed", m/answerTime.Seconds(), slowestPeer)
	}
}
