package externalprom

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/budget"
)

// roundTrip is the Prometheus of a test.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func handlerTo(t *testing.T, f roundTrip) *Handler {
	t.Helper()
	u, err := ParseURL("http://prometheus.example.com")
	if err != nil {
		t.Fatal(err)
	}
	h := New(Options{URL: u, PathPrefix: "/prometheus", Logger: slog.New(slog.DiscardHandler)})
	h.client.Transport = f
	return h
}

func jsonAnswer(body string) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

func query(t *testing.T, h *Handler) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/prometheus/api/v1/query?query=up", http.NoBody))
	return w
}

// TestPrometheusThatHangs: each request ends after two minutes, and one that waits for its turn earlier.
func TestPrometheusThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		h := handlerTo(t, func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		begin := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		statuses := map[int]int{}
		for range maxConcurrent + 4 {
			wg.Go(func() {
				w := query(t, h)
				mu.Lock()
				defer mu.Unlock()
				statuses[w.Code]++
			})
		}
		synctest.Wait()
		if n := asked.Load(); n != maxConcurrent {
			t.Errorf("%d requests run at once, want %d", n, maxConcurrent)
		}
		wg.Wait()
		if took := time.Since(begin); took != timeout || statuses[http.StatusGatewayTimeout] != maxConcurrent || statuses[http.StatusServiceUnavailable] != 4 {
			t.Errorf("%v after %s", statuses, took)
		}
	})
}

// TestMemoryOfAnswers: what has no room is refused for now, and what was taken is given back.
func TestMemoryOfAnswers(t *testing.T) {
	large := `"` + strings.Repeat("x", 3*pieceBytes) + `"`
	h := handlerTo(t, func(*http.Request) (*http.Response, error) { return jsonAnswer(large), nil })
	h.memory = budget.NewPool(2 * pieceBytes)
	if w := query(t, h); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	h.memory = budget.NewPool(5 * pieceBytes)
	for range 3 {
		if w := query(t, h); w.Code != http.StatusOK || w.Body.String() != large {
			t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
		}
	}
	if free := h.memory.Free(); free != h.memory.Size() {
		t.Errorf("%d of %d bytes are free", free, h.memory.Size())
	}
}

// TestLargestAnswer is passed on, and one byte more is not.
func TestLargestAnswer(t *testing.T) {
	size := maxAnswer
	h := handlerTo(t, func(*http.Request) (*http.Response, error) { return jsonAnswer(strings.Repeat("x", size)), nil })
	if w := query(t, h); w.Code != http.StatusOK || w.Body.Len() != size {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
	size++
	if w := query(t, h); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}
