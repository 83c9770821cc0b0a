package engine

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// A page that does not say when its process started shows a restart by what went before it.
func TestRestartOnAPageWithoutAStartTime(t *testing.T) {
	tokens := func(n int) string { return fmt.Sprintf("vllm:prompt_tokens_total{model_name=\"q\"} %d\n", n) }
	ended := func(h *harness) { h.Observe(ProcessStatus{PID: 7, Gone: true}) }
	refuses := func(h *harness) { h.fake.fail(refused); _ = h.scrape(h.t) }
	silent := func(h *harness) { h.fake.hang(); _ = h.scrape(h.t) }
	html := func(h *harness) { h.fake.set("/metrics", "<html>"); _ = h.scrape(h.t) }
	is := func(pid int) func(*harness) { return func(h *harness) { h.Observe(ProcessStatus{PID: pid}) } }
	page := func(n int) func(*harness) {
		return func(h *harness) { h.fake.set("/metrics", tokens(n)); _ = h.scrape(h.t) }
	}
	for name, c := range map[string]struct {
		steps []func(*harness)
		want  int
	}{
		"it ended":                         {[]func(*harness){ended, page(60)}, 1},
		"it ended, and another is seen":    {[]func(*harness){ended, page(60), is(8), page(61)}, 1},
		"it ended, another is seen first":  {[]func(*harness){ended, is(8), page(60), is(8)}, 1},
		"it ended and was silent":          {[]func(*harness){ended, silent, page(60)}, 1},
		"refused":                          {[]func(*harness){refuses, page(60)}, 1},
		"refused, then silent":             {[]func(*harness){refuses, silent, page(60)}, 1},
		"refused, then no metrics":         {[]func(*harness){refuses, html, page(60)}, 1},
		"silent":                           {[]func(*harness){silent, page(60)}, 0},
		"no metrics":                       {[]func(*harness){html, page(60)}, 0},
		"its counter fell":                 {[]func(*harness){page(49)}, 1},
		"its counter fell a little":        {[]func(*harness){page(1_000_000), page(999_999)}, 1},
		"its counter stands":               {[]func(*harness){page(50), page(50)}, 0},
		"another is seen, then both tell":  {[]func(*harness){is(8), page(3), is(8), page(4)}, 1},
		"it did not end":                   {[]func(*harness){ended, is(7), page(60)}, 0},
		"twice":                            {[]func(*harness){refuses, page(60), refuses, page(70)}, 2},
		"refused twice for the same start": {[]func(*harness){refuses, refuses, page(60), page(70)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": tokens(50)})
				is(7)(h)
				page(50)(h)
				for _, step := range c.steps {
					step(h)
				}
				h.want(t, fleet.InstanceRunning, "", c.want)
			})
		})
	}
}

// Sums of the same numbers differ in their last digits when the page lists them in another order.
func TestOrderOfSeriesIsNoRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
		for _, order := range []string{"0.1 0.2 0.3", "0.3 0.2 0.1", "0.2 0.3 0.1", "0.1 0.2 0.3"} {
			var page strings.Builder
			for n := range strings.FieldsSeq(order) {
				page.WriteString("vllm:prompt_tokens_total{model_name=\"q\",engine=\"" + n + "\"} " + n + "\n")
			}
			h.fake.set("/metrics", page.String())
			_ = h.scrape(t)
			h.want(t, fleet.InstanceRunning, "", 0)
		}
	})
}

// A new process is read soon, again and again, however long the one before was down.
func TestNewProcessIsReadSoon(t *testing.T) {
	for name, ended := range map[string]bool{"its end was seen": true, "its end was not seen": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
				h.fake.fail(refused)
				h.run(t)
				h.Observe(ProcessStatus{PID: 7, Started: time.Now()})
				time.Sleep(time.Hour)
				if ended {
					h.Observe(ProcessStatus{PID: 7, Gone: true})
				}
				h.Observe(ProcessStatus{PID: 8, Started: time.Now()})
				time.Sleep(2 * minRetryPause)
				h.fake.set("/metrics", vllmPage)
				time.Sleep(2 * minRetryPause)
				h.want(t, fleet.InstanceRunning, "", 1)
			})
		})
	}
}

// An engine whose process was thought to have ended is read at once when it is seen again.
func TestProcessThatDidNotEndIsReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
		h.run(t)
		h.Observe(ProcessStatus{PID: 7, Listening: true})
		time.Sleep(time.Second)
		h.Observe(ProcessStatus{PID: 7, Gone: true})
		h.want(t, fleet.InstanceUnreachable, "its process ended", 0)
		h.Observe(ProcessStatus{PID: 7, Listening: true})
		h.want(t, fleet.InstanceRunning, "", 0)
	})
}

