package bench

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
)

const (
	// sizingMinutes is how long the programs are measured: a chunk of 120 samples, and what is thrown away at the begin. STACKSCOPE_BENCH_MINUTES
	// changes it.
	sizingMinutes = 12
	// sizingFleet is how many workers the server scrapes.
	sizingFleet    = 16
	sizingSettling = 90 * time.Second
)

// sizingWorkers are the workers that are measured: GPUs and engines of each. The server's workers have the last one's page.
var sizingWorkers = []struct{ gpus, engines int }{{0, 0}, {8, 0}, {0, 8}, {8, 32}, {8, 8}}

// TestSizingLive measures workers with more and less to do, and a server that scrapes sixteen workers with eight GPUs and eight engines each.
func TestSizingLive(t *testing.T) {
	if os.Getenv("STACKSCOPE_BENCH") == "" {
		t.Skip("measures programs for twelve minutes: set STACKSCOPE_BENCH=1 or run make sizing")
	}
	minutes := sizingMinutes
	if text := os.Getenv("STACKSCOPE_BENCH_MINUTES"); text != "" {
		var err error
		if minutes, err = strconv.Atoi(text); err != nil || minutes < 2 {
			t.Fatalf("STACKSCOPE_BENCH_MINUTES=%s: give at least 2", text)
		}
	}
	bin := os.Getenv("STACKSCOPE_BIN")
	if bin == "" {
		bin = filepath.Join("..", "bin")
	}
	var workers []*measuredProcess
	var engines []string
	for _, w := range sizingWorkers {
		for len(engines) < w.engines {
			engines = append(engines, sizingEngine(t, len(engines)))
		}
		address := freeAddress(t)
		args := []string{
			"--data-dir", t.TempDir(), "--worker-name", "base", "--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", portOf(address),
			"--log-level", "error", "--discover", "none", "--gpu-vendors", "none",
		}
		if w.gpus > 0 {
			args = append(args, "--fake-gpus", strconv.Itoa(w.gpus))
		}
		for i, url := range engines[:w.engines] {
			args = append(args, "--engine", fmt.Sprintf("url=%s,instance=engine-%d", url, i))
		}
		workers = append(workers, startMeasured(t, fmt.Sprintf("worker: %d GPUs, %2d engines", w.gpus, w.engines), address, filepath.Join(bin, "stackscope-worker"), args...))
	}
	f := startFleet(t, bin, workers[len(workers)-1])
	host := openSampleStore(t, t.TempDir())
	var zipped [8]int
	measured := time.Duration(minutes)*time.Minute - sizingSettling
	rounds := int(measured / sizingEvery)
	ticker := time.NewTicker(sizingEvery)
	defer ticker.Stop()
	for round := range rounds + int(sizingSettling/sizingEvery) {
		f.refresh(t)
		for i, p := range workers {
			if round == int(sizingSettling/sizingEvery) {
				p.begin(t)
			}
			begin := time.Now()
			n, err := fetchAs(t, p.url, "gzip") // as Prometheus asks
			if err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
			zipped[i] = n
			p.took += time.Since(begin) / time.Duration(rounds)
			p.resident = max(p.resident, p.memory(t))
		}
		if err := host.add(scrapedPage{at: time.Now(), text: pageOf(t, workers[0].url)}); err != nil {
			t.Fatal(err)
		}
		if round == int(sizingSettling/sizingEvery) {
			f.server.begin(t)
			f.appended = f.self(t, "prometheus_tsdb_head_samples_appended_total")
		}
		if round%36 == 35 {
			t.Logf("server after %v: %.0f series, %.0f MB resident", time.Duration(round+1)*sizingEvery, f.self(t, "prometheus_tsdb_head_series"), f.server.memory(t))
		}
		<-ticker.C
	}
	for i, p := range workers {
		p.end(t)
		page := pageOf(t, p.url)
		t.Logf("%s: %4.2f %% of a core, %4.1f MB resident, %5d series, page of %3d KB, %2d KB compressed", p.name, 100*p.share, p.resident, len(samples(t, page)), len(page)>>10, zipped[i]>>10)
	}
	f.report(t)
	if minutes >= sizingMinutes {
		t.Logf("machine: %s", host.finishHead(t))
	}
}

