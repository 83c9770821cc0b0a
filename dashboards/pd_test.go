package dashboards

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// group is a model with one prefill and one decode instance and a router. Each second two requests with 1,000 prompt tokens, of which 300
// are cached, and 100 generated tokens arrive.
type group struct {
	model, runtime string
	// Seconds that each side measures for the mean request until its first and its last token; prefill < 0: it measures none.
	prefillTTFT, decodeTTFT, prefillE2E, decodeE2E float64
	queues                                         map[string]float64 // gauges, by name and role
}

// load writes the group's series.
func (g group) load() string {
	var b strings.Builder
	labels := func(role string) string {
		return fmt.Sprintf(`cluster_name="a", worker_name="w-%[2]s", model_name="%[1]s", model_instance_name="%[1]s-%[2]s", runtime="%[3]s", role="%[2]s"`, g.model, role, g.runtime)
	}
	count := func(name, role string, each float64) { // of two requests a second
		fmt.Fprintf(&b, "\tgpustack:%s{%s} 0+%vx120\n", name, labels(role), 120*each)
	}
	for role, generated := range map[string]float64{"prefill": 1, "decode": 100} {
		count("request_success_total", role, 1)
		count("prompt_tokens_total", role, 1000)
		count("generation_tokens_total", role, generated)
		count("prompt_tokens_cached_total", role, map[string]float64{"prefill": 300, "decode": 990}[role])
		count("prefix_cache_queries_total", role, 1000)
		count("prefix_cache_hits_total", role, map[string]float64{"prefill": 300, "decode": 990}[role])
		fmt.Fprintf(&b, "\tgpustack:runtime_scrape_success{%s} 1x120\n", labels(role))
		fmt.Fprintf(&b, "\tgpustack:num_requests_running{%s} 4x120\n", labels(role))
		for family, seconds := range map[string]float64{
			"time_to_first_token_seconds": map[string]float64{"prefill": g.prefillTTFT, "decode": g.decodeTTFT}[role],
			"e2e_request_latency_seconds": map[string]float64{"prefill": g.prefillE2E, "decode": g.decodeE2E}[role],
		} {
			if seconds >= 0 {
				count(family+"_count", role, 1)
				count(family+"_sum", role, seconds)
				for _, le := range []float64{0.1, 0.5, 1, 2, 5} {
					fmt.Fprintf(&b, "\tgpustack:%s_bucket{%s, le=\"%v\"} 0+%vx120\n", family, labels(role), le, map[bool]int{true: 120, false: 0}[seconds <= le])
				}
				fmt.Fprintf(&b, "\tgpustack:%s_bucket{%s, le=\"+Inf\"} 0+120x120\n", family, labels(role))
			}
		}
	}
	// A Dynamo frontend has role router and the metrics of engines.
	count("request_success_total", "router", 1)
	count("generation_tokens_total", "router", 100)
	count("prompt_tokens_total", "router", 1000)
	count("pd_router_requests_total", "router", 1)
	fmt.Fprintf(&b, "\tgpustack:num_requests_running{%s} 8x120\n", labels("router"))
	fmt.Fprintf(&b, "\tgpustack:pd_mode_info{cluster_name=\"a\", model_name=\"%s\", kv_counted_role=\"decode\"} 1x120\n", g.model)
	for name, value := range g.queues {
		name, role, _ := strings.Cut(name, " ")
		extra := ""
		if reason, ok := strings.CutPrefix(name, "num_requests_waiting_by_reason/"); ok {
			name, extra = "num_requests_waiting_by_reason", `, reason="`+reason+`"`
		}
		fmt.Fprintf(&b, "\tgpustack:%s{%s%s} %vx120\n", name, labels(role), extra, value)
	}
	return b.String()
}

