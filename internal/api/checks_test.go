package api_test

import (
	"errors"
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

// checkEvent reads the stream up to the next request for a check.
func (s *watchStream) checkEvent(t *testing.T) wire.CheckEvent {
	t.Helper()
	return nextEvent[wire.CheckEvent](t, s, "check")
}

func (h harness) answerCheck(worker int, run, credential, body string) *httptest.ResponseRecorder {
	return h.do(request("POST", fmt.Sprintf("/v2/workers/%d/checks/%s", worker, run), body,
		"Authorization", "Bearer "+credential, "Content-Type", "application/json"))
}

func someCheck() wire.WorkerCheck {
	return wire.WorkerCheck{
		Now: time.Unix(1700000000, 0).UTC(), PageSeconds: 0.5, PageBytes: 9, PageSeries: 2, Own: "a 1\n",
		Settings: []wire.Setting{{Flag: "--x", Value: "1", Source: "flag"}}, Log: []wire.LogRecord{{At: time.Unix(1700000000, 0).UTC(), Level: "INFO", Message: "m"}},
	}
}

// All who ask a worker at a time share the question. The answer is the worker's, between the times of asking and answering, and has no log that was not asked for.
func TestCheckWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		sevenInstances(h)
		one := openWatch(t, serve(t, h), "http://x", 1, 0)
		synctest.Wait()
		began := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				got, err := h.CheckWorker(t.Context(), 1, false)
				if err != nil {
					t.Error(err)
					return
				}
				want := &api.WorkerCheck{Asked: began, Answered: began.Add(2 * time.Second), WorkerCheck: someCheck()}
				want.Settings, want.Log = nil, nil
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
		ev := one.checkEvent(t)
		if ev.ID == "" || ev.TimeoutMillis != 7000 || ev.Log {
			t.Errorf("event: %+v", ev)
		}
		wg.Go(func() {
			if got, err := h.CheckWorker(t.Context(), 1, true); err != nil || len(got.Log) != 1 || len(got.Settings) != 1 {
				t.Errorf("%+v %v", got, err)
			}
		})
		other := one.checkEvent(t)
		if other.ID == ev.ID || !other.Log {
			t.Errorf("event: %+v", other)
		}
		sent := encoded(t, someCheck())
		problemOf(t, h.answerCheck(2, ev.ID, "cred-1", sent), 401)
		problemOf(t, h.answerCheck(2, ev.ID, "cred-2", sent), 410)
		problemOf(t, h.answerCheck(1, "other", "cred-1", sent), 410)
		problemOf(t, h.answerCheck(1, ev.ID, "cred-1", `{"page_bytes":-1}`), 422)
		time.Sleep(2 * time.Second)
		for _, id := range []string{ev.ID, other.ID} {
			if w := h.answerCheck(1, id, "cred-1", sent); w.Code != 204 {
				t.Errorf("answer: %d %s", w.Code, w.Body)
			}
		}
		wg.Wait()
	})
}

// Each worker that gives no answer has its own reason.
func TestCheckWorkerWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		sevenInstances(h)
		if _, err := h.CheckWorker(t.Context(), 9, false); !errors.Is(err, fleet.ErrNoWorker) {
			t.Errorf("unknown: %v", err)
		}
		if _, err := h.CheckWorker(t.Context(), 2, false); !errors.Is(err, api.ErrNotConnected) || !strings.Contains(err.Error(), "worker two is not connected") {
			t.Errorf("not connected: %v", err)
		}
		stream := openWatch(t, serve(t, h), "http://x", 1, 0)
		go func() {
			for stream.next() != "" {
			}
		}()
		synctest.Wait()
		began := time.Now()
		if _, err := h.CheckWorker(t.Context(), 1, false); !errors.Is(err, api.ErrUnanswered) || !strings.Contains(err.Error(), "0.9.0") || time.Since(began) != 7*time.Second {
			t.Errorf("an older one: %v after %s", err, time.Since(began))
		}
		if list := h.Connected(); len(list) != 1 || list[0] != 1 {
			t.Errorf("connected: %v", list)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := h.CheckWorker(t.Context(), 1, false); !errors.Is(err, api.ErrConnectionLost) {
				t.Errorf("one that leaves: %v", err)
			}
		})
		synctest.Wait()
		stream.cancel()
		wg.Wait()
	})
}

// Eight workers are asked at a time; the others wait, and get their answers.
func TestCheckWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		dial := serve(t, h)
		h.inventory.snapshot = fleet.Snapshot{}
		for id := int64(1); id <= 20; id++ {
			h.inventory.snapshot.Workers = append(h.inventory.snapshot.Workers, fleet.Worker{ID: id, Name: fmt.Sprint("w", id)})
		}
		for id := int64(1); id <= 20; id++ {
			stream := openWatch(t, dial, "http://x", id, 0)
			go func() {
				for stream.next() != "" {
				}
			}()
		}
		synctest.Wait()
		began := time.Now()
		var wg sync.WaitGroup
		for id := int64(1); id <= 20; id++ {
			wg.Go(func() {
				if _, err := h.CheckWorker(t.Context(), id, false); !errors.Is(err, api.ErrUnanswered) {
					t.Errorf("%d: %v", id, err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took != 21*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
