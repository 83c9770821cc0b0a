package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/simengine"
	"github.com/stackscope/stackscope/tests/programs"
)

// The models of the scenario's two groups.
const (
	modelVLLM   = "qwen3-32b"
	modelSGLang = "deepseek-v3.2"
)

// pdDemo is a running `stackscope demo --scenario pd`.
type pdDemo struct {
	*programs.Program
	base    string
	routers map[string]string // by model: the router's /simulation
}

func startPD(t *testing.T) *pdDemo {
	t.Helper()
	d := &pdDemo{base: fmt.Sprintf("http://127.0.0.1:%d", programs.FreePort(t)), routers: map[string]string{}}
	d.Program = start(t, programs.Path(t, "stackscope"), "demo", "--scenario", "pd", "--port", strings.TrimPrefix(d.base, "http://127.0.0.1:"),
		"--metrics-port", strconv.Itoa(programs.FreePort(t)), "--worker-metrics-port", strconv.Itoa(programs.FreePort(t)))
	programs.Eventually(t, 90*time.Second, "the demo says ready", func() error {
		if !strings.Contains(d.Output(), "ready after") {
			return fmt.Errorf("printed so far: %s", d.Output())
		}
		return nil
	})
	for model, title := range map[string]string{modelVLLM: "vLLM router", modelSGLang: "SGLang router"} {
		m := regexp.MustCompile(`(?m)^\s+` + title + `\s+(http://\S+/simulation)\s`).FindStringSubmatch(d.Output())
		if m == nil {
			t.Fatalf("the summary names no simulation of %s:\n%s", title, d.Output())
		}
		d.routers[model] = m[1]
	}
	return d
}

