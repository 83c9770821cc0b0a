package engine

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// inFlight is a request for the page that the test answers when it likes.
type inFlight struct {
	page string
	err  error
	done chan struct{}
}

func (f *inFlight) answer(page string) {
	f.page = page
	close(f.done)
	synctest.Wait()
}

func (f *inFlight) fail(err error) {
	f.err = err
	close(f.done)
	synctest.Wait()
}

// requests are those for the page that are under way. All others are answered with 404.
type requests chan *inFlight

func (q requests) RoundTrip(r *http.Request) (*http.Response, error) {
	f := &inFlight{done: make(chan struct{})}
	status := http.StatusNotFound
	if r.URL.Path == "/metrics" {
		status = http.StatusOK
		q <- f
		select {
		case <-f.done:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, ContentLength: int64(len(f.page)), Body: io.NopCloser(strings.NewReader(f.page)), Request: r}, nil
}

// held is an engine whose requests the test answers one by one.
type held struct {
	*harness
	requests requests
}

func newHeld(t *testing.T) held {
	t.Helper()
	q := make(requests, 8)
	return held{newHarnessOf(t, "url=http://127.0.0.1:8000,model=q,version=1", q, 0), q}
}

// fetch begins a fetch and returns its request.
func (h held) fetch(t *testing.T) *inFlight {
	t.Helper()
	go func() { _ = h.scrape(t) }()
	synctest.Wait()
	return <-h.requests
}

// What a fetch says is of the moment at which it began: the news of one that was overtaken are old.
func TestFetchesThatOvertakeEachOther(t *testing.T) {
	const before, after = "vllm:prompt_tokens_total{model_name=\"q\"} 50\n", "vllm:prompt_tokens_total{model_name=\"q\"} 60\n"
	for name, c := range map[string]struct {
		steps   func(older, newer *inFlight)
		state   fleet.InstanceState
		message string
	}{
		"newer answers, older fails":       {func(older, newer *inFlight) { newer.answer(after); older.fail(refused) }, fleet.InstanceRunning, ""},
		"newer answers, older is HTML":     {func(older, newer *inFlight) { newer.answer(after); older.answer("<html>") }, fleet.InstanceRunning, ""},
		"newer answers, older answers":     {func(older, newer *inFlight) { newer.answer(after); older.answer(before) }, fleet.InstanceRunning, ""},
		"newer fails, older answers":       {func(older, newer *inFlight) { newer.fail(refused); older.answer(before) }, fleet.InstanceUnreachable, "connection refused"},
		"newer is HTML, older fails":       {func(older, newer *inFlight) { newer.answer("<html>"); older.fail(refused) }, fleet.InstanceError, "answered HTML"},
		"in order, an answer and failure":  {func(older, newer *inFlight) { older.answer(before); newer.fail(refused) }, fleet.InstanceUnreachable, "connection refused"},
		"in order, HTML and an answer":     {func(older, newer *inFlight) { older.answer("<html>"); newer.answer(after) }, fleet.InstanceRunning, ""},
		"in order, two different failures": {func(older, newer *inFlight) { older.answer("<html>"); newer.fail(refused) }, fleet.InstanceUnreachable, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeld(t)
				h.fetch(t).answer(before)
				older, newer := h.fetch(t), h.fetch(t)
				c.steps(older, newer)
				h.want(t, c.state, c.message, 0)
				// The next fetch counts whatever came of these.
				h.fetch(t).answer("<html>")
				h.want(t, fleet.InstanceError, "answered HTML", 0)
			})
		})
	}
}

