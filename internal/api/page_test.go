package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

func (h harness) page(instance int) *httptest.ResponseRecorder {
	return h.do(request("GET", fmt.Sprintf("/v2/model-instances/%d/page", instance), ""))
}

// withoutPage returns the answer with the reason why there is no page.
func (h harness) withoutPage(t *testing.T, instance int) (p wire.InstancePage) {
	t.Helper()
	w := h.page(instance)
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 || p.Error == "" || p.Native != "" || p.Coverage != nil || p.Metrics == nil || p.FetchedAt.IsZero() {
		t.Errorf("%d %v %s", w.Code, err, w.Body)
	}
	return p
}

// pageEvent reads the stream up to the next request for a page.
func (s *watchStream) pageEvent(t *testing.T) wire.PageEvent {
	t.Helper()
	return nextEvent[wire.PageEvent](t, s, "page")
}

// nextEvent reads the stream up to the next event of a name.
func nextEvent[E any](t *testing.T, s *watchStream, name string) (ev E) {
	t.Helper()
	for {
		text := s.next()
		if data, ok := strings.CutPrefix(text, "event: "+name+"|data: "); ok {
			if err := json.Unmarshal([]byte(data), &ev); err != nil {
				t.Error(err)
			}
			return ev
		}
		if text == "" {
			t.Error("the stream ended")
			return ev
		}
	}
}

func (h harness) answerPage(worker int, run, credential, body string) *httptest.ResponseRecorder {
	return h.do(request("POST", fmt.Sprintf("/v2/workers/%d/pages/%s", worker, run), body,
		"Authorization", "Bearer "+credential, "Content-Type", "application/json"))
}

func sevenInstances(h harness) {
	h.inventory.snapshot = fleet.Snapshot{Workers: []fleet.Worker{{ID: 1, Name: "one", Version: "0.9.0"}, {ID: 2, Name: "two"}}}
	for id := int64(10); id < 17; id++ {
		h.inventory.snapshot.Instances = append(h.inventory.snapshot.Instances, fleet.Instance{ID: id, WorkerID: 1, Name: fmt.Sprint("i", id)})
	}
	h.inventory.snapshot.Instances = append(h.inventory.snapshot.Instances, fleet.Instance{ID: 20, WorkerID: 2, Name: "i20", URL: "http://10.0.0.8:8000", Runtime: "SGLang"})
}

