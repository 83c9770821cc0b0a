package worker

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// The last that a server hears of a worker is that it stops, with all that it said before. It hears nothing of one that never
// joined.
func TestWorkerSaysThatItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		_, _, end := linked(t, r, func(o *Options) {
			o.Engines = []engine.Declaration{{URL: "http://127.0.0.1:1", Instance: "own", Model: "qwen"}}
		})
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
		_, _, end = linked(t, r)
		time.Sleep(time.Minute)
		_ = end()
		if n := len(r.of("report")); n != 0 {
			t.Errorf("%d reports of a worker that never joined", n)
		}
	})
}

// hanging never answers a report of a worker that stops.
type hanging struct{ *remote }

func (h hanging) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/report") && req.Context().Err() == nil {
		h.mu.Lock()
		hang := h.status["stopping"] != 0
		h.mu.Unlock()
		if hang {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
	}
	return h.remote.RoundTrip(req)
}

// A server that is away, refuses or hangs keeps a worker that stops for no longer than LeaveTime.
func TestStopIsNotDelayed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*remote)
		want   time.Duration
	}{
		"away":    {func(r *remote) { r.status["report"] = -1 }, 0},
		"refuses": {func(r *remote) { r.status["report"] = http.StatusForbidden }, 0},
		"hangs":   {func(r *remote) { r.status["stopping"] = 1 }, LeaveTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRemote()
				_, _, end := linked(t, hanging{r})
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

// A registration says which process it is of: the same one as long as it runs, another one at each start.
func TestRunOfAWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs []string
		dir := t.TempDir()
		for range 2 {
			f := recording{newRemote(), &runs}
			w, _, end := linked(t, f, func(o *Options) { o.DataDir = dir })
			f.set(func(r *remote) { r.status["report"] = http.StatusNotFound })
			time.Sleep(time.Minute)
			if err := errors.Join(end(), w.Close()); err != nil {
				t.Error(err)
			}
		}
		different := map[string]int{}
		for _, run := range runs {
			different[run]++
		}
		if len(different) != 2 || different[""] != 0 || len(runs) < 4 {
			t.Errorf("registrations were of %v", different)
		}
	})
}

// recording notes the runs of registrations.
type recording struct {
	*remote
	runs *[]string
}

func (r recording) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/register") {
		data, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		var body wire.RegisterRequest
		if err := json.Unmarshal(data, &body); err != nil {
			return nil, err
		}
		r.mu.Lock()
		*r.runs = append(*r.runs, body.Run)
		r.mu.Unlock()
	}
	return r.remote.RoundTrip(req)
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
		w, log, end := linked(t, r)
		time.Sleep(10 * time.Minute)
		if n := strings.Count(log.String(), "because another worker has its identity or its name"); n != 1 {
			t.Errorf("%s: logged %d times:\n%s", detail, n, log)
		}
		if told, want := strings.Contains(log.String(), w.keeper.file.Path), detail == fleet.ErrTwoWorkers.Error(); told != want {
			t.Errorf("%s: it names its state file: %t\n%s", detail, told, log)
		}
		r.set(func(r *remote) { r.status["register"] = 0 })
		time.Sleep(firstSlowPause)
		if _, reports := len(r.of("register")), len(r.of("report")); reports == 0 {
			t.Error("it was let in and does not report")
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}
