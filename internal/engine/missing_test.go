package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// pagesWithoutMetrics returns the pages of testdata/silent.txtar by name.
func pagesWithoutMetrics(t *testing.T) map[string]string {
	t.Helper()
	a, err := txtar.ParseFile("testdata/silent.txtar")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, f := range a.Files {
		pages[f.Name] = string(f.Data)
	}
	return pages
}

// nothing is a translation in which the mapping used nothing.
var nothing = Translation{Countable: 28}

// translated scrapes the engine as the exporter does.
func (h *harness) translated(t *testing.T, made Translation) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	page, err := h.Fetch(ctx)
	if err != nil {
		return
	}
	h.Translated(page, made)
	page.Release()
}

// reason is the exported reason for which there are no metrics, or "".
func (h *harness) reason(t *testing.T) (why string) {
	t.Helper()
	h.Collect(func(m *catalog.Metric, _ string, v float64, labels exposition.Labels) {
		if m != &catalog.InstanceNoMetrics {
			return
		}
		if v != 1 || why != "" {
			t.Errorf("exported %v for %s beside %q", v, labels, why)
		}
		why = strings.TrimSuffix(strings.TrimPrefix(string(labels), `reason="`), `"`)
	}, "")
	return why
}

func (h *harness) wantSilent(t *testing.T, when, reason, message string) {
	t.Helper()
	synctest.Wait()
	s := h.Status()
	if got := h.reason(t); got != reason || s.State != fleet.InstanceRunning || !strings.Contains(s.Message, message) || message == "" && s.Message != "" {
		t.Errorf("%s: %s %q, reason %q; want running %q, reason %q", when, s.State, s.Message, got, message, reason)
	}
}