func somePage() wire.InstancePage {
	return wire.InstancePage{
		URL: "http://10.0.0.7:8000/metrics", Runtime: "vLLM", RuntimeVersion: "0.11.0", FetchedAt: time.Unix(1700000000, 0).UTC(), ContentType: "text/plain", Bytes: 12,
		Native: "vllm:<x> 1\n", Unified: "gpustack:x 1\n", Coverage: &wire.Coverage{Families: 1, Of: 28},
		Metrics: []wire.NativeReport{{Name: "vllm:x", Samples: 1, Outcomes: []wire.NativeOutcome{{Family: "gpustack:x", Samples: 1}}}},
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// All requests for the page of an instance share one question to its worker, and the answer is the worker's without secrets.
func TestInstancePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		sevenInstances(h)
		one := openWatch(t, serve(t, h), "http://x", 1, 0)
		synctest.Wait()
		want := somePage()
		began := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				w := h.page(12)
				var got wire.InstancePage
				if err := json.Unmarshal(w.Body.Bytes(), &got); w.Code != 200 || err != nil || w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%d %v %s", w.Code, err, w.Body)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
		ev := one.pageEvent(t)
		if ev.ID == "" || ev.Instance != "i12" || ev.TimeoutMillis != 10_000 {
			t.Errorf("event: %+v", ev)
		}
		sent := somePage()
		sent.URL = "http://amy:hunter2@10.0.0.7:8000/metrics?token=t"
		problemOf(t, h.answerPage(2, ev.ID, "cred-1", encoded(t, sent)), 401)
		problemOf(t, h.answerPage(2, ev.ID, "cred-2", encoded(t, sent)), 410) // it is not the worker's to answer
		problemOf(t, h.answerPage(1, "other", "cred-1", encoded(t, sent)), 410)
		problemOf(t, h.answerPage(1, ev.ID, "cred-1", `{"bytes":-1}`), 422)
		time.Sleep(time.Second)
		if w := h.answerPage(1, ev.ID, "cred-1", encoded(t, sent)); w.Code != 204 {
			t.Errorf("answer: %d %s", w.Code, w.Body)
		}
		wg.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
		problemOf(t, h.answerPage(1, ev.ID, "cred-1", encoded(t, sent)), 410)

		want.Error, want.Native = "down", ""
		wg.Go(func() {
			if w := h.page(12); !strings.Contains(w.Body.String(), `"error":"down"`) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
		again := one.pageEvent(t)
		if again.ID == ev.ID || again.ID == "" {
			t.Errorf("the second question is %+v", again)
		}
		h.answerPage(1, again.ID, "cred-1", encoded(t, want))
		wg.Wait()
	})
}

// A worker whose stream ends while it is asked is not blamed for its version.
func TestInstancePageOfAWorkerThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		sevenInstances(h)
		stream := openWatch(t, serve(t, h), "http://x", 1, 0)
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(func() {
			if p := h.withoutPage(t, 10); !strings.Contains(p.Error, "worker one lost its connection") {
				t.Errorf("%+v", p)
			}
		})
		synctest.Wait()
		stream.cancel()
		wg.Wait()
	})
}

// Four pages are read at a time, and a worker that says nothing is told of after ten seconds.
func TestInstancePageIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		sevenInstances(h)
		stream := openWatch(t, serve(t, h), "http://x", 1, 0)
		go func() { // a worker that takes nothing for 20 s would lose its stream
			for stream.next() != "" {
			}
		}()
		synctest.Wait()
		problemOf(t, h.page(999), 404)
		problemOf(t, h.page(0), 422)
		if p := h.withoutPage(t, 20); !strings.Contains(p.Error, "worker two is not connected") || p.URL != "http://10.0.0.8:8000" || p.Runtime != "SGLang" {
			t.Errorf("%+v", p)
		}
		for range 2 {
			began := time.Now()
			var wg sync.WaitGroup
			for id := 10; id < 14; id++ {
				wg.Go(func() {
					if p := h.withoutPage(t, id); !strings.Contains(p.Error, "worker one did not answer within 10s") || !strings.Contains(p.Error, "0.9.0") {
						t.Errorf("%+v", p)
					}
				})
			}
			synctest.Wait()
			if w := h.page(15); w.Code != 503 || w.Header().Get("Retry-After") == "" {
				t.Errorf("the fifth: %d %s", w.Code, w.Body)
			}
			wg.Wait()
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("it took %s", took)
			}
		}
	})
}

// Others get the page although the request that began the reading is gone, and a server that stops waits for no worker.
func TestInstancePageEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		sevenInstances(h)
		one := openWatch(t, serve(t, h), "http://x", 1, 0)
		synctest.Wait()
		var wg sync.WaitGroup
		first := request("GET", "/v2/model-instances/11/page", "")
		ctx, cancel := context.WithCancel(first.Context())
		wg.Go(func() { h.do(first.WithContext(ctx)) })
		ev := one.pageEvent(t)
		wg.Go(func() {
			if w := h.page(11); w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		h.answerPage(1, ev.ID, "cred-1", encoded(t, somePage()))
		wg.Wait()
		wg.Go(func() {
			if p := problemOf(t, h.page(10), 503); !strings.Contains(p.Detail, "stops") {
				t.Errorf("%+v", p)
			}
		})
		one.pageEvent(t)
		h.EndStreams()
		wg.Wait()
	})
}