// of returns the value of an expression that has one, two hours after the series' first samples; NaN if it has none.
func of(t *testing.T, series, expr, model string) float64 {
	t.Helper()
	expr = strings.NewReplacer("$cluster_name", "a", "$model_name", model, "$model_instance_name", ".*", "$counted_role", "decode", "$role", ".*",
		"$__rate_interval", "5m", "$__range", "1h").Replace(expr)
	rows := answer(t, "load 1m\n"+series, expr, time.Unix(7200, 0))
	if len(rows) > 1 {
		t.Fatalf("%d values of %s", len(rows), expr)
	}
	if len(rows) == 0 {
		return math.NaN()
	}
	return rows[0].F
}

// query returns a panel's query by the panel's title and the query's number.
func query(t *testing.T, uid, title string, n int) string {
	t.Helper()
	d, _ := byUID(uid)
	for _, r := range d.Rows {
		for _, p := range r.Panels {
			if p.Title == title {
				return p.Queries[n].Expr
			}
		}
	}
	t.Fatalf("%s has no panel %q", uid, title)
	return ""
}

func TestDashboardsCountARequestOfTwoInstancesOnce(t *testing.T) {
	queues := map[string]float64{"num_requests_waiting prefill": 2, "pd_decode_prealloc_queue_requests decode": 57, "pd_prefill_bootstrap_queue_requests prefill": 57}
	series := group{"v", "vLLM", 0.8, 0.3, 0.8, 9, nil}.load() + group{"s", "SGLang", -1, 1.2, 1.1, 10, queues}.load() +
		"\tgpustack:generation_tokens_total{cluster_name=\"a\", worker_name=\"w\", model_name=\"plain\", model_instance_name=\"plain-0\", runtime=\"vLLM\"} 0+600x120\n"
	for _, c := range []struct {
		uid, title string
		query      int
		v, s       float64
	}{
		{"gpustack-pd", "Requests", 0, 2, 2},
		{"gpustack-pd", "Generated tokens", 0, 200, 200},
		{"gpustack-pd", "Time to first token", 0, 1.1, 1.2}, // 0.8 + 0.3
		{"gpustack-pd", "Tokens per second", 0, 2000, 2000},
		{"gpustack-pd", "Tokens per second", 1, 600, 600},
		{"gpustack-pd", "Tokens per second", 2, 200, 200},
		{"gpustack-pd", "Prefix cache hit rate by side", 0, 0.3, 0.3},
		{"gpustack-pd", "End-to-end latency by side", 0, 9.8, 10},
		{"gpustack-pd", "Requests through the router", 0, 2, 2},
		{"gpustack-pd", "Bottleneck", 0, 0, 3},
		{"gpustack-pd", "Failures", 0, 0, 0},
		{"gpustack-model", "Finished", 0, 2, 2},
		{"gpustack-model", "Generated tokens", 0, 200, 200},
		{"gpustack-model", "Prompt tokens", 0, 2000, 2000},
		{"gpustack-model", "Prefix cache hit rate", 0, 0.3, 0.3},
		{"gpustack-model", "Running requests", 0, 8, 8},
		{"gpustack-model", "All tok/s", 0, 2200, 2200},
		{"stackscope-fleet", "Generated tokens", 0, 410, 410}, // both groups and the plain model
		{"stackscope-fleet", "Requests", 0, 16, 16},
		{"stackscope-fleet", "Requests", 1, 59, 59},
		{"gpustack-model", "Waiting requests", 0, math.NaN(), 59},
	} {
		for model, want := range map[string]float64{"v": c.v, "s": c.s} {
			if got := of(t, series, query(t, c.uid, c.title, c.query), model); math.IsNaN(got) != math.IsNaN(want) || math.Abs(got-want) > 1e-6*(1+want) {
				t.Errorf("%s, %q of %s: got %v, want %v", c.uid, c.title, model, got, want)
			}
		}
	}
}