func TestEngineThatRunsAndGivesNothing(t *testing.T) {
	pages := pagesWithoutMetrics(t)
	for name, c := range map[string]struct {
		declared, page string
		read           bool // also without a scrape
		reason, want   string
	}{
		"vLLM, empty page":             {"runtime=vLLM", "vllm-empty", true, "empty_page", "its metrics page is empty: vLLM has metrics only without --disable-log-stats; with several API servers, a PROMETHEUS_MULTIPROC_DIR"},
		"vLLM, blank lines":            {"runtime=vLLM", "blank", true, "empty_page", "its metrics page is empty: vLLM"},
		"vLLM, comments":               {"runtime=vLLM", "vllm-types-only", true, "empty_page", "its metrics page is empty: vLLM"},
		"MindIE, OpenMetrics, no line": {"runtime=MindIE", "openmetrics-end", true, "empty_page", "MIES_SERVICE_MONITOR_MODE=1"},
		"vLLM, --disable-log-stats":    {"runtime=vLLM", "vllm-log-stats-off", true, "no_engine_metrics", "its metrics page has no metrics of vLLM: vLLM has metrics only without --disable-log-stats"},
		"SGLang, no metrics":           {"runtime=SGLang", "sglang-none", true, "no_engine_metrics", "its metrics page has no metrics of SGLang: start SGLang with --enable-metrics"},
		"llama.cpp, empty page":        {"runtime=llama.cpp", "vllm-empty", true, "empty_page", "start llama-server with --metrics"},
		"LMDeploy, python alone":       {"runtime=LMDeploy", "vllm-log-stats-off", true, "no_engine_metrics", "--disable-metrics"},
		"Xinference's supervisor":      {"runtime=Xinference", "vllm-log-stats-off", true, "no_engine_metrics", "--metrics-exporter-port"},
		"NIM, empty page":              {"runtime=NIM", "vllm-empty", true, "empty_page", "its metrics page is empty: is the URL the engine's, and are its metrics on?"},
		"wrong runtime":                {"runtime=vLLM", "sglang", true, "no_engine_metrics", "its metrics page is one of SGLang, not of vLLM: is runtime= right?"},
		"renamed prefix":               {"runtime=vLLM", "vllm-renamed", true, "no_engine_metrics", "its metrics page has no metrics of vLLM"},
		"unknown engine":               {"model=q", "vllm-renamed", true, "no_engine_metrics", "no metrics of a known engine: is the URL the engine's? If it is, declare runtime="},
		"unknown engine, empty page":   {"model=q", "vllm-empty", true, "empty_page", "its metrics page is empty: is the URL the engine's"},
		"mapped for other versions":    {"runtime=vLLM,version=0.3", "vllm", false, "unmapped", "the mapping uses no metric of its page: are runtime vLLM and version 0.3 right? The worker's /metrics/raw?unmapped=1"},
		"names of a later version":     {"model=q", "vllm-future", false, "unmapped", "are runtime vLLM and version unknown right?"},
		"runtime of a user's mapping":  {"runtime=mine", "vllm-renamed", false, "no_engine_metrics", "its metrics page has no metrics of mine"},
	} {
		for _, scraped := range []bool{true, false} {
			if !scraped && !c.read {
				continue
			}
			t.Run(fmt.Sprintf("%s, scraped %t", name, scraped), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHarness(t, "url=http://127.0.0.1:8000,path=/metrics,"+c.declared, map[string]string{"/metrics": pages[c.page]})
					h.run(t)
					pass := func(d time.Duration, made Translation) {
						for range int(d / (15 * time.Second)) {
							if scraped {
								h.translated(t, made)
							}
							time.Sleep(15 * time.Second)
						}
					}
					pass(45*time.Second, nothing)
					h.wantSilent(t, "before a minute", "", "")
					pass(45*time.Second, nothing)
					h.wantSilent(t, "after a minute", c.reason, c.want)
					changes := h.changes
					pass(time.Hour, nothing)
					h.wantSilent(t, "after an hour", c.reason, c.want)
					if n := strings.Count(h.log.String(), "engine gives no metrics"); n != 1 || h.changes != changes {
						t.Errorf("logged %d times, told %d times more:\n%s", n, h.changes-changes, h.log)
					}
					good := Translation{Samples: 5, Fed: 3, Countable: 28}
					h.fake.set("/metrics", vllmPage)
					if strings.Contains(c.declared, "runtime=") {
						h.fake.set("/metrics", strings.ReplaceAll(goodPages[strings.TrimPrefix(strings.Split(c.declared, ",")[0], "runtime=")], ";", "\n"))
					}
					pass(time.Minute, good)
					h.wantSilent(t, "healed", "", "")
					if n := strings.Count(h.log.String(), "engine gives metrics again"); n != 1 {
						t.Errorf("its recovery was logged %d times:\n%s", n, h.log)
					}
					h.fake.set("/metrics", "")
					pass(2*time.Minute, nothing)
					h.wantSilent(t, "empty later", "empty_page", "its metrics page is empty")
					// As the process ends it has another reason.
					h.fake.fail(refused)
					pass(time.Minute, nothing)
					if s := h.Status(); s.State != fleet.InstanceUnreachable || strings.Contains(s.Message, "page") || h.reason(t) != "refused" {
						t.Errorf("refused: %s %q, reason %q", s.State, s.Message, h.reason(t))
					}
				})
			})
		}
	}
}

// goodPages has a page with metrics for each runtime, ; for a new line.
var goodPages = map[string]string{
	"vLLM": "vllm:num_requests_running 1;", "SGLang": "sglang:num_running_reqs 1;", "MindIE": "npu_cache_usage_perc 1;",
	"llama.cpp": "llamacpp:requests_processing 1;", "LMDeploy": "lmdeploy:num_requests_running 1;", "NIM": "num_request_max 1;",
	"Xinference": "xinference:model_serve_count 1;", "mine": "mine_requests 1;",
}

