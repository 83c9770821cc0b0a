package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

const reachable = "is it running, and are host and port right?"

// An engine that never answers has failed after three tries, with the reason, and runs as soon as it answers.
func TestEngineThatNeverAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		fails func(f *fake)
		want  string
	}{
		"refused":     {func(f *fake) { f.fail(refused) }, "connection refused at 127.0.0.1:8000: " + reachable},
		"no name":     {func(f *fake) { f.fail(&net.DNSError{Name: "gpu1"}) }, "its host name gpu1 cannot be resolved: check the name"},
		"no route":    {func(f *fake) { f.fail(syscall.EHOSTUNREACH) }, "there is no route to its host: check the address"},
		"silent":      {func(f *fake) { f.hang() }, "no complete answer before the scrape's deadline"},
		"no way":      {func(f *fake) { f.fail(context.DeadlineExceeded) }, "no complete answer before the scrape's deadline"},
		"it breaks":   {func(f *fake) { f.fail(io.EOF) }, "the connection was closed before the answer was complete"},
		"anything":    {func(f *fake) { f.fail(errors.New("weather")) }, "it cannot be reached: weather: " + reachable},
		"403":         {func(f *fake) { f.answers(403) }, "answered 403 Forbidden: give credentials"},
		"404":         {func(f *fake) { f.answers(404) }, "answered 404 Not Found: is the URL the engine's?"},
		"503":         {func(f *fake) { f.answers(503) }, "answered 503 Service Unavailable"},
		"HTML":        {func(f *fake) { f.set("/metrics", "<html>") }, "answered HTML, not a metrics page"},
		"JSON":        {func(f *fake) { f.set("/metrics", `{"iter": 1}`) }, "answered JSON, not a metrics page"},
		"without TLS": {func(f *fake) { f.fail(errors.New("http: server gave HTTP response to HTTPS client")) }, "it does not speak TLS: write http://"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
				c.fails(h.fake)
				h.run(t)
				time.Sleep(time.Minute)
				h.want(t, fleet.InstanceError, c.want, 0)
				told := h.log.String()
				time.Sleep(time.Hour)
				h.want(t, fleet.InstanceError, c.want, 0)
				if now := h.log.String(); now != told || strings.Count(now, "level=WARN") != 1 {
					t.Errorf("the log is not one warning:\n%s", now)
				}
				h.fake.answers(0)
				h.fake.set("/metrics", vllmPage)
				time.Sleep(maxRetryPause)
				h.want(t, fleet.InstanceRunning, "", 0)
				h.fake.fail(refused)
				time.Sleep(time.Hour)
				h.want(t, fleet.InstanceUnreachable, "connection refused", 0)
			})
		})
	}
}

// The tries are the engine's own: it does not matter how often somebody scrapes the worker.
func TestTriesDoNotDependOnScrapes(t *testing.T) {
	for _, every := range []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second, 15 * time.Second, time.Minute, time.Hour} {
		for _, own := range []bool{true, false} {
			if every > time.Minute && !own {
				continue // nothing reads it
			}
			t.Run(fmt.Sprintf("every %s, read on its own %t", every, own), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
					h.fake.fail(refused)
					if own {
						h.run(t)
					}
					began := time.Now()
					done := time.After(5 * time.Minute)
					scrapes := time.NewTicker(every)
					defer scrapes.Stop()
					for h.Status().State != fleet.InstanceError {
						select {
						case <-scrapes.C:
							_ = h.scrape(t)
						case <-time.After(time.Second):
						case <-done:
							t.Fatal("it never fails")
						}
					}
					most := 45 * time.Second
					if !own {
						most = max(most, 3*every)
					}
					if took := time.Since(began); took < 2*tryInterval || took > most {
						t.Errorf("it fails after %s", took)
					}
				})
			})
		}
	}
}