// What was asked of a process that has ended meanwhile says nothing about what comes after it.
func TestNewsOfAProcessThatEnded(t *testing.T) {
	for name, c := range map[string]struct {
		next    ProcessStatus
		reply   func(*inFlight)
		state   fleet.InstanceState
		message string
		count   int
	}{
		"it ended, its last answer":           {ProcessStatus{PID: 7, Gone: true}, func(f *inFlight) { f.answer(vllmPage) }, fleet.InstanceUnreachable, "its process ended", 0},
		"it ended, its connection broke":      {ProcessStatus{PID: 7, Gone: true}, func(f *inFlight) { f.fail(io.EOF) }, fleet.InstanceUnreachable, "its process ended", 0},
		"another came, the last answer":       {ProcessStatus{PID: 8}, func(f *inFlight) { f.answer(vllmPage) }, fleet.InstanceStarting, "its process was restarted", 1},
		"another came, the connection broke":  {ProcessStatus{PID: 8}, func(f *inFlight) { f.fail(io.EOF) }, fleet.InstanceStarting, "its process was restarted", 1},
		"it is there still, and it is busy":   {ProcessStatus{PID: 7}, func(f *inFlight) { f.answer(vllmPage) }, fleet.InstanceRunning, "", 0},
		"it is there still, and it is broken": {ProcessStatus{PID: 7}, func(f *inFlight) { f.fail(io.EOF) }, fleet.InstanceUnreachable, "closed before", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeld(t)
				h.Observe(ProcessStatus{PID: 7})
				h.fetch(t).answer(vllmPage)
				late := h.fetch(t)
				h.Observe(c.next)
				c.reply(late)
				h.want(t, c.state, c.message, c.count)
				// The first fetch that began afterwards counts.
				h.fetch(t).answer(vllmPage)
				if s := h.Status(); s.State != fleet.InstanceRunning {
					t.Errorf("the next page: %s %q", s.State, s.Message)
				}
			})
		})
	}
}

// An engine that stays down is read with pauses that end to grow, so that its start is seen soon after hours, too.
func TestEngineThatStaysDownIsReadNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{})
		h.fake.fail(refused)
		h.run(t)
		time.Sleep(10 * time.Minute)
		before := h.fake.count("/metrics")
		time.Sleep(time.Hour)
		if n, want := h.fake.count("/metrics")-before, int(time.Hour/maxRetryPause); n < want-1 || n > want+1 {
			t.Errorf("%d reads in an hour, want %d", n, want)
		}
		h.fake.set("/metrics", vllmPage)
		time.Sleep(maxRetryPause)
		h.want(t, fleet.InstanceRunning, "", 0)
	})
}

// A restart may bring another model, which the labels of the page alone tell.
func TestModelOfARestartedEngine(t *testing.T) {
	page := func(start int, model string) string {
		if start == 0 {
			return "vllm:prompt_tokens_total{model_name=\"" + model + "\"} 50\n"
		}
		return "process_start_time_seconds " + strings.Repeat("1", start) + "\nvllm:prompt_tokens_total{model_name=\"" + model + "\"} 50\n"
	}
	for name, c := range map[string]struct {
		before string
		away   func(h *harness)
		after  string
	}{
		"start time differs": {page(8, "old"), nil, page(9, "new")},
		"it was down":        {page(0, "old"), func(h *harness) { h.fake.fail(refused) }, page(0, "new")},
		"it was away":        {page(0, "old"), func(h *harness) { h.fake.hang() }, page(0, "new")},
		"another engine":     {page(0, "old"), nil, "# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs{model_name=\"new\"} 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "http://127.0.0.1:8000", map[string]string{"/metrics": c.before, "/version": `{"version":"1"}`, "/server_info": `{"version":"1"}`})
				h.run(t)
				if err := h.scrape(t); err != nil || h.Status().Model != "old" {
					t.Fatalf("got model %q, %v", h.Status().Model, err)
				}
				if c.away != nil {
					c.away(h)
					_ = h.scrape(t)
				}
				h.fake.set("/metrics", c.after)
				if err := h.scrape(t); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if got := h.Status().Model; got != "new" {
					t.Errorf("got model %q", got)
				}
			})
		})
	}
}
