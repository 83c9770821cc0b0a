package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	sglangPage = "# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs{model_name=\"m\",tp_rank=\"0\"} 1.0\nsglang:prompt_tokens_total{model_name=\"m\"} %d\n"
	mindiePage = "# TYPE npu_cache_usage_perc gauge\nnpu_cache_usage_perc{model_name=\"a & b\"} 0.5\n"
)

func TestEngineFindsOutWhatItIs(t *testing.T) {
	for name, c := range map[string]struct {
		declaration string
		pages       map[string]string
		want        Identity
	}{
		"vLLM": {
			"http://127.0.0.1:8000",
			map[string]string{"/metrics": vllmPage, "/version": `{"version":"0.11.0"}`, "/v1/models": `{"object":"list","data":[{"id":"Qwen/Qwen3-8B"},{"id":"lora"}]}`},
			identity("vLLM", "0.11.0", "Qwen/Qwen3-8B"),
		},
		"vLLM behind Ray": {
			"http://127.0.0.1:8000",
			map[string]string{"/metrics": "ray_vllm:num_requests_running{model_name=\"q\"} 1\n"},
			identity("vLLM", "", "q"),
		},
		"SGLang": {
			"http://127.0.0.1:8000",
			map[string]string{
				"/metrics":     fmt.Sprintf(sglangPage, 5),
				"/server_info": `{"api_key":"hunter2","internal_states":[{"version":"wrong","a":[1,{"b":2}]}],"version":"0.5.10","z":{}}`,
				"/v1/models":   `{"data":[{"id":"llama"}]}`,
			},
			identity("SGLang", "0.5.10", "llama"),
		},
		"SGLang, older": {
			"http://127.0.0.1:8000",
			map[string]string{"/metrics": fmt.Sprintf(sglangPage, 5), "/get_server_info": `{"version":"0.4.6.post5"}`},
			identity("SGLang", "0.4.6.post5", "m"),
		},
		"MindIE": {
			"http://127.0.0.1:8000",
			map[string]string{"/metrics": mindiePage, "/info": `{"version":"3.0.0"}`},
			identity("MindIE", "3.0.0", "a & b"),
		},
		"declared": {
			"url=http://127.0.0.1:8000,model=mine,runtime=sglang,version=0.4.1",
			map[string]string{"/metrics": vllmPage, "/version": `{"version":"0.11.0"}`, "/v1/models": `{"data":[{"id":"x"}]}`},
			identity("SGLang", "0.4.1", "mine"),
		},
		"another engine": {
			"url=http://127.0.0.1:8000,runtime=LMDeploy",
			map[string]string{"/metrics": "lmdeploy:num_requests_running 1\n", "/v1/models": `{"data":[]}`},
			identity("LMDeploy", "", "node-8000"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, c.declaration, c.pages)
				h.run(t)
				if err := h.scrape(t); err != nil {
					t.Fatal(err)
				}
				// No time passes: the first page is translated under the right version already.
				got := h.Status()
				if diff := cmp.Diff(c.want, got.Identity); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if got.State != fleet.InstanceRunning || got.RestartCount != 0 {
					t.Errorf("got state %s, %d restarts", got.State, got.RestartCount)
				}
				if strings.Contains(h.log.String(), "hunter2") {
					t.Errorf("log holds a secret:\n%s", h.log)
				}
				time.Sleep(time.Hour)
				if c.want.Version != "" && strings.HasPrefix(c.want.Model, "Q") {
					if n := h.fake.count("/version"); n != 1 {
						t.Errorf("version was asked %d times in an hour", n)
					}
				}
			})
		})
	}
}

func TestEngineIsAskedAgainWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=m", map[string]string{"/metrics": vllmPage})
		h.run(t)
		if err := h.scrape(t); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := h.fake.count("/version"); n < 10 || n > 20 {
			t.Errorf("version was asked %d times in an hour", n)
		}
		h.fake.set("/version", `{"version":"0.10.2"}`)
		time.Sleep(maxAskPause)
		synctest.Wait()
		if v := h.Status().Version; v != "0.10.2" {
			t.Errorf("got version %q", v)
		}
		if n := strings.Count(h.log.String(), "identified in part"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, h.log)
		}
	})
}

func TestSlowVersionDoesNotHoldUpAScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "http://127.0.0.1:8000", map[string]string{"/metrics": vllmPage, "/version": `{"version":"1.0"}`})
		h.fake.delay = 2 * time.Second
		h.run(t)
		start := time.Now()
		if err := h.scrape(t); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > identityWait {
			t.Errorf("took %s", took)
		}
		time.Sleep(5 * time.Second)
		if v := h.Status().Version; v != "1.0" {
			t.Errorf("got version %q", v)
		}
	})
}

func startedAt(seconds int64, tokens int) string {
	return fmt.Sprintf("process_start_time_seconds %d\nvllm:prompt_tokens_total{model_name=\"q\"} %d\n", seconds, tokens)
}