// What looks like missing metrics and is not.
func TestEngineThatIsNotSilent(t *testing.T) {
	pages := pagesWithoutMetrics(t)
	fine := Translation{Samples: 5, Fed: 3, Countable: 28}
	const yet = " yet: some appear with the first request"
	for name, c := range map[string]struct {
		declared, page string
		made           Translation
		message        string
	}{
		"TGI before its first request":          {"runtime=TGI", "vllm-empty", nothing, "no metrics of TGI" + yet},
		"TEI before its first request":          {"runtime=TEI", "tei-idle", nothing, "no metrics of TEI" + yet},
		"trtllm-serve before its first request": {"runtime=trtllm-serve", "trtllm-idle", nothing, "no metrics of trtllm-serve" + yet},
		"Dynamo before its first request":       {"model=q", "dynamo-idle", nothing, "no metrics of Dynamo" + yet},
		"vLLM behind Ray, no request":           {"runtime=vLLM", "ray-idle", nothing, "no metrics of vLLM" + yet},
		"a gateway without requests":            {"runtime=LiteLLM", "litellm-idle", Translation{}, "no metrics of LiteLLM" + yet},
		"a router":                              {"role=router,runtime=SGLang", "sglang", nothing, ""},
		"a router of another kind":              {"model=q,role=router", "other-router", nothing, "no metrics of an engine" + yet},
		"a router by its page":                  {"model=q", "router", nothing, ""},
		"a model that sleeps":                   {"model=q", "vllm-asleep", nothing, ""},
		"a runtime of a user's mapping":         {"runtime=mine", "vllm-renamed", fine, ""},
		"a mapping that knows renamed metrics":  {"runtime=vLLM", "vllm-renamed", fine, ""},
		"a gateway with a mapping":              {"runtime=LiteLLM", "litellm-idle", Translation{Samples: 1}, ""},
		"few metrics":                           {"runtime=vLLM", "vllm", Translation{Samples: 1, Fed: 1, Countable: 28}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,path=/metrics,"+c.declared, map[string]string{"/metrics": pages[c.page]})
				h.run(t)
				for i := range 4 * 60 {
					h.translated(t, c.made)
					time.Sleep(15 * time.Second)
					if i < 4 {
						h.wantSilent(t, "at first", "", "")
					}
				}
				h.wantSilent(t, "after an hour", "", c.message)
				if log := h.log.String(); strings.Contains(log, "engine gives no metrics\"") || strings.Count(log, "engine gives no metrics yet") > 1 {
					t.Errorf("log:\n%s", log)
				}
				// Reads between rare scrapes do not make it silent either.
				for range 3 {
					time.Sleep(10 * time.Minute)
					h.wantSilent(t, "between scrapes", "", c.message)
					h.translated(t, c.made)
				}
			})
		})
	}
}

// An engine whose metrics begin with its first request and that had some misses them when they are gone.
func TestMetricsThatWereThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,runtime=TGI", map[string]string{"/metrics": "tgi_queue_size 1\n"})
		for range 8 {
			h.translated(t, Translation{Samples: 1, Fed: 1, Countable: 28})
			time.Sleep(15 * time.Second)
		}
		h.fake.set("/metrics", "python_info 1\n")
		for range 8 {
			h.translated(t, nothing)
			time.Sleep(15 * time.Second)
		}
		h.wantSilent(t, "gone", "no_engine_metrics", "its metrics page has no metrics of TGI")
	})
}

// It takes three pages, each of which counts once, however far apart they are.
func TestSilenceTakesThreePages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,runtime=vLLM", map[string]string{"/metrics": ""})
		for _, want := range []string{"", "", "empty_page"} {
			h.translated(t, nothing)
			if got := h.reason(t); got != want {
				t.Errorf("reason %q, want %q", got, want)
			}
			time.Sleep(5 * time.Minute)
		}
	})
}

