package worker

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A worker that an operator removed goes on exporting, says so once, also when it starts in that state, and is in again soon after
// it may be.
func TestWorkerThatIsKeptOut(t *testing.T) {
	for _, starts := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRemote()
			if starts {
				r.status["register"] = http.StatusForbidden
			}
			_, log, end := linked(t, r)
			if !starts {
				time.Sleep(time.Second)
				r.set(func(r *remote) {
					r.status["report"], r.status["register"] = http.StatusUnauthorized, http.StatusForbidden
				})
			}
			time.Sleep(24 * time.Hour)
			if n := strings.Count(log.String(), "server keeps this worker out until an operator lets it in"); n != 1 {
				t.Errorf("starts out: %t: said %d times:\n%s", starts, n, log)
			}
			if n := strings.Count(log.String(), "level=WARN"); n > 2 {
				t.Errorf("starts out: %t: %d warnings:\n%s", starts, n, log)
			}
			if n := len(r.of("register")); n < int(24*time.Hour/lastPause) || n > int(24*time.Hour/(lastPause/2))+2 {
				t.Errorf("starts out: %t: asked %d times in a day", starts, n)
			}
			r.set(func(r *remote) { r.status["report"], r.status["register"] = 0, 0 })
			time.Sleep(lastPause)
			if n := len(r.of("report")); n == 0 || !strings.Contains(log.String(), "server answers again") {
				t.Errorf("starts out: %t: %d reports after it was let in:\n%s", starts, n, log)
			}
			if err := end(); err != nil {
				t.Errorf("starts out: %t: ended with %v", starts, err)
			}
		})
	}
}

// It still tells everybody who asks what it sees.
func TestWorkerThatIsKeptOutExports(t *testing.T) {
	o := options(t)
	f := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusForbidden) }))
	t.Cleanup(f.Close)
	o.ServerURL, o.Token = f.URL, joinToken
	w := run(t, o)
	eventually(t, "the refusal in its log", func() bool { return strings.Contains(w.log.String(), "keeps this worker out") })
	if page := w.scrape(t, "/metrics"); !strings.Contains(page, "gpustack:worker_node_uptime_seconds") {
		t.Errorf("its page:\n%s", page)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}