// GPUStack stores an engine's version once and never asks again.
func TestGPUStackBug21_VersionIsReadAgainAfterRestart(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string
		down          error
		restarts      int
	}{
		"start time differs":                   {startedAt(1000, 50), startedAt(2000, 60), nil, 1},
		"counter falls":                        {fmt.Sprintf(sglangPage, 50), fmt.Sprintf(sglangPage, 49), nil, 1},
		"counter is gone":                      {fmt.Sprintf(sglangPage, 50), "# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs 0\n", nil, 1},
		"it was down":                          {fmt.Sprintf(sglangPage, 50), fmt.Sprintf(sglangPage, 50), refused, 1},
		"another engine in its place":          {fmt.Sprintf(sglangPage, 50), vllmPage, nil, 1},
		"it was away, nobody knows why":        {fmt.Sprintf(sglangPage, 50), fmt.Sprintf(sglangPage, 60), context.DeadlineExceeded, 0},
		"it was down, but is the same process": {startedAt(1000, 50), startedAt(1001, 50), refused, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,model=q", map[string]string{"/metrics": c.before, "/version": `{"version":"0.9.2"}`, "/server_info": `{"version":"0.9.2"}`})
				h.run(t)
				if err := h.scrape(t); err != nil {
					t.Fatal(err)
				}
				if v := h.Status().Version; v != "0.9.2" {
					t.Fatalf("got version %q", v)
				}
				if c.down != nil {
					h.fake.fail(c.down)
					if err := h.scrape(t); err == nil {
						t.Fatal("no error")
					}
					if s := h.Status().State; s != fleet.InstanceUnreachable {
						t.Errorf("got state %s", s)
					}
				}
				h.fake.set("/version", `{"version":"0.11.0"}`)
				h.fake.set("/server_info", `{"version":"0.11.0"}`)
				h.fake.set("/metrics", c.after)
				if err := h.scrape(t); err != nil {
					t.Fatal(err)
				}
				got := h.Status()
				want := "0.11.0"
				if c.restarts == 0 && strings.HasPrefix(c.after, "process_start") {
					want = "0.9.2" // the same process has the same version
				}
				if got.Version != want || got.RestartCount != c.restarts {
					t.Errorf("got version %q, %d restarts; want %q, %d", got.Version, got.RestartCount, want, c.restarts)
				}
				if got.LastRestartAt.IsZero() != (c.restarts == 0) {
					t.Errorf("got last restart %s", got.LastRestartAt)
				}
				if err := h.scrape(t); err != nil || h.Status().RestartCount != c.restarts {
					t.Errorf("counted again: %d, %v", h.Status().RestartCount, err)
				}
			})
		})
	}
}

func TestRestartTimeIsTheProcessStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q", map[string]string{"/metrics": startedAt(1000, 1)})
		h.run(t)
		for _, page := range []string{startedAt(1000, 1), startedAt(1700000000, 1)} {
			h.fake.set("/metrics", page)
			if err := h.scrape(t); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.Status().LastRestartAt.Unix(); got != 1700000000 {
			t.Errorf("got %d", got)
		}
	})
}

func TestStatesAndTheirLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://ops:hunter2@127.0.0.1:8000,model=q,version=1", map[string]string{})
		step := func(want fleet.InstanceState, message string, times int) {
			t.Helper()
			for range times {
				_ = h.scrape(t)
			}
			if got := h.Status(); got.State != want || !strings.Contains(got.Message, message) {
				t.Errorf("got %s %q, want %s %q", got.State, got.Message, want, message)
			}
		}
		// Run is not on: nothing but these scrapes happens. identityWait passes in no time.
		h.fake.fail(refused)
		step(fleet.InstanceStarting, "connection refused", 3)
		h.fake.set("/other", "")
		step(fleet.InstanceError, "answered 404", 3)
		h.fake.set("/metrics", vllmPage)
		step(fleet.InstanceRunning, "", 3)
		h.fake.fail(refused)
		step(fleet.InstanceUnreachable, "connection refused", 3)
		h.fake.fail(errors.New("weather"))
		step(fleet.InstanceUnreachable, "it cannot be reached: weather", 3)
		h.fake.set("/metrics", "<html>")
		step(fleet.InstanceError, "answered HTML", 3)
		h.fake.set("/metrics", vllmPage)
		step(fleet.InstanceRunning, "", 3)

		reasons := strings.Count(h.log.String(), "engine scrape failed")
		good := strings.Count(h.log.String(), "engine scraped")
		if reasons != 5 || good != 2 {
			t.Errorf("logged %d reasons and %d recoveries, want 5 and 2:\n%s", reasons, good, h.log)
		}
		if strings.Contains(h.log.String(), "hunter2") || strings.Contains(h.Status().URL, "hunter2") {
			t.Errorf("shows the password:\n%s", h.log)
		}
		if h.changes < 7 || h.changes > 9 {
			t.Errorf("%d changes were told", h.changes)
		}
	})
}

func TestEngineThatNobodyScrapesIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "http://127.0.0.1:8000", map[string]string{"/version": `{"version":"1"}`})
		h.fake.fail(refused)
		h.run(t)
		time.Sleep(time.Minute)
		if n := h.fake.count("/metrics"); n < 5 || n > 10 {
			t.Errorf("%d reads in the minute before it started", n)
		}
		h.fake.set("/metrics", vllmPage)
		time.Sleep(maxRetryPause)
		synctest.Wait()
		if s := h.Status(); s.State != fleet.InstanceRunning || s.Version != "1" {
			t.Errorf("got %+v", s)
		}
		before := h.fake.count("/metrics")
		time.Sleep(10 * time.Minute)
		if n := h.fake.count("/metrics") - before; n < 15 || n > 22 {
			t.Errorf("%d reads in ten quiet minutes", n)
		}
		before = h.fake.count("/metrics")
		for range 120 {
			time.Sleep(5 * time.Second)
			if err := h.scrape(t); err != nil {
				t.Fatal(err)
			}
		}
		if n := h.fake.count("/metrics") - before; n > 122 {
			t.Errorf("%d reads for 120 scrapes", n)
		}
	})
}

func TestAGivenUpScrapeSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
		if err := h.scrape(t); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.Fetch(ctx); err == nil {
			t.Fatal("no error")
		}
		if s := h.Status().State; s != fleet.InstanceRunning {
			t.Errorf("got state %s", s)
		}
	})
}

func TestHistoryIsKept(t *testing.T) {
	d, err := CheckDeclarations([]Declaration{{URL: "http://127.0.0.1:1"}}, "w")
	if err != nil {
		t.Fatal(err)
	}
	want := History{identity("SGLang", "0.5", "m"), fleet.InstanceStarting, time.Unix(7, 0).UTC(), 3, time.Unix(5, 0), time.Unix(6, 0)}
	e, err := New(Options{Declaration: d[0], History: want})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, e.History()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// An answer about an engine that is too long to be one is not read to its end.
func TestAnswersAboutAnEngineAreBounded(t *testing.T) {
	padding := `"padding":"` + strings.Repeat("x", 1<<20) + `"`
	long := func(n int) string { return strings.Repeat("v", n) }
	for name, c := range map[string]struct {
		version, models string
		want            Identity
	}{
		"short":             {`{"version":"1"}`, `{"data":[{"id":"m"}]}`, identity("vLLM", "1", "m")},
		"padded before":     {`{` + padding + `,"version":"1"}`, `{` + padding + `,"data":[{"id":"m"}]}`, identity("vLLM", "", "qwen")},
		"padded behind":     {`{"version":"1",` + padding + `}`, `{"data":[{"id":"m"}],` + padding + `}`, identity("vLLM", "1", "qwen")},
		"as long as may be": {`{"version":"` + long(128) + `"}`, `{"data":[{"id":"` + long(512) + `"}]}`, identity("vLLM", long(128), long(512))},
		"a byte too long":   {`{"version":"` + long(129) + `"}`, `{"data":[{"id":"` + long(513) + `"}]}`, identity("vLLM", "", "qwen")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "http://127.0.0.1:8000", map[string]string{"/metrics": vllmPage, "/version": c.version, "/v1/models": c.models})
				h.run(t)
				time.Sleep(time.Second)
				if diff := cmp.Diff(c.want, h.Status().Identity); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		})
	}
}

func TestHintIsTheFoundRuntimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := ParseDeclaration("url=http://127.0.0.1:30000,instance=s")
		if err != nil {
			t.Fatal(err)
		}
		f := &fake{pages: map[string]string{}}
		e, err := New(Options{Declaration: d, Fetcher: fetch.New(fetch.Options{Transport: f}), History: History{Identity: Identity{Runtime: "SGLang"}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "--enable-metrics") || strings.Contains(err.Error(), "trtllm") {
			t.Errorf("%v", err)
		}
	})
}

// A page that is read for the state's sake gives its memory back, as one that is scraped does: a few that are kept would take all
// the memory for large pages, and the next read would fail.
func TestLargePageThatNobodyScrapes(t *testing.T) {
	large := strings.Repeat("vllm:x 1\n", 400_000) // 3.6 MB
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": large})
		h.run(t)
		time.Sleep(5 * time.Minute)
		h.want(t, fleet.InstanceRunning, "", 0)
		if n := h.fake.count("/metrics"); n < 10 {
			t.Errorf("%d reads", n)
		}
		if free, size := h.large.Free(), h.large.Size(); free != size {
			t.Errorf("%d of %d bytes for large pages are free", free, size)
		}
	})
}
