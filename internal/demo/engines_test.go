package demo

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
)

// The engine that crashes answers before, not while it is down, and again afterwards, with counters that begin anew.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, err := simengine.New(simengine.Options{Profile: simengine.ProfileVLLM09, Start: time.Now().Add(-10 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		e := &simulated{engine: sim, handler: sim.Handler(), logger: slog.New(slog.DiscardHandler)}
		answers := func() (size int) {
			defer func() {
				if p := recover(); p != nil && p != any(http.ErrAbortHandler) {
					t.Errorf("panic: %v", p)
				}
			}()
			reply := httptest.NewRecorder()
			e.ServeHTTP(reply, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
			return reply.Body.Len()
		}
		ctx, cancel := context.WithCancel(t.Context())
		go e.crash(ctx)
		for _, c := range []struct {
			after time.Duration
			is    bool
		}{{0, true}, {firstCrash - time.Second, true}, {2 * time.Second, false}, {crashLasts, true}, {crashEvery, false}, {crashLasts, true}} {
			time.Sleep(c.after)
			synctest.Wait()
			if n := answers(); (n > 0) != c.is {
				t.Errorf("%s later it answers with %d bytes, want an answer: %v", c.after, n, c.is)
			}
		}
		cancel()
	})
}
