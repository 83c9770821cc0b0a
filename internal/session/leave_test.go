package session

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// The last that a server hears of a worker is that it stops, with all that it said before. It hears nothing of one that never
// joined.
func TestWorkerSaysThatItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		_, _, end := connect(t, r, func(o *Options) { o.Instances.(*node).set(good("own")) })
		time.Sleep(5 * time.Minute)
		if err := end(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		for k, report := range r.reports {
			if last := k == len(r.reports)-1; report.Stopping != last || len(report.Instances) != 1 {
				t.Errorf("report %d of %d: %+v", k+1, len(r.reports), report)
			}
		}
		if len(r.reports) < 5 {
			t.Errorf("%d reports", len(r.reports))
		}

		r = newRemote()
		r.status["register"] = http.StatusServiceUnavailable
		_, _, end = connect(t, r)
		time.Sleep(time.Minute)
		_ = end()
		if n := len(r.of("report")); n != 0 {
			t.Errorf("%d reports of a worker that never joined", n)
		}
	})
}

// A server that is away, refuses or hangs keeps a worker that stops for no longer than LeaveTimeout.
func TestStopIsNotDelayed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*remote)
		want   time.Duration
	}{
		"away":    {func(r *remote) { r.status["report"] = -1 }, 0},
		"refuses": {func(r *remote) { r.status["report"] = http.StatusForbidden }, 0},
		"hangs":   {func(r *remote) { r.before = hang }, LeaveTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRemote()
				_, _, end := connect(t, r)
				time.Sleep(time.Second)
				r.set(c.change)
				began := time.Now()
				if err := end(); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != c.want {
					t.Errorf("took %v, want %v", took, c.want)
				}
			})
		})
	}
}

// A worker that is refused because of another one says once what is wrong, and where its state is if that is what to look at, and goes
// on.
func TestRefusedBecauseOfAnotherWorker(t *testing.T) {
	for _, detail := range []string{fleet.ErrNameTaken.Error(), fleet.ErrTwoWorkers.Error()} {
		testRefusedBecause(t, detail)
	}
}

func testRefusedBecause(t *testing.T, detail string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.status["register"], r.detail = http.StatusConflict, detail
		w, log, end := connect(t, r)
		time.Sleep(10 * time.Minute)
		if n := strings.Count(log.String(), "because another worker has its identity or its name"); n != 1 {
			t.Errorf("%s: logged %d times:\n%s", detail, n, log)
		}
		if told, want := strings.Contains(log.String(), w.session.opts.StateFile), detail == fleet.ErrTwoWorkers.Error(); told != want {
			t.Errorf("%s: it names its state file: %t\n%s", detail, told, log)
		}
		r.set(func(r *remote) { r.status["register"] = 0 })
		time.Sleep(minRefusedPause)
		if _, reports := len(r.of("register")), len(r.of("report")); reports == 0 {
			t.Error("it was let in and does not report")
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// hang keeps a report waiting for as long as its sender waits.
func hang(ctx context.Context, what string) {
	if what == "report" {
		<-ctx.Done()
	}
}
