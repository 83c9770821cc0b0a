package api_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
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

const nineLines = `{"gpustack_metrics":{"gpustack:num_requests_running":{"type":"gauge","description":"Running."}},"runtime_mapping":{"vLLM":{"*":{"vllm:num_requests_running":"gpustack:num_requests_running"}}}}`

// Documents alone say which metrics vanish, at once and without a worker.
func TestVanishingMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		h.inventory.snapshot = fleet.Snapshot{Workers: []fleet.Worker{{ID: 3, Name: "three"}}}
		began := time.Now()
		if st := read[wire.MappingStatus](t, h.change("POST", "/v2/metrics/config", overlay)); len(st.Vanishing.Metrics) != 0 || st.Vanishing.Series != 0 {
			t.Errorf("an overlay takes away %+v", st.Vanishing)
		}
		st := read[wire.MappingStatus](t, h.change("POST", "/v2/metrics/config", nineLines))
		var list []string
		for _, m := range st.Vanishing.Metrics {
			list = append(list, m.Metric+" "+strings.Join(m.Runtimes, ","))
		}
		all := strings.Join(list, "\n")
		if len(list) < 70 || !strings.Contains(all, "gpustack:own vLLM") || !strings.Contains(all, "gpustack:prompt_tokens_total vLLM,SGLang") || strings.Contains(all, "gpustack:num_requests_running vLLM") {
			t.Errorf("%d metrics vanish:\n%s", len(list), all)
		}
		if diff := cmp.Diff([]string{"worker three: it has no watch stream to this server now, so it was not asked"}, st.Vanishing.Unknown); diff != "" {
			t.Errorf("unknown (-want +got)\n%s", diff)
		}
		run := dryRunOf(t, h.change("POST", generations+"/0/restore?dry_run=1", ""))
		if len(run.Vanishing.Metrics) != 0 {
			t.Errorf("the built-in document takes away %+v", run.Vanishing.Metrics)
		}
		run = dryRunOf(t, h.change("POST", "/v2/metrics/config?dry_run=1&merge=1", bare))
		if len(run.Vanishing.Metrics) != 0 {
			t.Errorf("a merged document takes away %+v", run.Vanishing.Metrics)
		}
		for _, path := range []string{"/v2/metrics/config", "/v2/metrics/config?dry_run=1"} {
			if w := h.change("POST", path, nineLines); strings.Contains(w.Body.String(), "vanishing") || !strings.Contains(w.Body.String(), `"unchanged":true`) {
				t.Errorf("%s of the active document: %s", path, w.Body)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s without a connected worker", took)
		}
	})
}

// Connected workers count the live series before the change. They have 2 s, and whatever they do the change is made.
func TestVanishingSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		threeWorkers(h)
		c := serve(t, h)
		one, two := openWatch(t, c, "http://x", 1, 0), openWatch(t, c, "http://x", 2, 0)
		synctest.Wait()
		var w *httptest.ResponseRecorder
		var wg sync.WaitGroup
		began := time.Now()
		wg.Go(func() { w = h.change("POST", "/v2/metrics/config?merge=1", bare) })
		ev := one.dryRunEvent(t)
		if string(ev.Document) != effectiveOf(t, overlay) || ev.TimeoutMillis != 2000 || ev.MaxBytes != 0 {
			t.Errorf("event: %.300s, %d ms, %d bytes", ev.Document, ev.TimeoutMillis, ev.MaxBytes)
		}
		two.dryRunEvent(t)
		if n := h.mapping.Current().Number; n != 0 {
			t.Errorf("generation %d is active before the workers have answered", n)
		}
		if w := h.answer(1, ev.ID, "cred-1", oneInstance); w.Code != 204 {
			t.Errorf("answer: %d %s", w.Code, w.Body)
		}
		wg.Wait()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %s", took)
		}
		st := read[wire.MappingStatus](t, w)
		want := &wire.Vanishing{Metrics: []wire.VanishingMetric{}, Series: 1, Unknown: []string{
			"instance b of worker one: down",
			"worker two: it did not answer within 2s; older versions of the worker cannot",
			"worker three: it has no watch stream to this server now, so it was not asked",
		}}
		if diff := cmp.Diff(want, st.Vanishing); diff != "" || st.Generation != 1 {
			t.Errorf("generation %d (-want +got)\n%s", st.Generation, diff)
		}
		problemOf(t, h.answer(2, ev.ID, "cred-2", oneInstance), 410)

		began = time.Now()
		wg.Go(func() { w = h.change("DELETE", "/v2/metrics/config", "") })
		if ev := one.dryRunEvent(t); !ev.Default || ev.Document != nil {
			t.Errorf("%+v", ev)
		} else {
			h.answer(1, ev.ID, "cred-1", `{"generation":1,"instances":[]}`)
		}
		h.answer(2, two.dryRunEvent(t).ID, "cred-2", `{"generation":1,"error":"too old","instances":[]}`)
		wg.Wait()
		st = read[wire.MappingStatus](t, w)
		if len(st.Vanishing.Unknown) != 2 || st.Vanishing.Unknown[0] != "worker two: too old" || len(st.Vanishing.Metrics) != 1 || time.Since(began) != 0 {
			t.Errorf("%+v after %s", st.Vanishing, time.Since(began))
		}
	})
}