// The fleet's table has the slower side's time to first token, once for each model.
func TestFleetShowsTheSlowerSide(t *testing.T) {
	series := group{"v", "vLLM", 0.8, 0.3, 0.8, 9, nil}.load() + group{"s", "SGLang", -1, 1.2, 1.1, 10, nil}.load()
	expr := strings.NewReplacer("$cluster_name", "a", "$__rate_interval", "5m").Replace(query(t, "stackscope-fleet", "Load of each model", 7))
	rows := answer(t, "load 1m\n"+series, expr, time.Unix(7200, 0))
	got := map[string]float64{}
	for _, r := range rows {
		got[r.Metric.Get(varModel)] = r.F
	}
	// The bucket from 0.5 to 1 s has vLLM's prefill side, that from 1 to 2 s SGLang's decode side.
	if len(rows) != 2 || got["v"] <= 0.5 || got["v"] > 1 || got["s"] <= 1 || got["s"] > 2 {
		t.Errorf("the p99 of the time to first token: %v", rows)
	}
}

func TestBottleneck(t *testing.T) {
	const prealloc, inflight, transfer, bootstrap = "pd_decode_prealloc_queue_requests decode", "pd_prefill_inflight_queue_requests prefill", "pd_decode_transfer_queue_requests decode", "pd_prefill_bootstrap_queue_requests prefill"
	for name, c := range map[string]struct {
		queues map[string]float64
		want   string
	}{
		"nothing waits":                              {nil, "none"},
		"empty queues":                               {map[string]float64{"num_requests_waiting prefill": 0, "num_requests_waiting decode": 0}, "none"},
		"less than one waits":                        {map[string]float64{"num_requests_waiting prefill": 0.9}, "none"},
		"prompts wait":                               {map[string]float64{"num_requests_waiting prefill": 7, "num_requests_waiting decode": 2}, "prefill"},
		"the decode side's queue":                    {map[string]float64{"num_requests_waiting prefill": 2, "num_requests_waiting decode": 7}, "decode"},
		"the KV cache has not arrived":               {map[string]float64{"num_requests_waiting decode": 9, "num_requests_waiting_by_reason/deferred decode": 8}, "transfer"},
		"waiting for capacity":                       {map[string]float64{"num_requests_waiting decode": 9, "num_requests_waiting_by_reason/deferred decode": 1}, "decode"},
		"SGLang waits for memory":                    {map[string]float64{prealloc: 57, transfer: 4, bootstrap: 57, "num_requests_waiting decode": 0}, "decode"},
		"SGLang sends":                               {map[string]float64{prealloc: 1, inflight: 6, transfer: 6}, "transfer"},
		"SGLang's transfer queue waits for prefill":  {map[string]float64{"num_requests_waiting prefill": 9, transfer: 10}, "prefill"},
		"a full KV cache without a queue":            {map[string]float64{"kv_cache_usage_ratio decode": 0.97}, "decode"},
		"a full KV cache of the other side":          {map[string]float64{"kv_cache_usage_ratio prefill": 0.97}, "prefill"},
		"a queue counts more than a full KV cache":   {map[string]float64{"kv_cache_usage_ratio decode": 0.97, "num_requests_waiting prefill": 12}, "prefill"},
		"a KV cache that is nearly full is no fault": {map[string]float64{"kv_cache_usage_ratio decode": 0.94}, "none"},
	} {
		series := group{"m", "SGLang", -1, 1, 1, 5, c.queues}.load()
		got := of(t, series, bottleneck(), "m")
		if want := numberOf(c.want); got != want {
			t.Errorf("%s: got %v, want %s (%v)", name, got, c.want, want)
		}
	}
	if got := of(t, group{"m", "vLLM", 1, 1, 1, 5, nil}.load(), bottleneck(), "another"); !math.IsNaN(got) {
		t.Errorf("a model without instances has the bottleneck %v", got)
	}
}

func numberOf(text string) float64 {
	for _, v := range bottlenecks() {
		if v.Text == text {
			return v.Value
		}
	}
	return math.NaN()
}