// truth returns what a group has really done.
func (d *pdDemo) truth(t *testing.T, model string) (v simengine.Truth) {
	t.Helper()
	body, err := programs.Get(d.routers[model])
	if err == nil {
		err = json.Unmarshal([]byte(body), &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// set changes the course of both groups.
func (d *pdDemo) set(t *testing.T, settings string) {
	t.Helper()
	for _, url := range d.routers {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"?"+settings, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			t.Fatalf("%s: %s %s", settings, resp.Status, body)
		}
	}
}

// answers are what one expression says, by model.
type answers map[string]float64

// ask runs an expression that has a series for each model.
func (d *pdDemo) ask(expr string) (answers, error) {
	got, err := query(d.base+"/prometheus", expr)
	if err != nil {
		return nil, err
	}
	all := answers{}
	for _, s := range got {
		v, err := strconv.ParseFloat(fmt.Sprint(s.Value[1]), 64)
		if err != nil {
			return nil, err
		}
		if _, twice := all[s.Metric["model_name"]]; twice {
			return nil, fmt.Errorf("%s has two series of %s", expr, s.Metric["model_name"])
		}
		all[s.Metric["model_name"]] = v
	}
	return all, nil
}

// expectation is an expression and what it must say of a model.
type expectation struct {
	what, expr string
	want       map[string]float64
	within     float64 // relative
}

// expect waits until every expression says what it should.
func (d *pdDemo) expect(t *testing.T, all []expectation) {
	t.Helper()
	check := func() (err error) {
		for _, e := range all {
			got, askErr := d.ask(e.expr)
			if askErr != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", e.expr, askErr))
			}
			for model, want := range e.want {
				v, there := got[model]
				if !there || math.Abs(v-want) > e.within*math.Abs(want) {
					err = errors.Join(err, fmt.Errorf("%s of %s: %v (there: %v), it is %v\n\t%s", e.what, model, v, there, want, e.expr))
				}
			}
		}
		return err
	}
	programs.Eventually(t, 40*time.Second, "Prometheus says what the groups have done", check)
}

// both makes the values of both groups.
func both(of func(string) int) map[string]float64 {
	return map[string]float64{modelVLLM: float64(of(modelVLLM)), modelSGLang: float64(of(modelSGLang))}
}

// TestPD: what a server says of prefill/decode groups is what their users have seen.
func TestPD(t *testing.T) {
	d := startPD(t)
	began, dashboard := time.Now(), pdDashboard(t)
	before := map[string]simengine.Truth{}
	for model := range d.routers {
		before[model] = d.truth(t, model)
	}
	d.inventory(t)
	d.queries(t)

	// Time passes slowly until a burst waits everywhere, and then stands still, so that Prometheus sees what the simulation shows.
	d.set(t, "speed=0.05")
	d.set(t, "burst=300")
	programs.Eventually(t, time.Minute, "the burst waits", func() error {
		v, s := d.truth(t, modelVLLM).Queues, d.truth(t, modelSGLang).Queues
		if v[simengine.RolePrefill] == 0 || s["prealloc"] == 0 || s["bootstrap"] == 0 {
			return fmt.Errorf("queues of the vLLM group %v, of the SGLang group %v", v, s)
		}
		return nil
	})
	d.set(t, "speed=0.000001")
	d.moment(t)
	d.dashboardMoment(t, dashboard)

	d.set(t, "idle=true&speed=60")
	truth := map[string]simengine.Truth{}
	programs.Eventually(t, time.Minute, "every request has ended", func() error {
		for model := range d.routers {
			truth[model] = d.truth(t, model)
			if n := truth[model].InFlight; n > 0 {
				return fmt.Errorf("%s has %d requests", model, n)
			}
		}
		return nil
	})
	d.totals(t, truth)
	d.latencies(t, truth)
	d.dashboardTotals(t, dashboard, began, before, truth)

	d.Stop(syscall.SIGINT)
	if err := d.Err(); err != nil {
		t.Errorf("the demo ended with %v", err)
	}
}

// inventory checks the instances and their roles, by the API and by `stackscope status`.
func (d *pdDemo) inventory(t *testing.T) {
	t.Helper()
	type instance struct {
		ModelID int64  `json:"model_id"`
		Name    string `json:"name"`
		Role    string `json:"role"`
		State   string `json:"state"`
	}
	count := func(instances []instance) map[string]int {
		roles := map[string]int{}
		for _, i := range instances {
			if i.State != "running" {
				t.Errorf("%s is %s", i.Name, i.State)
			}
			roles[i.Role]++
		}
		return roles
	}
	want := map[string]int{"prefill": 3, "decode": 2, "router": 2, "": 1}
	var instances struct{ Items []instance }
	get := func(path string, v any) {
		t.Helper()
		body, err := programs.Get(d.base + path)
		if err == nil {
			err = json.Unmarshal([]byte(body), v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	get("/v2/model-instances", &instances)
	if diff := cmp.Diff(want, count(instances.Items)); diff != "" {
		t.Errorf("roles of the instances in the API (-want +got):\n%s", diff)
	}
	out, err := exec.CommandContext(t.Context(), programs.Path(t, "stackscope"), "status", "--json", "--server-url", d.base).Output()
	if err != nil {
		t.Fatal(err)
	}
	var status struct {
		Instances []instance `json:"model_instances"`
	}
	if err := json.Unmarshal(out, &status); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, count(status.Instances)); diff != "" {
		t.Errorf("roles of the instances in the status (-want +got):\n%s\n%s", diff, out)
	}
}

// queries checks that the printed queries have an answer for the model that they are about.
func (d *pdDemo) queries(t *testing.T) {
	t.Helper()
	printed := regexp.MustCompile(`(?m)^    (\S.*gpustack:.*)$`).FindAllStringSubmatch(d.Output(), -1)
	if len(printed) < 6 {
		t.Fatalf("%d queries are printed:\n%s", len(printed), d.Output())
	}
	for _, m := range printed {
		programs.Eventually(t, 30*time.Second, m[1], func() error {
			got, err := query(d.base+"/prometheus", m[1])
			seen := map[string]bool{}
			for _, s := range got {
				seen[s.Metric["model_name"]] = true
			}
			if err == nil && !seen[modelSGLang] {
				err = fmt.Errorf("models %v", seen)
			}
			return err
		})
	}
}

// moment compares what runs and waits.
func (d *pdDemo) moment(t *testing.T) {
	t.Helper()
	truth := map[string]simengine.Truth{}
	for model := range d.routers {
		truth[model] = d.truth(t, model)
	}
	queue := func(place string) func(string) int {
		return func(model string) int { return truth[model].Queues[place] }
	}
	running := func(role string) func(string) int {
		return func(model string) int { return truth[model].Running[role] }
	}
	sglang := func(place string) map[string]float64 {
		return map[string]float64{modelSGLang: float64(truth[modelSGLang].Queues[place])}
	}
	decodeWaiting := both(queue(simengine.RoleDecode))
	// vLLM counts requests without memory or KV cache as waiting, SGLang has queues of their own for them.
	decodeWaiting[modelVLLM] += float64(truth[modelVLLM].Queues["prealloc"] + truth[modelVLLM].Queues["transfer"])
	waiting := maps.Clone(decodeWaiting)
	for model, n := range both(queue(simengine.RolePrefill)) {
		waiting[model] += n
	}
	d.expect(t, []expectation{
		{"ready instances", `sum by (model_name) (gpustack:model_role_ready_instances)`, map[string]float64{modelVLLM: 4, modelSGLang: 3}, 0},
		{"mode of vLLM", `sum by (model_name) (gpustack:pd_mode_info{kv_counted_role="decode", mode="vllm-nixl"})`, map[string]float64{modelVLLM: 1}, 0},
		{"mode of SGLang", `sum by (model_name) (gpustack:pd_mode_info{kv_counted_role="decode", mode="sglang-mooncake"})`, map[string]float64{modelSGLang: 1}, 0},
		{"running at prefill", `sum by (model_name) (gpustack:num_requests_running{role="prefill"})`, both(running(simengine.RolePrefill)), 0},
		{"running at decode", `sum by (model_name) (gpustack:num_requests_running{role="decode"})`, both(running(simengine.RoleDecode)), 0},
		{"waiting at prefill", `sum by (model_name) (gpustack:num_requests_waiting{role="prefill"})`, both(queue(simengine.RolePrefill)), 0},
		{"waiting at decode", `sum by (model_name) (gpustack:num_requests_waiting{role="decode"})`, decodeWaiting, 0},
		{"waiting", `sum by (model_name) (gpustack:num_requests_waiting{role!="router"})`, waiting, 0},
		{"bootstrap queue", `sum by (model_name) (gpustack:pd_prefill_bootstrap_queue_requests{role="prefill"})`, sglang("bootstrap"), 0},
		{"inflight queue", `sum by (model_name) (gpustack:pd_prefill_inflight_queue_requests{role="prefill"})`, sglang("inflight"), 0},
		{"allocation queue", `sum by (model_name) (gpustack:pd_decode_prealloc_queue_requests{role="decode"})`, sglang("prealloc"), 0},
		{"transfer queue", `sum by (model_name) (gpustack:pd_decode_transfer_queue_requests{role="decode"})`, sglang("transfer"), 0},
		{"requests at the router", `sum by (model_name) (gpustack:pd_router_requests_total{role="router"})`, both(func(model string) int { return truth[model].Requests }), 0},
	})
}

// totals compares counters after the last request.
func (d *pdDemo) totals(t *testing.T, truth map[string]simengine.Truth) {
	t.Helper()
	v, s := truth[modelVLLM], truth[modelSGLang]
	if v.Requests < 1000 || s.Requests < 1000 || v.Completed == 0 || v.Aborted == 0 || s.FailedTransfers == 0 {
		t.Errorf("too little has happened: %+v, %+v", v, s)
	}
	pair := func(vllm, sglang int) map[string]float64 {
		return map[string]float64{modelVLLM: float64(vllm), modelSGLang: float64(sglang)}
	}
	d.expect(t, []expectation{
		{"requests", `sum by (model_name) (gpustack:request_success_total{role!~"prefill|router"})`, pair(v.Completed, s.Completed), 0},
		{"requests at prefill", `sum by (model_name) (gpustack:request_success_total{role="prefill"})`, pair(v.Requests, s.Transfers), 0},
		{"requests at the router", `sum by (model_name) (gpustack:pd_router_requests_total{role="router"})`, pair(v.Requests, s.Requests), 0},
		{"ends at the router", `sum by (model_name) (gpustack:pd_router_request_duration_seconds_count{role="router"})`, pair(v.Requests, s.Requests), 0},
		// SGLang counts prompts that have been sent and answers that have ended, vLLM tokens as they come.
		{"prompt tokens", `sum by (model_name) (gpustack:prompt_tokens_total{role!~"decode|router"})`, pair(v.PromptTokens, s.TransferredPromptTokens), 0},
		{"generated tokens", `sum by (model_name) (gpustack:generation_tokens_total{role!~"prefill|router"})`, pair(v.GeneratedTokens, s.CompletedGeneratedTokens), 0},
		{"cached tokens", `sum by (model_name) (gpustack:prompt_tokens_cached_total{role!~"decode|router"})`, map[string]float64{modelVLLM: float64(v.CachedTokens)}, 0},
		// All but the last token of each prompt; a request that is preempted before its first token computes its prompt itself.
		{
			"tokens over the wire", `sum by (model_name) (gpustack:pd_prompt_tokens_by_source_total{role="decode",source="external_kv_transfer"})`,
			map[string]float64{modelVLLM: float64(v.TransferredPromptTokens - v.Transfers)},
			1e-3,
		},
		{"transfers", `sum by (model_name) (gpustack:pd_kv_transfer_bytes_count{role!="router"})`, pair(v.Transfers, s.Transfers), 0},
		{"bytes", `sum by (model_name) (gpustack:pd_kv_transfer_bytes_sum{role!="router"})`, pair(v.TransferBytes, s.TransferBytes), 1e-9},
		{"failed transfers", `sum by (model_name) (gpustack:pd_kv_transfer_failed_total{role="decode"})`, pair(v.FailedTransfers, s.FailedTransfers), 0},
		{"waiting", `sum by (model_name) (gpustack:num_requests_waiting{role!="router"})`, pair(0, 0), 0},
		{"running", `sum by (model_name) (gpustack:num_requests_running{role!="router"})`, pair(0, 0), 0},
	})
}

// latencies compares quantiles, which are right to a bucket, and means.
func (d *pdDemo) latencies(t *testing.T, truth map[string]simengine.Truth) {
	t.Helper()
	for _, q := range []float64{.5, .95, .99} {
		for _, c := range []struct{ what, metric, more string }{
			{"first token", "time_to_first_token_seconds", `,is_streaming="true",model_name="` + modelSGLang + `"`},
			{"end to end", "e2e_request_latency_seconds", `,model_name="` + modelSGLang + `"`},
		} {
			real := truth[modelSGLang].StreamedFirstToken
			if c.what == "end to end" {
				real = truth[modelSGLang].EndToEnd
			}
			expr := fmt.Sprintf(`histogram_quantile(%v, sum by (model_name, le) (gpustack:%s_bucket{role!~"prefill|router"%s}))`, q, c.metric, c.more)
			got, err := d.ask(expr)
			if err != nil {
				t.Fatal(err)
			}
			lower, upper := bucketOf(real, q)
			if v, there := got[modelSGLang]; !there || v < lower || v > upper {
				t.Errorf("%s, quantile %v: %v (there: %v), for the users it lies between %v and %v\n\t%s", c.what, q, v, there, lower, upper, expr)
			}
		}
	}
	// vLLM's users wait for the prefill instance and then for the decode instance; messages take some milliseconds.
	expr := `sum by (model_name) (gpustack:time_to_first_token_seconds_sum{role="prefill"}) / sum by (model_name) (gpustack:time_to_first_token_seconds_count{role="prefill"})` +
		` + sum by (model_name) (gpustack:time_to_first_token_seconds_sum{role="decode"}) / sum by (model_name) (gpustack:time_to_first_token_seconds_count{role="decode"})`
	got, err := d.ask(expr)
	if err != nil {
		t.Fatal(err)
	}
	real := truth[modelVLLM].FirstToken.Sum / float64(truth[modelVLLM].FirstToken.Count)
	if v := got[modelVLLM]; v > real || v < real-.01 {
		t.Errorf("mean time to the first token at the vLLM group: %v, for the users %v", v, real)
	}
}

// bucketOf returns the bounds of the bucket that holds a quantile, and of the one before it, because a user waits some milliseconds longer than
// the engine measures.
func bucketOf(d simengine.Distribution, q float64) (lower, upper float64) {
	rank, seen := q*float64(d.Count), 0.
	for i, n := range d.Counts {
		seen += float64(n)
		if seen >= rank {
			if i > 1 {
				lower = d.Bounds[i-2]
			}
			if i == len(d.Bounds) {
				return lower, math.Inf(1)
			}
			return lower, d.Bounds[i]
		}
	}
	return 0, math.Inf(1)
}
