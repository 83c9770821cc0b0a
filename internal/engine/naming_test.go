package engine

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/fleet"
)

// plainPage names no model, as vLLM's does before the first request in some versions.
const plainPage = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 0\n"

// What is wrong with the name of a model is said, and the name that stands for it is one that a server takes.
func TestBadModelNames(t *testing.T) {
	long := strings.Repeat("m", 600)
	for name, c := range map[string]struct {
		page, list  string
		model, says string
	}{
		"long in the labels":      {strings.Replace(vllmPage, `model_name="qwen"`, `model_name="`+long+`"`, 2), "", "mmmmmmmm", "the model's name is 600 bytes long; at most 512 are allowed"},
		"invisible in the labels": {strings.Replace(vllmPage, "qwen", "q\u200bwen", 2), "", "q<U+200B>wen", "U+200B, which is an invisible character"},
		"long in the list":        {plainPage, `{"data":[{"id":"` + long + `"}]}`, "node-8000", "the instance's stands for it (GET /v1/models: the model's name has 600 bytes)"},
		"broken list":             {plainPage, `{"data":[{`, "node-8000", "the instance's stands for it (GET /v1/models: no usable answer): give model="},
		"no list":                 {plainPage, "", "node-8000", ""},
		"right":                   {vllmPage, "", "qwen", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pages := map[string]string{"/metrics": c.page, "/version": `{"version":"0.11.0"}`}
				if c.list != "" {
					pages["/v1/models"] = c.list
				}
				f := &fake{pages: pages}
				h := newHarnessOf(t, "http://127.0.0.1:8000", f, -1)
				h.fake = f
				h.run(t)
				time.Sleep(20 * time.Second)
				s := h.Status()
				if !strings.HasPrefix(s.Model, c.model) || len(s.Model) > fleet.MaxModelName || s.State != fleet.InstanceRunning {
					t.Errorf("got %s, model %q", s.State, s.Model)
				}
				if !strings.Contains(s.Message, c.says) || (c.says == "") != (s.Message == "") {
					t.Errorf("it says %q, want %q", s.Message, c.says)
				}
				// A good name ends it.
				h.fake.set("/metrics", vllmPage)
				h.fake.set("/v1/models", `{"data":[{"id":"qwen"}]}`)
				time.Sleep(10 * time.Minute)
				_ = h.scrape(t)
				if s := h.Status(); c.model == "node-8000" && c.list != "" && (s.Model != "qwen" || s.Message != "") {
					t.Errorf("then: model %q, %q", s.Model, s.Message)
				}
			})
		})
	}
}

// An engine without a model always says why.
func TestEngineWithoutAModelSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "http://127.0.0.1:8000", map[string]string{"/metrics": plainPage})
		h.fake.hang()
		h.want(t, fleet.InstanceStarting, noAnswerYet, 0)
		h.run(t)
		time.Sleep(checkTimeout + time.Second)
		h.want(t, fleet.InstanceStarting, "no complete answer before the scrape's deadline", 0)
		h.fake.fail(&fetch.Error{})
		time.Sleep(time.Minute)
		if s := h.Status(); s.Model != "" || s.Message == "" {
			t.Errorf("got model %q, message %q", s.Model, s.Message)
		}
	})
}

// An earlier version named engines that never answered after their instance. One that answers again gets the name again.
func TestModelNamedAfterTheInstanceByAnEarlierVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "http://127.0.0.1:8000", map[string]string{"/metrics": "<html>"})
		var err error
		h.Engine, err = New(Options{Declaration: h.declared, Fetcher: h.fetcher, History: History{Identity: identity("", "", "node-8000")}})
		if err != nil {
			t.Fatal(err)
		}
		h.run(t)
		time.Sleep(time.Minute)
		if s := h.Status(); s.Model != "" || s.State != fleet.InstanceError {
			t.Errorf("%s, model %q", s.State, s.Model)
		}
		h.fake.set("/metrics", plainPage)
		time.Sleep(time.Minute)
		if s := h.Status(); s.Model != "node-8000" || s.State != fleet.InstanceRunning {
			t.Errorf("%s, model %q", s.State, s.Model)
		}
	})
}

// Since is when the state began, also over a restart of the worker, but not over one of the engine.
func TestSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now().UTC()
		h := newHarness(t, "http://127.0.0.1:8000", map[string]string{"/metrics": vllmPage})
		want := func(state fleet.InstanceState, since time.Time) {
			t.Helper()
			if s := h.Status(); s.State != state || !s.Since.Equal(since) {
				t.Errorf("%s since %s, want %s since %s", s.State, s.Since.Sub(began), state, since.Sub(began))
			}
		}
		want(fleet.InstanceStarting, began)
		time.Sleep(time.Minute)
		_ = h.scrape(t)
		want(fleet.InstanceRunning, began.Add(time.Minute))
		time.Sleep(time.Minute)
		h.fake.fail(refused)
		_ = h.scrape(t)
		time.Sleep(time.Minute)
		h.fake.fail(errors.New("weather"))
		_ = h.scrape(t) // another message, the same state
		want(fleet.InstanceUnreachable, began.Add(2*time.Minute))
		unreachable := h.History()
		h.fake.set("/metrics", vllmPage)
		_ = h.scrape(t)
		want(fleet.InstanceRunning, began.Add(3*time.Minute))

		history, restarted := h.History(), h.History()
		time.Sleep(time.Hour)
		restarted.RestartCount, restarted.LastRestartAt = 1, time.Now()
		for name, c := range map[string]struct {
			history History
			started time.Time
			since   time.Time // zero: now
		}{
			"the same":                   {history, time.Time{}, history.Since},
			"the same process":           {history, began, history.Since},
			"a later process":            {history, time.Now(), time.Time{}},
			"restarted":                  {restarted, time.Time{}, time.Time{}},
			"in another state":           {unreachable, time.Time{}, time.Time{}},
			"of a clock that was ahead":  {History{State: fleet.InstanceRunning, Since: time.Now().Add(time.Hour)}, time.Time{}, time.Time{}},
			"a version without the time": {History{}, time.Time{}, time.Time{}},
		} {
			again, err := New(Options{Declaration: h.declared, Fetcher: h.fetcher, History: c.history})
			if err != nil {
				t.Fatal(err)
			}
			if !c.started.IsZero() {
				again.Observe(ProcessStatus{PID: 1, Started: c.started})
			}
			if c.since.IsZero() {
				c.since = time.Now()
			}
			page, err := again.Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			page.Release()
			if s := again.Status(); s.State != fleet.InstanceRunning || !s.Since.Equal(c.since.Truncate(time.Second)) {
				t.Errorf("%s: %s since %s, want %s", name, s.State, s.Since.Sub(began), c.since.Sub(began))
			}
		}
	})
}
