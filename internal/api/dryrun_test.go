package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

func (h harness) try(query, body string, headers ...string) *httptest.ResponseRecorder {
	return h.do(asAdmin(request("POST", "/v2/metrics/config?"+query, body, headers...)))
}

func dryRunOf(t *testing.T, w *httptest.ResponseRecorder) wire.MappingDryRun {
	t.Helper()
	var run wire.MappingDryRun
	if w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &run) != nil || run.Status != "dry run" {
		t.Fatalf("dry run: %d %s", w.Code, w.Body)
	}
	return run
}

// dryRunEvent reads the stream up to the next dry run, past mappings.
func (s *watchStream) dryRunEvent(t *testing.T) wire.DryRunEvent {
	t.Helper()
	return nextEvent[wire.DryRunEvent](t, s, "dry-run")
}

func (h harness) answer(worker int, run, credential, body string) *httptest.ResponseRecorder {
	return h.do(request("POST", fmt.Sprintf("/v2/workers/%d/dry-runs/%s", worker, run), body,
		"Authorization", "Bearer "+credential, "Content-Type", "application/json"))
}

func threeWorkers(h harness) {
	h.inventory.snapshot = fleet.Snapshot{Workers: []fleet.Worker{{ID: 1, Name: "one"}, {ID: 2, Name: "two"}, {ID: 3, Name: "three"}}}
}

const oneInstance = `{"generation":0,"instances":[{"name":"a","runtime":"vLLM","added":2,"removed":1,"changed":3,
"before":{"coverage":{"families":1,"of":2},"series":5},"after":{"coverage":{"families":2,"of":2},"series":6},
"series":[{"series":"x{a=\"1\"}","after":"1"}],"series_left_out":5},{"name":"b","error":"down","added":0,"removed":0,"changed":0}]}`

func TestDryRunAsksTheWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		threeWorkers(h)
		c := serve(t, h)
		one, two := openWatch(t, c, "http://x", 1, 0), openWatch(t, c, "http://x", 2, 0)
		synctest.Wait()
		var w *httptest.ResponseRecorder
		var wg sync.WaitGroup
		began := time.Now()
		wg.Go(func() { w = h.try("dry_run=1", smallMapping, "If-Match", `"0"`) })
		ev := one.dryRunEvent(t)
		if string(ev.Document) != smallMapping || ev.Default || ev.TimeoutMillis != 10_000 || ev.MaxBytes != 1<<20 || ev.ID == "" {
			t.Errorf("event: %+v", ev)
		}
		if other := two.dryRunEvent(t); !cmp.Equal(ev, other) {
			t.Errorf("the workers got different events: %+v", other)
		}
		if w := h.answer(1, ev.ID, "cred-1", oneInstance); w.Code != 204 {
			t.Errorf("answer: %d %s", w.Code, w.Body)
		}
		problemOf(t, h.answer(1, ev.ID, "cred-1", oneInstance), 410)
		problemOf(t, h.answer(2, ev.ID, "cred-1", oneInstance), 401)
		problemOf(t, h.answer(2, "other", "cred-2", oneInstance), 410)
		problemOf(t, h.answer(2, ev.ID, "cred-2", `{"generation":-1,"instances":[]}`), 422)
		problemOf(t, h.answer(2, ev.ID, "cred-2", `{"generation":0,"instances":[],"error":"`+strings.Repeat("x", 5<<20)+`"}`), 413)
		wg.Wait()
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %s", took)
		}
		run := dryRunOf(t, w)
		if run.Generation != 0 || run.Unchanged || run.Added != 2 || run.Removed != 1 || run.Changed != 3 || len(run.Workers) != 3 {
			t.Errorf("%+v", run)
		}
		var states []string
		for _, worker := range run.Workers {
			states = append(states, fmt.Sprint(worker.WorkerID, " ", worker.WorkerName, " ", worker.State, " ", len(worker.Instances)))
		}
		if diff := cmp.Diff([]string{"1 one answered 2", "2 two unanswered 0", "3 three not_connected 0"}, states); diff != "" {
			t.Errorf("workers (-want +got):\n%s", diff)
		}
		var sent wire.DryRunResult
		if err := json.Unmarshal([]byte(oneInstance), &sent); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sent.Instances, run.Workers[0].Instances); diff != "" {
			t.Errorf("instances (-want +got):\n%s", diff)
		}
		if h.mapping.Current().Number != 0 {
			t.Error("a dry run changed the mapping")
		}
		problemOf(t, h.answer(2, ev.ID, "cred-2", oneInstance), 410)
	})
}

// A dry run ends when every worker has answered.
func TestDryRunEndsWithTheLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		threeWorkers(h)
		c := serve(t, h)
		one := openWatch(t, c, "http://x", 1, 0)
		synctest.Wait()
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			run := dryRunOf(t, h.do(asAdmin(request("DELETE", "/v2/metrics/config?dry_run=true&timeout=30", ""))))
			if !run.Unchanged || run.Workers[0].State != wire.DryRunFailed || run.Workers[0].Detail != "too old" {
				t.Errorf("%+v", run)
			}
		})
		ev := one.dryRunEvent(t)
		if !ev.Default || len(ev.Document) != 0 || ev.TimeoutMillis != 30_000 {
			t.Errorf("event: %+v", ev)
		}
		h.answer(1, ev.ID, "cred-1", `{"generation":0,"error":"too old","instances":[]}`)
		wg.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s", took)
		}
		if run := dryRunOf(t, h.try("dry_run=1", smallMapping)); time.Since(began) != 10*time.Second || run.Workers[0].State != wire.DryRunUnanswered {
			t.Errorf("%+v", run)
		}
	})
}

