package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pageOf is a page of vLLM's that names models.
func pageOf(models ...string) string {
	var b strings.Builder
	b.WriteString("# TYPE vllm:num_requests_running gauge\n")
	for _, m := range models {
		fmt.Fprintf(&b, "vllm:num_requests_running{engine=\"0\",model_name=%q} 1\n", m)
	}
	return b.String()
}

// What a page names are models, except adapters, further names of one model and parts of an ensemble.
func TestModelsOfAPage(t *testing.T) {
	const lora = "vllm:lora_requests_info{max_lora=\"4\",running_lora_adapters=\"sql\",waiting_lora_adapters=\"fr\"} 1.7e9\n"
	for _, c := range []struct {
		name, page, listed string
		commandLine        ModelNames
		want               string
		of                 map[string]string // beside each model itself
	}{
		{name: "one", page: pageOf("a"), want: "a"},
		{name: "none", page: "vllm:num_requests_running 1\n", want: ""},
		{name: "two", page: pageOf("a", "b"), want: "a, b"},
		{name: "two, and a list of others", page: pageOf("a", "b"), listed: `{"data":[{"id":"c"},{"id":"d","root":null,"parent":null}]}`, want: "a, b"},
		{name: "two, and a list that cannot be read", page: pageOf("a", "b"), listed: `<html>`, want: "a, b"},
		{name: "two, and roots that are no text", page: pageOf("a", "b"), listed: `{"data":[{"id":"a","root":1,"parent":[]},{"id":"b","root":1}]}`, want: "a, b"},
		{name: "adapters that the page lists", page: pageOf("a", "sql", "fr") + lora, want: "a", of: map[string]string{"sql": "a", "fr": "a"}},
		{
			name: "an adapter in a label", page: "# TYPE dynamo_frontend_output_tokens_total counter\ndynamo_frontend_output_tokens_total{model=\"a\"} 1\ndynamo_frontend_output_tokens_total{model=\"sql\",lora=\"sql\"} 1\n",
			want: "a", of: map[string]string{"sql": "a"},
		},
		{
			name: "an adapter that the engine lists", page: pageOf("a", "sql"), listed: `{"data":[{"id":"a","root":"/w/a"},{"id":"sql","root":"/l/sql","parent":"a"}]}`,
			want: "a", of: map[string]string{"sql": "a"},
		},
		{name: "an adapter of the command line", page: pageOf("a", "sql"), commandLine: ModelNames{Adapters: []string{"sql", "fr"}}, want: "a", of: map[string]string{"sql": "a"}},
		{
			name: "an adapter of one of two models", page: pageOf("a", "b", "sql"), listed: `{"data":[{"id":"a"},{"id":"b"},{"id":"sql","parent":"b"}]}`,
			want: "a, b", of: map[string]string{"sql": "b"},
		},
		{
			name: "an adapter of a model that has another name on the page", page: pageOf("a", "b", "sql"),
			listed: `{"data":[{"id":"a","root":"/w/a"},{"id":"a-long","root":"/w/a"},{"id":"b"},{"id":"sql","parent":"a-long"}]}`, want: "a, b", of: map[string]string{"sql": "a"},
		},
		{name: "an entry of the list that comes twice", page: pageOf("a", "b"), listed: `{"data":[{"id":"a"},{"id":"a","parent":"b"},{"id":"b"},{}]}`, want: "a, b"},
		{name: "an adapter of nobody knows which", page: pageOf("a", "b", "sql") + lora, want: "a, b", of: map[string]string{"sql": ""}},
		{name: "adapters alone", page: pageOf("sql", "fr") + lora, want: "", of: map[string]string{"sql": "", "fr": ""}},
		{
			name: "served names of the command line", page: pageOf("long", "short"), commandLine: ModelNames{Served: []string{"short", "long"}},
			want: "short", of: map[string]string{"long": "short"},
		},
		{
			name: "served names with one root", page: pageOf("long", "short", "b"), listed: `{"data":[{"id":"short","root":"/w/a"},{"id":"long","root":"/w/a"},{"id":"b","root":"/w/b"}]}`,
			want: "short, b", of: map[string]string{"long": "short"},
		},
		{name: "an ensemble and its parts", page: "nv_inference_exec_count{model=\"preprocessing\"} 1\nnv_inference_exec_count{model=\"tensorrt_llm\"} 1\nnv_inference_exec_count{model=\"postprocessing\"} 1\n" +
			"nv_inference_exec_count{model=\"ensemble\"} 1\n", want: "ensemble", of: map[string]string{"preprocessing": "ensemble", "tensorrt_llm": "ensemble", "postprocessing": "ensemble"}},
		{
			name: "an ensemble beside a model", page: "nv_inference_exec_count{model=\"resnet\"} 1\nnv_inference_exec_count{model=\"ensemble\"} 1\nnv_inference_exec_count{model=\"tensorrt_llm_bls\"} 1\n",
			want: "resnet, ensemble", of: map[string]string{"tensorrt_llm_bls": "ensemble"},
		},
		{name: "two models of Triton", page: "nv_inference_exec_count{model=\"a\"} 1\nnv_inference_exec_count{model=\"b\"} 1\n", want: "a, b"},
		{name: "a gateway", page: "# TYPE litellm_proxy_total_requests_metric_total counter\nlitellm_proxy_total_requests_metric_total{model=\"a\"} 1\nlitellm_proxy_total_requests_metric_total{model=\"b\"} 1\n", want: "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pages := map[string]string{"/metrics": c.page}
				if c.listed != "" {
					pages["/v1/models"] = c.listed
				}
				h := newHarness(t, "url=http://127.0.0.1:8000,instance=e", pages)
				h.SetCommandLine(c.commandLine)
				h.run(t)
				if err := h.scrape(t); err != nil {
					t.Fatal(err)
				}
				got := h.Status().PageModels // at once, not at the next scrape
				if c.want == "-" {
					if got != nil {
						t.Fatalf("got %v, want none", got)
					}
					return
				}
				if got == nil || got.String() != c.want {
					t.Fatalf("got %v, want %s", got, c.want)
				}
				want := map[string]string{}
				for _, name := range got.Names {
					want[name] = name
				}
				maps.Copy(want, c.of)
				if diff := cmp.Diff(want, got.Of); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		})
	}
}

