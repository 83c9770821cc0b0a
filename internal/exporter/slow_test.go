package exporter

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// takesNothing is a client that takes nothing of its page until it is freed.
type takesNothing struct {
	http.ResponseWriter
	free chan struct{}
}

func (c takesNothing) Write(p []byte) (int, error) {
	<-c.free
	return c.ResponseWriter.Write(p)
}

// Clients that read slowly, however many, keep no scrape from being made, and no engine's page in memory.
func TestSlowReadersHoldNoScrapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEngine("a")
		e, _ := newExporter(t, a)
		h := e.Handler()
		free := make(chan struct{})
		var wg sync.WaitGroup
		for _, path := range []string{"/metrics", "/metrics/raw"} {
			for range maxScrapes {
				wg.Go(func() {
					h.ServeHTTP(takesNothing{httptest.NewRecorder(), free}, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
				})
				synctest.Wait()
			}
		}
		for _, path := range []string{"/metrics", "/metrics/raw"} {
			if page := get(t, h, path); !strings.Contains(page, "num_requests_running{") {
				t.Errorf("%s:\n%s", path, page)
			}
		}
		synctest.Wait()
		if held := a.fetches.Load() - a.released.Load(); held != 0 {
			t.Errorf("%d pages of the engine are held", held)
		}
		close(free)
		wg.Wait()
	})
}
