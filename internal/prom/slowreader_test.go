package prom

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
)

// Remote read never has all places of listings, and its reader is waited for by the next one.
func TestOneRemoteReadAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBudget(Options{})
		end := make(chan struct{})
		var inside atomic.Int32
		o := newRemoteReadLimiter(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			slot, _, err := b.reserveListing(r.Context(), 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer slot.Release()
			inside.Add(1)
			defer inside.Add(-1)
			<-end
		}))
		ask := func(path string) (wanted func() bool) {
			r, wanted := newSlowReaderPolicy(prometheus.NewRegistry()).Track(httptest.NewRequest("POST", path, strings.NewReader("x")))
			go o.ServeHTTP(httptest.NewRecorder(), r)
			synctest.Wait()
			return wanted
		}
		wanted := ask("/read")
		if wanted() {
			t.Error("somebody waits")
		}
		ask("/read/")
		if inside.Load() != 1 || !wanted() {
			t.Errorf("%d remote reads are served at once; the second waits: %t", inside.Load(), wanted())
		}
		ask("/labels")
		if inside.Load() != 2 {
			t.Error("a listing waits for remote read")
		}
		close(end)
		synctest.Wait()
		if s := o.slots.State(); inside.Load() != 0 || s.Taken != 0 || s.Waiting != 0 {
			t.Errorf("%d inside, %+v", inside.Load(), s)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w := httptest.NewRecorder()
		o.ServeHTTP(w, httptest.NewRequest("POST", "/read", strings.NewReader("x")).WithContext(ctx))
		if w.Code != statusClientGone {
			t.Errorf("a client that has gone: %d", w.Code)
		}
	})
}