// A process that runs is given the time that it needs to load.
func TestProcessThatLoads(t *testing.T) {
	const min = 60
	quiet := func(int) ProcessStatus { return ProcessStatus{} }
	for name, c := range map[string]struct {
		age    time.Duration // of the process when it is first seen
		status func(second int) ProcessStatus
		fails  func(f *fake)
		until  int // second at which it fails
		want   string
	}{
		"nothing is seen of it":      {0, quiet, nil, 30 * min, "and has not answered: is the port right?"},
		"it is old":                  {5 * time.Hour, quiet, nil, 30, "and has not answered: is the port right?"},
		"it is 20 minutes old":       {20 * time.Minute, quiet, nil, 10 * min, "and has not answered"},
		"it takes its GPU at last":   {0, func(s int) ProcessStatus { return ProcessStatus{GPUKnown: true, HoldsGPU: s >= 25*min} }, nil, 35 * min, "and has not answered"},
		"it holds a GPU and waits":   {0, func(int) ProcessStatus { return ProcessStatus{GPUKnown: true, HoldsGPU: true} }, nil, 30 * min, "and has not answered"},
		"it computes":                {0, func(s int) ProcessStatus { return ProcessStatus{HoldsGPU: true, GPUBusy: s%300 == 299} }, nil, 120 * min, "and has not answered"},
		"it computes, then not":      {0, func(s int) ProcessStatus { return ProcessStatus{HoldsGPU: true, GPUBusy: s < 40*min} }, nil, 50 * min, "and has not answered"},
		"it listens and is silent":   {0, func(s int) ProcessStatus { return ProcessStatus{Listening: s >= 5} }, func(f *fake) { f.hang() }, 30 * min, "and has not answered"},
		"it listens and answers 503": {0, func(s int) ProcessStatus { return ProcessStatus{Listening: s >= 5} }, func(f *fake) { f.answers(503) }, 30 * min, "answered 503"},
		"it listens elsewhere":       {0, func(s int) ProcessStatus { return ProcessStatus{Listening: s >= 10*min} }, nil, 10*min + 20, "although its process listens on that port"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
				if c.fails == nil {
					c.fails = func(f *fake) { f.fail(refused) }
				}
				c.fails(h.fake)
				began := time.Now().Add(-c.age)
				h.run(t)
				failedAt := -1
				for s := range 3 * 60 * min {
					o := c.status(s)
					o.PID, o.Started = 7, began
					h.Observe(o)
					time.Sleep(time.Second)
					synctest.Wait()
					st := h.Status()
					if st.State == fleet.InstanceError {
						failedAt = s
						break
					}
					if st.Message == "" && s < 15 {
						continue // the first read is under way
					}
					if st.State != fleet.InstanceStarting || !strings.Contains(st.Message, "its process runs and does not answer yet") || s > 60 && s < 10*min && !strings.Contains(st.Message, " since 20") {
						t.Fatalf("after %d s: %s %q", s, st.State, st.Message)
					}
				}
				const pace = 30 // the reads are up to so many seconds apart
				if failedAt < c.until-2 || failedAt > c.until+pace {
					t.Errorf("it failed after %d s, want %d", failedAt, c.until)
				}
				h.want(t, fleet.InstanceError, c.want, 0)
				if n := strings.Count(h.log.String(), "engine scrape failed"); n > 5 { // one more if the first read comes before the first observation
					t.Errorf("logged %d times:\n%s", n, h.log)
				}
				h.fake.answers(0)
				h.fake.set("/metrics", vllmPage)
				time.Sleep(maxRetryPause)
				h.want(t, fleet.InstanceRunning, "", 0)
			})
		})
	}
}

// The time of a process that ended or was replaced does not count for the next one.
func TestNextProcessIsGivenItsTime(t *testing.T) {
	for name, ended := range map[string]bool{"its end was seen": true, "its end was not seen": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
				h.fake.fail(refused)
				h.run(t)
				for pid := 1; pid < 4; pid++ {
					now := ProcessStatus{PID: pid, Started: time.Now()}
					h.Observe(now)
					time.Sleep(25 * time.Minute)
					h.want(t, fleet.InstanceStarting, "its process runs and does not answer yet", pid-1)
					time.Sleep(10 * time.Minute)
					h.want(t, fleet.InstanceError, "its process runs since "+now.Started.UTC().Format(time.RFC3339), pid-1)
					if now.Gone = true; ended {
						h.Observe(now)
						h.want(t, fleet.InstanceUnreachable, "its process ended", pid-1)
					}
				}
			})
		})
	}
}

// A failed engine has the model that it says, if it says one, and else none: the instance's name stands for it only when the engine runs.
func TestModelOfAnEngineThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		declaration string
		fails       func(f *fake)
		want        string
	}{
		"refused":            {"http://127.0.0.1:8000", func(f *fake) { f.fail(refused) }, ""},
		"without metrics":    {"url=http://127.0.0.1:8000,runtime=SGLang", func(f *fake) { f.set("/v1/models", `{"data":[{"id":"llama"}]}`) }, "llama"},
		"no engine":          {"http://127.0.0.1:8000", func(f *fake) { f.set("/metrics", "<html>") }, ""},
		"declared":           {"url=http://127.0.0.1:8000,model=mine", func(f *fake) { f.fail(refused) }, "mine"},
		"a gateway":          {"url=http://127.0.0.1:4000,runtime=LiteLLM", func(f *fake) { f.fail(refused) }, ""},
		"a gateway, answers": {"url=http://127.0.0.1:4000,runtime=LiteLLM", func(f *fake) { f.set("/metrics/", "<html>") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, c.declaration, map[string]string{})
				c.fails(h.fake)
				h.run(t)
				time.Sleep(time.Minute)
				h.want(t, fleet.InstanceError, "", 0)
				if got := h.Status().Model; got != c.want {
					t.Errorf("got model %q, want %q", got, c.want)
				}
				if n := h.fake.count("/v1/models"); n > 20 {
					t.Errorf("the model was asked for %d times", n)
				}
				if c.want != "" || strings.Contains(name, "gateway") {
					return
				}
				h.fake.set("/metrics", vllmPage)
				h.fake.set("/v1/models", `{"data":[{"id":"real"}]}`)
				time.Sleep(time.Minute)
				h.want(t, fleet.InstanceRunning, "", 0)
				if got := h.Status().Model; got != "real" {
					t.Errorf("when it answers, it has model %q", got)
				}
			})
		})
	}
}