// slowVersion answers the question for the version late, with what it was when it was asked.
type slowVersion struct {
	mu            sync.Mutex
	page, version string
	delay         time.Duration // negative: for ever
}

func (s *slowVersion) set(page, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page, s.version = page, version
}

func (s *slowVersion) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	body, delay := s.page, time.Duration(0)
	if r.URL.Path == "/version" {
		body, delay = `{"version":"`+s.version+`"}`, s.delay
	}
	s.mu.Unlock()
	var answer <-chan time.Time
	if delay >= 0 {
		answer = time.After(delay)
	}
	select {
	case <-answer:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if body == "" {
		return nil, refused
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// What the old process says about itself is not the new one's version, even if it says so when the new one is there already.
func TestLateVersionOfTheOldProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowVersion{page: startedAt(1000, 5), version: "1.0", delay: 2 * time.Second}
		h := newHarnessOf(t, "url=http://127.0.0.1:8000,model=q", s, 0)
		h.run(t)
		time.Sleep(time.Second) // the version is asked for
		s.set(startedAt(2000, 5), "2.0")
		_ = h.scrape(t)
		time.Sleep(time.Second) // and answered
		synctest.Wait()
		if v := h.Status().Version; v != "" {
			t.Errorf("the new process has version %q before it was asked", v)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if v := h.Status().Version; v != "2.0" {
			t.Errorf("got version %q", v)
		}
	})
}

// A new process is asked as often as one that was never asked before.
func TestVersionOfARestartedEngineIsAskedForSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q", map[string]string{"/metrics": startedAt(1000, 5)})
		h.run(t)
		time.Sleep(2 * time.Hour)
		h.fake.set("/metrics", startedAt(2000, 5))
		_ = h.scrape(t)
		h.fake.set("/version", `{"version":"2.0"}`)
		time.Sleep(minAskPause)
		synctest.Wait()
		if v := h.Status().Version; v != "2.0" {
			t.Errorf("got version %q", v)
		}
	})
}

// An engine that leaves a question about itself open is followed all the same.
func TestHangingVersionDoesNotBlindTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowVersion{page: startedAt(1000, 5), delay: -1}
		h := newHarnessOf(t, "url=http://127.0.0.1:8000,model=q", s, 0)
		h.run(t)
		time.Sleep(time.Minute)
		h.want(t, fleet.InstanceRunning, "", 0)
		s.set("", "")
		time.Sleep(checkInterval + 3*time.Second)
		h.want(t, fleet.InstanceUnreachable, "connection refused", 0)
		s.set(startedAt(2000, 5), "")
		time.Sleep(checkInterval + 3*time.Second)
		h.want(t, fleet.InstanceRunning, "", 1)
	})
}

// A scrape waits for the version for a part of the time that it has, and not when nobody waits for it any more.
func TestWaitForTheVersionIsAPartOfTheScrape(t *testing.T) {
	for deadline, want := range map[time.Duration]time.Duration{
		0: identityWait, time.Hour: identityWait, 4 * identityWait: identityWait, time.Second: 250 * time.Millisecond, 100 * time.Millisecond: 25 * time.Millisecond,
	} {
		for _, givenUp := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, given up %t", deadline, givenUp), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHarnessOf(t, "url=http://127.0.0.1:8000,model=q", &slowVersion{page: vllmPage, delay: -1}, 0)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if deadline > 0 {
						ctx, cancel = context.WithTimeout(ctx, deadline)
						defer cancel()
					}
					wait := want
					if givenUp {
						wait = 10 * time.Millisecond
						time.AfterFunc(wait, cancel)
					}
					begin := time.Now()
					page, err := h.Fetch(ctx)
					if err != nil || string(page.Body) != vllmPage {
						t.Errorf("got %q, %v", page.Body, err)
					}
					page.Release()
					if took := time.Since(begin); took != wait {
						t.Errorf("took %s, want %s", took, wait)
					}
				})
			})
		}
	}
}

// A process that seems to have started after its page was there, by clocks that are read at different times, took no time that
// could be told, and never less than none.
func TestPageBeforeItsProcessStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": startedAt(1000, 5)})
		h.Observe(ProcessStatus{PID: 7, Started: time.Now().Add(-time.Hour), Listening: true})
		_ = h.scrape(t)
		shown := time.Now()
		h.fake.set("/metrics", startedAt(2000, 5))
		_ = h.scrape(t)
		time.Sleep(3 * time.Second)
		h.Observe(ProcessStatus{PID: 8, Started: shown.Add(1500 * time.Millisecond), Listening: true})
		h.want(t, fleet.InstanceRunning, "", 1)
		if sums := h.sums(); len(sums) != 0 {
			t.Errorf("phases took %v", sums)
		}
	})
}
