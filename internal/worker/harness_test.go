package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/collector/gpu/vendors"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

const (
	joinToken  = "join-token"
	credential = "credential-1"
	vllmPage   = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\",model_name=\"qwen\"} 3.0\n"
	mineJSON   = `{"gpustack_metrics":{"gpustack:mine":{"type":"gauge","description":"Mine."}},"runtime_mapping":{"vLLM":{"*":{"vllm:num_requests_running":"gpustack:mine"}}}}`
)

// fakeServer answers as the server's API does.
type fakeServer struct {
	*httptest.Server

	mu         sync.Mutex
	requests   int
	registered []wire.RegisterRequest
	reports    []wire.ReportRequest
	watched    []string // generations asked for
	event      wire.MappingEvent
	forget     bool
	changed    chan struct{} // closed at each change of event
	dryRuns    chan wire.DryRunEvent
	tried      map[string]wire.DryRunResult // by id
	pages      chan wire.PageEvent
	sent       map[string]wire.InstancePage // by id
}

func newFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	f := &fakeServer{changed: make(chan struct{}), event: wire.MappingEvent{Default: true}, dryRuns: make(chan wire.DryRunEvent), tried: map[string]wire.DryRunResult{}, pages: make(chan wire.PageEvent), sent: map[string]wire.InstancePage{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/workers/register", f.register)
	mux.HandleFunc("PUT /v2/workers/7/report", f.report)
	mux.HandleFunc("GET /v2/workers/7/watch", f.watch)
	mux.HandleFunc("POST /v2/workers/7/dry-runs/{run}", f.answer)
	mux.HandleFunc("POST /v2/workers/7/pages/{run}", f.answerPage)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.requests++
		f.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.stop)
	return f
}

func (f *fakeServer) stop() {
	f.CloseClientConnections()
	f.Close()
}

func refuse(w http.ResponseWriter, status int) {
	_ = httpjson.WriteProblem(w, httpjson.Problem{Status: status, Detail: "refused"})
}

func (f *fakeServer) register(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+joinToken {
		refuse(w, http.StatusUnauthorized)
		return
	}
	req, err := httpjson.Decode[wire.RegisterRequest](r.Body, 1<<20)
	if err != nil {
		refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget = false
	f.registered = append(f.registered, req)
	_ = httpjson.Write(w, http.StatusOK, wire.RegisterResponse{WorkerID: 7, WorkerName: req.Name, ClusterID: 2, ClusterName: "lab", Credential: credential, ReportIntervalSeconds: 60})
}

func (f *fakeServer) refuses(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.forget || r.Header.Get("Authorization") != "Bearer "+credential {
		refuse(w, http.StatusUnauthorized)
		return true
	}
	return false
}

func (f *fakeServer) report(w http.ResponseWriter, r *http.Request) {
	if f.refuses(w, r) {
		return
	}
	req, err := httpjson.Decode[wire.ReportRequest](r.Body, 1<<20)
	if err != nil {
		refuse(w, http.StatusBadRequest)
		return
	}
	resp := wire.ReportResponse{Instances: []wire.InstanceIDs{}}
	for i, in := range req.Instances {
		ids := wire.InstanceIDs{Name: in.Name, InstanceID: int64(40 + i)}
		if in.Model != "" {
			ids.ModelID = 5
		}
		resp.Instances = append(resp.Instances, ids)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append(f.reports, req)
	_ = httpjson.Write(w, http.StatusOK, resp)
}

func (f *fakeServer) watch(w http.ResponseWriter, r *http.Request) {
	if f.refuses(w, r) {
		return
	}
	f.mu.Lock()
	f.watched = append(f.watched, r.URL.Query().Get("generation"))
	f.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(name string, v any) {
		data, _ := json.Marshal(v)
		_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, data)
		_ = http.NewResponseController(w).Flush()
	}
	for {
		f.mu.Lock()
		ev, changed := f.event, f.changed
		f.mu.Unlock()
		send("mapping", ev)
		select {
		case <-changed:
		case run := <-f.dryRuns:
			send("dry-run", run)
		case ev := <-f.pages:
			send("page", ev)
		case <-r.Context().Done():
			return
		}
	}
}

func (f *fakeServer) answer(w http.ResponseWriter, r *http.Request) {
	if f.refuses(w, r) {
		return
	}
	result, err := httpjson.Decode[wire.DryRunResult](r.Body, 4<<20)
	if err != nil {
		refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tried[r.PathValue("run")] = result
	w.WriteHeader(http.StatusNoContent)
}

// try sends a dry run and returns its answer.
func (f *fakeServer) try(t *testing.T, ev wire.DryRunEvent) wire.DryRunResult {
	t.Helper()
	f.dryRuns <- ev
	var result wire.DryRunResult
	eventually(t, "an answer to the dry run "+ev.ID, func() (ok bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		result, ok = f.tried[ev.ID]
		return ok
	})
	return result
}

func (f *fakeServer) publish(ev wire.MappingEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.event = ev
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeServer) lastReport() (wire.ReportRequest, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.reports) == 0 {
		return wire.ReportRequest{}, 0
	}
	return f.reports[len(f.reports)-1], len(f.reports)
}

func (f *fakeServer) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// fakeEngine serves pages by path.
func fakeEngine(t *testing.T, pages map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func vllm(t *testing.T) string {
	t.Helper()
	return fakeEngine(t, map[string]string{"/metrics": vllmPage, "/version": `{"version":"0.11.0"}`, "/v1/models": `{"data":[{"id":"qwen"}]}`})
}

type running struct {
	*Worker
	log  *programs.Buffer
	stop func() error
}

func options(t *testing.T) Options {
	t.Helper()
	o := DefaultOptions()
	o.Name, o.DataDir, o.MetricsHost, o.MetricsPort = "node-1", t.TempDir(), "127.0.0.1", 0
	o.Discover, o.GPUVendors = nil, []string{vendors.None} // what runs on this machine is none of the tests' business
	return o
}

func run(t *testing.T, o Options) running {
	t.Helper()
	log := &programs.Buffer{}
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	w, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(hangTimeout):
			return errors.New("it does not stop")
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return running{w, log, stop}
}

func (r running) scrape(t *testing.T, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d, %v", path, resp.StatusCode, err)
	}
	return string(page)
}

// hangTimeout ends what hangs. Nothing that a test is about takes as long, on the slowest machine.
const hangTimeout = 30 * time.Second

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hangTimeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came: %s", what)
}

func lines(page, prefix string) []string {
	var found []string
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, prefix) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}