// sizingEngine starts an engine under load and returns its URL.
func sizingEngine(t *testing.T, i int) string {
	t.Helper()
	e, err := simengine.New(simengine.Options{
		Profile: []string{simengine.ProfileVLLM, simengine.ProfileSGLang}[i%2], Model: "qwen3-8b", Seed: uint64(i), Start: time.Now().Add(-time.Hour),
		LoadAt: time.Date(2026, time.March, 3, 13, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(e.Handler())
	t.Cleanup(srv.Close)
	return srv.URL
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// sizedFleet is a server whose workers all have the page of one, under names of their own.
type sizedFleet struct {
	server   *measuredProcess
	api      string
	dir      string
	base     *measuredProcess
	page     atomic.Pointer[[]byte]
	idle     float64 // MB resident before the workers came
	appended float64
}

func startFleet(t *testing.T, bin string, base *measuredProcess) *sizedFleet {
	t.Helper()
	api, metrics := freeAddress(t), freeAddress(t)
	f := &sizedFleet{api: "http://localhost:" + portOf(api), dir: t.TempDir(), base: base}
	f.server = startMeasured(t, "server", metrics, filepath.Join(bin, "stackscope"), "server", "--host", "127.0.0.1", "--port", portOf(api),
		"--metrics-port", portOf(metrics), "--data-dir", f.dir, "--disable-builtin-grafana", "--log-level", "error")
	f.refresh(t)
	time.Sleep(10 * time.Second)
	f.idle = f.server.memory(t)
	token, err := os.ReadFile(filepath.Join(f.dir, "worker-token"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sizingFleet {
		name, id := fmt.Sprintf("node-%d", i), new(atomic.Int64)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			text := bytes.ReplaceAll(*f.page.Load(), []byte(`worker_name="base"`), fmt.Appendf(nil, `worker_id="%d",worker_name=%q`, id.Load(), name))
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			w.Header().Set("Content-Encoding", "gzip")
			z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
			_, _ = z.Write(text)
			_ = z.Close()
		}))
		t.Cleanup(srv.Close)
		port := srv.Listener.Addr().(*net.TCPAddr).Port
		id.Store(f.register(t, strings.TrimSpace(string(token)), map[string]any{"uuid": "uuid-" + name, "name": name, "address": "127.0.0.1", "metrics_port": port}))
	}
	return f
}

func (f *sizedFleet) register(t *testing.T, token string, body map[string]any) int64 {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.api+"/v2/workers/register", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	var joined struct {
		ID int64 `json:"worker_id"`
	}
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(answer, &joined) != nil {
		t.Fatalf("registering %v: %s %s %v", body, resp.Status, answer, err)
	}
	return joined.ID
}

// refresh gets a new page for all workers.
func (f *sizedFleet) refresh(t *testing.T) {
	t.Helper()
	page := pageOf(t, f.base.url)
	f.page.Store(&page)
}

// self returns one of Prometheus' own metrics.
func (f *sizedFleet) self(t *testing.T, name string) float64 {
	t.Helper()
	for line := range bytes.Lines(pageOf(t, f.api+"/prometheus/metrics")) {
		metric, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		metric, _, _ = strings.Cut(metric, "{")
		if metric == name {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("/prometheus/metrics has no %s", name)
	return 0
}

func (f *sizedFleet) report(t *testing.T) {
	t.Helper()
	f.server.end(t)
	series, appended := f.self(t, "prometheus_tsdb_head_series"), f.self(t, "prometheus_tsdb_head_samples_appended_total")
	rate := (appended - f.appended) / time.Since(f.server.start).Seconds()
	resident := f.server.memory(t)
	wal := f.self(t, "prometheus_tsdb_wal_storage_size_bytes")
	t.Logf("server: %.0f MB idle, %.0f MB with %.0f series: %.0f MB for each 100,000; %.0f samples a second take %.1f %% of a core; log of %.2f bytes a sample", f.idle, resident, series,
		(resident-f.idle)*1e5/series, rate, 100*f.server.share, wal/appended)
}

func pageOf(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %v", url, resp.Status, err)
	}
	return text
}