// A change waits for no place among the dry runs, and none of its wait outlives the server.
func TestChangesWaitForNoDryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		c := serve(t, h)
		stream := openWatch(t, c, "http://x", 1, 0)
		var wg, reading sync.WaitGroup
		fillDryRuns(t, h, stream, &wg, &reading)
		began := time.Now()
		st := h.set(t, overlay)
		if took := time.Since(began); took != 0 || st.Vanishing == nil || len(st.Vanishing.Unknown) != 1 || !strings.Contains(st.Vanishing.Unknown[0], "4 dry runs are under way already") {
			t.Errorf("%+v after %s", st.Vanishing, took)
		}
		wg.Wait()
		began = time.Now()
		wg.Go(func() {
			if st := h.set(t, smallMapping); st.Generation != 2 {
				t.Errorf("%+v", st)
			}
		})
		synctest.Wait()
		h.EndStreams()
		wg.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("a change held up the server's end for %s", took)
		}
		reading.Wait()
	})
}

// Of many workers of which nothing is known the first are named.
func TestUnknownIsBounded(t *testing.T) {
	h := newAPI(t)
	for id := range int64(80) {
		h.inventory.snapshot.Workers = append(h.inventory.snapshot.Workers, fleet.Worker{ID: id + 1, Name: fmt.Sprint("w", id+1)})
	}
	if unknown := h.set(t, overlay).Vanishing.Unknown; len(unknown) != 50 || unknown[49] != "and 31 more" || !strings.HasPrefix(unknown[48], "worker w49: ") {
		t.Errorf("%d: %s", len(unknown), unknown[len(unknown)-1])
	}
}

// Two writers who read the same generation: the second one is told what happened and changes nothing. Without a condition both changes are made.
func TestTwoWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		c := serve(t, h)
		stream := openWatch(t, c, "http://x", 1, 0)
		synctest.Wait()
		var second, third *httptest.ResponseRecorder
		var wg sync.WaitGroup
		wg.Go(func() { second = h.change("POST", "/v2/metrics/config?author=bo", numbered(2), "If-Match", `"0"`) })
		wg.Go(func() { third = h.change("POST", "/v2/metrics/config", numbered(3)) })
		stream.dryRunEvent(t)
		stream.dryRunEvent(t)
		synctest.Wait()
		// The first one is faster: it needs no answer of the worker.
		if _, err := h.mapping.Publish(t.Context(), decoded(t, numbered(1)), api.ChangeRequest{IfGeneration: 0, Note: api.Note{Author: "ana"}}); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		p := problemOf(t, second, 412)
		if tag := second.Header().Get("ETag"); tag != `"1"` && tag != `"2"` {
			t.Errorf("ETag %s", tag)
		}
		for _, part := range []string{" is active since 2027-01-15T08:00:00Z, by ", "nothing was changed", "GET " + generations + "/0/diff?to=", "stackscope mapping diff @0 @"} {
			if !strings.Contains(p.Detail, part) {
				t.Errorf("it does not say %q: %s", part, p.Detail)
			}
		}
		st := read[wire.MappingStatus](t, third)
		if st.Generation != 2 || third.Header().Get("ETag") != `"2"` || len(st.Vanishing.Unknown) != 1 || !strings.Contains(st.Vanishing.Unknown[0], "generation 1 became active") {
			t.Errorf("%+v", st.Vanishing)
		}
		for _, change := range [][2]string{{"POST", "/v2/metrics/config"}, {"DELETE", "/v2/metrics/config"}, {"POST", generations + "/1/restore"}, {"POST", "/v2/metrics/config?dry_run=1"}, {"POST", generations + "/1/restore?dry_run=1"}} {
			w := h.change(change[0], change[1], smallMapping, "If-Match", `"1"`)
			if p := problemOf(t, w, 412); w.Header().Get("ETag") != `"2"` || !strings.Contains(p.Detail, `by "admin token"`) || !strings.Contains(p.Detail, "@1 @2") {
				t.Errorf("%v: %v %s", change, w.Header(), p.Detail)
			}
		}
	})
}

// Each answer has the tag of the generation that is active then.
func TestChangesHaveTheTag(t *testing.T) {
	h := newAPI(t)
	for i, c := range []struct{ method, path, body, tag string }{
		{"POST", "/v2/metrics/config", smallMapping, `"1"`},
		{"POST", "/v2/metrics/config", smallMapping, `"1"`},
		{"POST", "/v2/metrics/config?dry_run=1", nineLines, `"1"`},
		{"DELETE", "/v2/metrics/config?dry_run=1", "", `"1"`},
		{"DELETE", "/v2/metrics/config", "", `"2"`},
		{"POST", generations + "/1/restore?dry_run=1", "", `"2"`},
		{"POST", generations + "/1/restore", "", `"3"`},
		{"POST", generations + "/1/restore", "", `"3"`},
	} {
		if w := h.change(c.method, c.path, c.body, "If-Match", "*"); w.Code != 200 || w.Header().Get("ETag") != c.tag || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d. %s %s: %d %v", i, c.method, c.path, w.Code, w.Header())
		}
	}
}