// Metrics that the mapping does not use are no sign that the engine has had requests.
func TestFirstMetricsThatAreNotMapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,path=/metrics,runtime=trtllm-serve", map[string]string{"/metrics": pagesWithoutMetrics(t)["trtllm-idle"]})
		for i := range 16 {
			h.translated(t, nothing)
			time.Sleep(15 * time.Second)
			if i == 2 {
				h.fake.set("/metrics", "trtllm_config_info 1\n")
			}
		}
		h.wantSilent(t, "later", "", "its metrics page has no metrics of trtllm-serve yet")
	})
}

// A page that a scrape got before the process was replaced, or before a later page, says nothing.
func TestLateTranslation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,runtime=vLLM,model=m", map[string]string{"/metrics": ""})
		for range 8 {
			h.translated(t, nothing)
			time.Sleep(15 * time.Second)
		}
		h.wantSilent(t, "empty", "empty_page", "its metrics page is empty")
		late, err := h.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.translated(t, nothing)
		h.Translated(late, Translation{Samples: 5, Fed: 3, Countable: 28})
		h.wantSilent(t, "a late page", "empty_page", "its metrics page is empty")
		late.Release()

		h.Observe(ProcessStatus{PID: 7})
		late, err = h.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.Observe(ProcessStatus{PID: 7, Gone: true})
		h.Translated(late, Translation{Samples: 5, Fed: 3, Countable: 28})
		if got := h.reason(t); got != "process_ended" {
			t.Errorf("reason %q", got)
		}
		late.Release()
		// The next process has its own first pages.
		h.Observe(ProcessStatus{PID: 8})
		if got := h.reason(t); got != "" {
			t.Errorf("a process that starts has reason %q", got)
		}
		h.translated(t, nothing)
		h.wantSilent(t, "the next process", "", "")
	})
}

// What makes an engine fail is exported, too.
func TestReasonsOfFailures(t *testing.T) {
	for want, fail := range map[string]func(f *fake){
		"refused": func(f *fake) { f.fail(refused) }, "timeout": func(f *fake) { f.hang() }, "lost": func(f *fake) { f.fail(errors.New("weather")) },
		"dns": func(f *fake) { f.fail(&net.DNSError{Name: "x"}) }, "tls": func(f *fake) { f.fail(errors.New("tls: bad")) },
		"unauthorized": func(f *fake) { f.answers(401) }, "not_found": func(f *fake) { f.answers(404) }, "http_status": func(f *fake) { f.answers(501) },
		"not_metrics": func(f *fake) { f.set("/metrics", "<html>") },
	} {
		for _, answered := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, answered before %t", want, answered), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmPage})
					if answered {
						_ = h.scrape(t)
					}
					if got := h.reason(t); got != "" {
						t.Errorf("reason %q", got)
					}
					fail(h.fake)
					h.run(t)
					time.Sleep(2 * time.Minute)
					synctest.Wait()
					if got := h.reason(t); got != want {
						t.Errorf("reason %q of %s", got, h.Status().State)
					}
					emit := func(*catalog.Metric, string, float64, exposition.Labels) {}
					h.Collect(emit, `a="1"`)
					if n := testing.AllocsPerRun(10, func() { h.Collect(emit, `a="1"`) }); n > 0 {
						t.Errorf("%v allocations to collect it", n)
					}
					h.fake.answers(0)
					h.fake.set("/metrics", vllmPage)
					time.Sleep(time.Minute)
					h.want(t, fleet.InstanceRunning, "", h.Status().RestartCount)
					if got := h.reason(t); got != "" {
						t.Errorf("reason %q of one that runs again", got)
					}
				})
			})
		}
	}
}

// The messages of an engine that gives nothing and is stalled stand side by side.
func TestSilentAndStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,model=q,version=1", map[string]string{"/metrics": vllmAt(3, 5)})
		for range 100 {
			h.translated(t, nothing)
			time.Sleep(15 * time.Second)
		}
		if s := h.Status(); !s.Stalled || !strings.Contains(s.Message, "the mapping uses no metric of its page") || !strings.Contains(s.Message, "; no token for") {
			t.Errorf("got %+v", s)
		}
	})
}