// The engine is asked for its models when a name is new beside others, and never for a page that names the same ones.
func TestModelsAreAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,instance=e,model=m,runtime=vLLM,version=1", map[string]string{"/metrics": pageOf("a")})
		h.run(t)
		scrape := func(page, want string, asked int) {
			t.Helper()
			h.fake.set("/metrics", page)
			for range 3 {
				if err := h.scrape(t); err != nil {
					t.Fatal(err)
				}
			}
			if got := h.Status().PageModels.String(); got != want {
				t.Errorf("models %s, want %s", got, want)
			}
			if n := h.fake.count("/v1/models"); n != asked {
				t.Errorf("%s: asked %d times, want %d", want, n, asked)
			}
		}
		scrape(pageOf("a"), "a", 0)
		scrape(pageOf("a", "b"), "a, b", 1)
		scrape(pageOf("b", "a"), "a, b", 1)
		scrape(pageOf("a"), "a", 1)
		scrape(pageOf("a", "b"), "a, b", 1)
		scrape(pageOf("a", "b", "c"), "a, b, c", 2)
		scrape(pageOf("c"), "c", 2)
		before := h.changes
		scrape(pageOf("c"), "c", 2)
		if h.changes != before {
			t.Error("the same page is a change")
		}
	})
}

// An engine that does not answer about its models costs the scrape no more than the time that an unknown version may, and its models are
// known later.
func TestSlowListOfModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,instance=e,model=m,runtime=vLLM,version=1", map[string]string{"/metrics": pageOf("a")})
		h.run(t)
		if err := h.scrape(t); err != nil {
			t.Fatal(err)
		}
		h.fake.mu.Lock()
		h.fake.delay = 2 * time.Second
		h.fake.mu.Unlock()
		h.fake.set("/metrics", pageOf("a", "b"))
		start := time.Now()
		if err := h.scrape(t); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > identityWait {
			t.Errorf("the scrape took %v", took)
		}
		if got := h.Status().PageModels.String(); got != "a" {
			t.Errorf("models %s before the answer", got)
		}
		time.Sleep(3 * time.Second)
		if got := h.Status().PageModels.String(); got != "a, b" {
			t.Errorf("models %s after it", got)
		}
	})
}

// A page that has other names each time costs the engine no more than 20 requests in an hour.
func TestNamesThatChangeWithEachPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://127.0.0.1:8000,instance=e,model=m,runtime=vLLM,version=1", map[string]string{"/metrics": pageOf("a")})
		h.run(t)
		for i := range 100 {
			one, two := fmt.Sprint("a", i), fmt.Sprint("b", i)
			h.fake.set("/metrics", pageOf(one, two))
			if err := h.scrape(t); err != nil {
				t.Fatal(err)
			}
			if got := h.Status().PageModels.String(); got != one+", "+two {
				t.Fatalf("page %d: models %s", i, got)
			}
			time.Sleep(15 * time.Second)
		}
		if n := h.fake.count("/v1/models"); n != maxRenames {
			t.Errorf("asked %d times, want %d", n, maxRenames)
		}
	})
}

// The counters of a model that ends are gone from the page's sum. That is no restart of the frontend.
func TestModelThatEndsIsNoRestart(t *testing.T) {
	page := func(requests map[string]int) string {
		var b strings.Builder
		b.WriteString("# TYPE dynamo_frontend_requests_total counter\n")
		for _, m := range slices.Sorted(maps.Keys(requests)) {
			fmt.Fprintf(&b, "dynamo_frontend_requests_total{model=%q,status=\"success\"} %d\n", m, requests[m])
		}
		return b.String()
	}
	both := map[string]int{"a": 30, "b": 40}
	for name, c := range map[string]struct {
		next     []map[string]int
		restarts int
	}{
		"a model ends":                             {[]map[string]int{{"a": 31}, {"a": 32}}, 0},
		"it ends and comes back":                   {[]map[string]int{{"a": 31}, {"a": 32, "b": 1}}, 0},
		"another takes its place":                  {[]map[string]int{{"a": 31, "c": 1}}, 0},
		"the counters of the same models fall":     {[]map[string]int{{"a": 1, "b": 2}}, 1},
		"a model ends, then what is left restarts": {[]map[string]int{{"a": 31}, {"a": 2}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, "url=http://127.0.0.1:8000,runtime=Dynamo", map[string]string{"/metrics": page(both)})
				if err := h.scrape(t); err != nil {
					t.Fatal(err)
				}
				for _, requests := range c.next {
					time.Sleep(15 * time.Second)
					h.fake.set("/metrics", page(requests))
					if err := h.scrape(t); err != nil {
						t.Fatal(err)
					}
				}
				if got := h.Status().RestartCount; got != c.restarts {
					t.Errorf("got %d restarts, want %d", got, c.restarts)
				}
			})
		})
	}
}