// fillDryRuns takes all places of dry runs, whose events stream reads and does not answer.
func fillDryRuns(t *testing.T, h harness, stream *watchStream, runs, reading *sync.WaitGroup) {
	t.Helper()
	reading.Go(func() {
		for stream.next() != "" {
		}
	})
	synctest.Wait()
	for range 4 {
		runs.Go(func() { dryRunOf(t, h.try("dry_run=1", smallMapping)) })
	}
	synctest.Wait()
}

func TestDryRunsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		c := serve(t, h)
		stream := openWatch(t, c, "http://x", 1, 0)
		var wg, reading sync.WaitGroup
		fillDryRuns(t, h, stream, &wg, &reading)
		w := h.try("dry_run=1", smallMapping)
		if problemOf(t, w, 503); w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if h.set(t, smallMapping).Generation != 1 {
			t.Error("dry runs keep a mapping from being set")
		}
		wg.Wait()
		dryRunOf(t, h.try("dry_run=1", smallMapping))

		wg.Go(func() { problemOf(t, h.try("dry_run=1", smallMapping), 503) })
		synctest.Wait()
		began := time.Now()
		h.EndStreams()
		wg.Wait()
		if time.Since(began) != 0 {
			t.Error("a dry run holds up the server's end")
		}
		reading.Wait()
	})
}

// An invalid dry run must not become a change.
func TestDryRunIsNotMistakenForAChange(t *testing.T) {
	h := newAPI(t)
	for _, query := range []string{"dry_run", "dry_run=", "dry_run=yes", "dry_run=1&dry_run=0", "dryrun=1", "dry-run=1", "DryRun=1", "dry_run=1&timeout=0", "dry_run=1&timeout=2m", "dry_run=1&timeout=NaN", "dry_run=1&timeout=soon", "dry_run=1;x", "timeout=5"} {
		problemOf(t, h.try(query, smallMapping), 422)
		problemOf(t, h.do(asAdmin(request("DELETE", "/v2/metrics/config?"+query, ""))), 422)
	}
	problemOf(t, h.try("dry_run=1", smallMapping, "If-Match", `"7"`), 412)
	if w := h.do(request("POST", "/v2/metrics/config?dry_run=1", smallMapping)); w.Code != 401 {
		t.Errorf("a dry run without a token: %d", w.Code)
	}
	set, tried := problemOf(t, h.try("", `{"gpustack_metrics":{"a b":null},"more":1}`), 422), problemOf(t, h.try("dry_run=1", `{"gpustack_metrics":{"a b":null},"more":1}`), 422)
	if diff := cmp.Diff(set.Errors, tried.Errors); diff != "" || len(set.Errors) < 2 {
		t.Errorf("faults (-set +dry run):\n%s", diff)
	}
	if n := h.mapping.Current().Number; n != 0 {
		t.Errorf("generation %d is active", n)
	}
	if run := dryRunOf(t, h.try("dry_run=1", smallMapping)); len(run.Workers) != 0 {
		t.Errorf("%+v", run)
	}
	if st := h.set(t, smallMapping); st.Generation != 1 {
		t.Errorf("%+v", st)
	}
	var st wire.MappingStatus
	if w := h.try("dry_run=0", smallMapping); w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &st) != nil || !st.Unchanged {
		t.Errorf("dry_run=0: %d %s", w.Code, w.Body)
	}
}

// The memory of the answers of many workers is bounded.
func TestDryRunBoundsItsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 20
		h := newAPI(t, func(o *api.Options) { o.Inventory = anyWorker{&fakeInventory{}} })
		c := serve(t, h)
		var streams []*watchStream
		for id := range workers {
			streams = append(streams, openWatch(t, c, "http://x", int64(id+1), 0))
		}
		synctest.Wait()
		var w *httptest.ResponseRecorder
		var wg sync.WaitGroup
		wg.Go(func() { w = h.try("dry_run=1", smallMapping) })
		body := `{"generation":0,"instances":[{"name":"a","added":0,"removed":0,"changed":0,"series":[{"series":"` + strings.Repeat("x", 4<<20-1000) + `"}]}]}`
		for i, s := range streams {
			ev := s.dryRunEvent(t)
			if ev.MaxBytes != 16<<20/workers {
				t.Errorf("a worker may answer with %d bytes of lists", ev.MaxBytes)
			}
			if w := h.answer(i+1, ev.ID, "any", body); w.Code != http.StatusNoContent {
				t.Errorf("%d %.200s", w.Code, w.Body)
			}
		}
		wg.Wait()
		run := dryRunOf(t, w)
		answered := slices.DeleteFunc(run.Workers, func(w wire.WorkerDryRun) bool { return w.State != wire.DryRunAnswered })
		if len(answered) != 16 {
			t.Errorf("%d answers of 4 MB are held, want 16", len(answered))
		}
	})
}

type anyWorker struct{ *fakeInventory }

func (anyWorker) Authenticate(int64, string) bool { return true }