// KV cache is counted on the side that measures transfers, whichever it is.
func TestTransfersOnEitherSide(t *testing.T) {
	expr := query(t, "gpustack-pd", "KV cache sent per second", 0)
	bytes := func(role string, step int) string {
		return fmt.Sprintf("\tgpustack:pd_kv_transfer_bytes_sum{cluster_name=\"a\", model_name=\"m\", model_instance_name=\"m-%[1]s\", role=\"%[1]s\"} 0+%[2]dx120\n", role, step)
	}
	for name, c := range map[string]struct {
		series string
		want   float64
	}{
		"decode, as with NIXL":           {bytes("decode", 6000), 100},
		"prefill, as with SGLang":        {bytes("prefill", 6000), 100},
		"decode, and none on prefill":    {bytes("decode", 6000) + bytes("prefill", 0), 100},
		"prefill, and none on decode":    {bytes("decode", 0) + bytes("prefill", 6000), 100},
		"both: the counted one":          {bytes("decode", 6000) + bytes("prefill", 6000), 100},
		"nothing was sent":               {bytes("decode", 0), 0},
		"no role, as of an older worker": {strings.Replace(bytes("decode", 6000), `, role="decode"`, "", 1), 100},
	} {
		if got := of(t, c.series, expr, "m"); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// An event is marked once, at its time.
func TestAnnotations(t *testing.T) {
	const series = `load 30s
	gpustack:model_instance_latest_restart_time{cluster_name="a", model_name="m", model_instance_name="m-0"} 0x9 290x30
	gpustack:model_instance_latest_restart_time{cluster_name="a", model_name="m", model_instance_name="m-0", instance="second server"} 0x9 290x30
	gpustack:model_instance_latest_restart_time{cluster_name="a", model_name="m", model_instance_name="m-1"} 0x40
	gpustack:metrics_config_applied_generation{cluster_name="a", worker_name="w1"} _x4 3x9 4x27
	gpustack:metrics_config_applied_generation{cluster_name="a", worker_name="w2"} _x4 3x11 4x25
	gpustack:metrics_config_applied_generation{cluster_name="b", worker_name="w3"} 3x20 0x20
`
	for _, uid := range []string{"stackscope-fleet", "gpustack-model", "gpustack-pd"} {
		d, _ := byUID(uid)
		if len(d.Annotations) != 2 {
			t.Fatalf("%s has %d annotations", uid, len(d.Annotations))
		}
		at := func(a Annotation, cluster string) (events []string) {
			expr := strings.NewReplacer("$cluster_name", cluster, "$model_name", "m", "$model_instance_name", ".*").Replace(a.Expr)
			seen := map[float64]bool{}
			for second := int64(240); second <= 720; second += 60 {
				for _, row := range positive(answer(t, series, expr, time.Unix(second, 0))) {
					when, labels := float64(second), row.Metric.Get("model_instance_name")+row.Metric.Get("generation")
					if a.ValueIsTime {
						when = row.F / 1000
					}
					if !seen[when] { // Grafana shows what has one time once
						events = append(events, fmt.Sprintf("%v %s", when, labels))
					}
					seen[when] = true
				}
			}
			return events
		}
		if got := at(d.Annotations[0], "a"); len(got) != 1 || got[0] != "290 m-0" {
			t.Errorf("%s: restarts at %q", uid, got)
		}
		if got := at(d.Annotations[1], "a"); len(got) != 1 || got[0] != "420 4" {
			t.Errorf("%s: mapping changes at %q", uid, got)
		}
		if got := at(d.Annotations[1], "b"); len(got) != 1 || got[0] != "660 0" {
			t.Errorf("%s: a mapping change back to the built-in one at %q", uid, got)
		}
	}
}

func positive(rows promql.Vector) (above promql.Vector) {
	for _, r := range rows {
		if r.F > 0 {
			above = append(above, r)
		}
	}
	return above
}
