package engine

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/tests/programs"
)

// fake is an engine without a network: pages by path. A path without a page answers 404, a nil fake refuses connections.
type fake struct {
	mu    sync.Mutex
	pages map[string]string
	err   error
	delay time.Duration
	hangs bool
	// status of answers; 0: 200, or 404 where there is no page
	status int
	asked  map[string]int
}

func (f *fake) set(path, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pages[path], f.err, f.hangs = body, nil, false
}

// answers has it answer with a status; 0: as usual.
func (f *fake) answers(status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = status
}

// hang lets it answer no more.
func (f *fake) hang() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hangs = true
}

func (f *fake) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.hangs = err, false
}

func (f *fake) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked == nil {
		f.asked = map[string]int{}
	}
	f.asked[r.URL.Path]++
	if f.hangs {
		f.mu.Unlock()
		<-r.Context().Done()
		f.mu.Lock()
	}
	if f.err != nil {
		return nil, f.err
	}
	if f.delay > 0 && r.URL.Path != "/metrics" {
		f.mu.Unlock()
		time.Sleep(f.delay)
		f.mu.Lock()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body, ok := f.pages[r.URL.Path]
	status := http.StatusOK
	if !ok {
		status = http.StatusNotFound
	}
	if f.status != 0 {
		status = f.status
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

var refused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

type harness struct {
	*Engine
	t       *testing.T
	fake    *fake
	large   *budget.Pool // the memory for large pages
	log     *programs.Buffer
	changes int
}

// newHarness makes an engine within a synctest bubble.
func newHarness(t *testing.T, declaration string, pages map[string]string) *harness {
	t.Helper()
	f := &fake{pages: pages}
	h := newHarnessOf(t, declaration, f, 0)
	h.fake = f
	return h
}

func newHarnessOf(t *testing.T, declaration string, transport http.RoundTripper, stallAfter time.Duration) *harness {
	t.Helper()
	d, err := ParseDeclaration(declaration)
	if err != nil {
		t.Fatal(err)
	}
	checked, err := CheckDeclarations([]Declaration{d}, "node")
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, large: budget.NewPool(fetch.DefaultMaxPageBytes), log: &programs.Buffer{}}
	logger := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	h.Engine, err = New(Options{
		Declaration: checked[0], Fetcher: fetch.New(fetch.Options{Transport: transport, LargePages: h.large}), Logger: logger, StallAfter: stallAfter,
		OnChange: func() { h.changes++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *harness) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { h.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func (h *harness) scrape(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	page, err := h.Fetch(ctx)
	page.Release()
	return err
}

const vllmPage = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen"} 3.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="qwen"} 1200.0
`

func identity(runtime, version, model string) Identity {
	return Identity{Runtime: runtime, Version: version, Model: model}
}
