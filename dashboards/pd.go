package dashboards

import (
	"fmt"
	"slices"
	"strings"
)

// Variables of the dashboard about prefill and decode, as GPUStack's.
const (
	varCountedRole = "counted_role"
	varRole        = "role"
)

const (
	onPrefill   = `role="prefill"`
	onDecode    = `role="decode"`
	chosenRoles = `role=~"$role"`
	// concurrent is the runtime whose router sends a request to both sides at once. Routers of others wait for the prefill side.
	concurrent = "SGLang"
)

func prefillDecode() Dashboard {
	return Dashboard{
		UID: "gpustack-pd", Title: "GPUStack PD Disaggregated Model",
		Description: "A model with separate instances for prefill and decode: which side is the bottleneck, both sides' queues, the transfer of KV cache between them, latency, tokens and the router. It replaces GPUStack's dashboard of the same name.",
		From:        "now-1h",
		Variables: []Variable{
			datasource(), cluster(),
			{Name: varModel, Label: "Model", Query: `label_values({__name__=~"gpustack:model_role_desired_instances|gpustack:num_requests_running", cluster_name="$cluster_name", role=~"prefill|decode"}, model_name)`},
			{Name: varCountedRole, Label: "Transfers measured on", Query: `label_values(gpustack:pd_mode_info{` + modelSelector + `}, kv_counted_role)`},
			{Name: varRole, Label: "Role", Custom: []string{"prefill", "decode", "router"}, Multi: true},
		},
		Annotations: events(modelSelector, `cluster_name="$cluster_name"`),
		Rows: []Row{
			{Panels: slices.Concat(pdNow(), []Panel{pdSides(), pdInstances()})},
			{Title: "Queues and load of both sides", Panels: pdQueues()},
			{Title: "Transfer of KV cache", Panels: pdTransfers()},
			{Title: "Latency", Panels: pdLatency()},
			{Title: "Tokens and requests", Panels: pdTokens()},
			{Title: "Router", Panels: pdRouter()},
			{Title: "Balance of the load", Collapsed: true, Panels: imbalance(modelSelector + `, role!="router"`)},
			{Title: "Speculative decoding and work of the GPUs", Collapsed: true, Panels: pdWork()},
		},
	}
}

// pd selects a metric of the model. Panels that show the roles which the viewer chose give [chosenRoles].
func pd(family string, matchers ...string) string {
	return "gpustack:" + family + "{" + strings.Join(slices.Concat([]string{modelSelector}, matchers, streamed(family)), ", ") + "}"
}

// pdCounted is [pd] of the role that counts the metric, if the viewer chose it.
func pdCounted(family string) string { return pd(family, chosenRoles, counting(family)) }

// rateOf is the sum of a counter's rates.
func rateOf(selector string) string { return "sum(rate(" + selector + "[$__rate_interval]))" }

// rateOver is the same by labels.
func rateOver(by, selector string) string {
	return "sum by (" + by + ") (rate(" + selector + "[$__rate_interval]))"
}

// orZero is 0 where the model has instances and the expression has no value: engines without such a queue have none.
func orZero(expr string) string {
	return "(" + expr + " or 0 * sum(" + pd("num_requests_running", `role!="router"`) + "))"
}

// Requests that wait for a side or for the transfer, as means over two minutes. vLLM's decode instances count requests whose KV cache has
// not arrived in num_requests_waiting, with the reason deferred. On SGLang a request that waits for memory of the decode side is in its
// prealloc queue, and in the bootstrap queue of the prefill side; its transfer queue also has what the prefill side still computes.
func waitingForPrefill() string { return orZero(meanQueue("num_requests_waiting", onPrefill)) }

func waitingForTransfer() string {
	return orZero(meanQueue("pd_prefill_inflight_queue_requests")) + " + " + deferred()
}

func waitingForDecode() string {
	return "clamp_min(" + orZero(meanQueue("num_requests_waiting", onDecode)) + " - " + deferred() + ", 0) + " + orZero(meanQueue("pd_decode_prealloc_queue_requests"))
}

func deferred() string {
	return orZero(meanQueue("num_requests_waiting_by_reason", onDecode, `reason="deferred"`))
}

func meanQueue(family string, matchers ...string) string {
	if len(matchers) == 0 {
		matchers = []string{counting(family)}
	}
	return "sum(avg_over_time(" + pd(family, matchers...) + "[2m]))"
}

// fullCache is 1 where a KV cache of a side is almost full.
func fullCache(side string) string {
	return orZero("(max(" + pd("kv_cache_usage_ratio", side) + ") > bool 0.95)")
}

// bottlenecks are what limits the model, in the order of a request.
func bottlenecks() []Value {
	return []Value{
		{Value: 0, Text: "none", Color: "green"},
		{Value: 1, Text: "prefill", Color: "orange"},
		{Value: 2, Text: "transfer", Color: "purple"},
		{Value: 3, Text: "decode", Color: "red"},
	}
}

const aboutBottleneck = "The part of the model where most requests wait: prefill, the transfer of KV cache, or decode; means of two minutes. A KV cache above 95 % counts as one waiting request of its side. none: fewer than one waits. prefill: add prefill instances. transfer: look at the network and at failed transfers. decode: add decode instances, or memory for their KV cache."

// bottleneck is the number, in [bottlenecks], of the part where most requests wait.
func bottleneck() string {
	part := func(expr, name string) string {
		return fmt.Sprintf(`label_replace(%s, "part", "%s", "", "")`, expr, name)
	}
	var scores, numbers []string
	for i, expr := range []string{waitingForPrefill() + " + " + fullCache(onPrefill), waitingForTransfer(), waitingForDecode() + " + " + fullCache(onDecode)} {
		v := bottlenecks()[i+1]
		scores = append(scores, part(expr, v.Text))
		numbers = append(numbers, part(fmt.Sprintf("vector(%v)", v.Value), v.Text))
	}
	return orZero(fmt.Sprintf("sum(0 * topk(1, (%s) >= 1) + on (part) (%s))", strings.Join(scores, " or "), strings.Join(numbers, " or ")))
}

// whole is the mean of a duration that both sides measure, as users see it: vLLM's sides follow each other, SGLang's decode side
// measures all of it.
func whole(family string) string {
	before := rateOf(pd(family+"_sum", onPrefill, `runtime!="`+concurrent+`"`))
	return fmt.Sprintf("(%s + %s) / (%s > 0)", rateOf(pd(family+"_sum", onDecode)), orZero(before), rateOf(pd(family+"_count", onDecode)))
}

// transferred is the rate of a counter about transfers on the side that measures them.
func transferred(family string) string {
	return rateOf(pd(family, `role="$counted_role"`)) + " > 0 or " + rateOf(pd(family, counting(family)))
}

func pdNow() []Panel {
	stat := func(title, description, unit, expr string, digits int) Panel {
		return Panel{Kind: Stat, Title: title, Description: description, Unit: unit, Decimals: new(digits), Sparkline: true, Queries: []Query{{Expr: expr, Legend: title}}, NoValue: "not measured"}
	}
	failed := []string{"pd_kv_transfer_failed_total", "pd_bootstrap_failed_total", "request_failed_total"}
	for i, f := range failed {
		failed[i] = orZero(rateOf(pd(f, counting(f))))
	}
	failures := stat("Failures", "Requests, transfers and handshakes that failed per second. Above 0: the panel Failed transfers says what failed, and the logs of both sides say why.", "cps", strings.Join(failed, " + "), 2)
	failures.Thresholds = limits(0.001, 1)
	return []Panel{
		{Kind: Stat, Title: "Bottleneck", Description: aboutBottleneck, Values: bottlenecks(), Background: true, NoValue: "no instance has a role", Queries: []Query{{Expr: bottleneck(), Legend: "Bottleneck"}}},
		stat("Requests", "Requests that ended successfully per second, each counted once, on the decode side.", "reqps", rateOf(pd("request_success_total", counting("request_success"))), 1),
		stat("Time to first token", "Mean time that users wait for the first token. vLLM: the time of the prefill side plus that of the decode side. SGLang: the time of the decode side, which has the request from the beginning; streamed answers only, from 0.5.17 on.", "s", whole("time_to_first_token_seconds"), 2),
		stat("Generated tokens", "Tokens generated per second on the decode side: what the model delivers.", tokensPerSecond, rateOf(pd("generation_tokens_total", counting("generation_tokens"))), 1),
		stat("KV cache sent", "Bytes of KV cache per second that the prefill side sent to the decode side. Compare with the bandwidth of the network between them.", "Bps", transferred("pd_kv_transfer_bytes_sum"), 1),
		failures,
	}
}

func pdSides() Panel {
	perRole := func(op, expr string) string { return op + " by (role) (" + expr + ")" }
	roles := func(family string) string {
		return "sum by (role) (max by (cluster_id, cluster_name, model_id, model_name, role) (" + pd(family) + "))"
	}
	return Panel{
		Kind: Table, H: 6, Title: "Both sides", SortBy: "Waiting", NoValue: "no instance of this model has a role",
		Description: "One row per role. Ready and of: instances that run, and that are known. Queued: SGLang's queues of handshakes and transfers. Prompt and output tokens are what each side counted: a request is on both sides. KV cache is the fullest instance's. One side waits while the other is idle: change the numbers of instances.",
		Queries: []Query{
			{Expr: roles("model_role_ready_instances") + " or " + perRole("count", "count by (role, model_instance_name) ("+pd("runtime_scrape_success", `role!=""`)+")")},
			{Expr: roles("model_role_desired_instances")},
			{Expr: perRole("sum", pd("num_requests_running", `role!=""`))},
			{Expr: perRole("sum", pd("num_requests_waiting", `role!=""`))},
			{Expr: perRole("sum", `{__name__=~"gpustack:pd_prefill_bootstrap_queue_requests|gpustack:pd_prefill_inflight_queue_requests|gpustack:pd_decode_prealloc_queue_requests|gpustack:pd_decode_transfer_queue_requests", `+modelSelector+`}`)},
			{Expr: perRole("max", pd("kv_cache_usage_ratio", `role!=""`))},
			{Expr: rateOver("role", pd("prompt_tokens_total", `role!=""`))},
			{Expr: rateOver("role", pd("generation_tokens_total", `role!=""`))},
		},
		Columns: []Column{
			{Title: "Role", Label: "role"},
			{Title: "Ready", Query: 1},
			{Title: "of", Query: 2},
			{Title: "Running", Query: 3, Decimals: new(0)},
			{Title: "Waiting", Query: 4, Decimals: new(0), Thresholds: limits(1, 50)},
			{Title: "Queued", Query: 5, Decimals: new(0), Thresholds: limits(1, 50)},
			{Title: "KV cache", Query: 6, Unit: "percentunit", Decimals: new(0), Thresholds: limits(0.9, 0.98)},
			{Title: "Prompt", Query: 7, Unit: tokensPerSecond, Decimals: new(1)},
			{Title: "Output", Query: 8, Unit: tokensPerSecond, Decimals: new(1)},
		},
	}
}

func pdInstances() Panel {
	by := "model_instance_name, role, worker_name, runtime"
	sum := func(family string) string { return "sum by (" + by + ") (" + pd(family, chosenRoles) + ")" }
	mean := func(family string) string {
		return rateOver(by, pd(family+"_sum", chosenRoles)) + " / (" + rateOver(by, pd(family+"_count", chosenRoles)) + " > 0)"
	}
	return Panel{
		Kind: Table, H: 7, Title: "Instances of the chosen roles", SortBy: "Waiting", NoValue: "no instance of the chosen roles is known",
		Description: "One row per instance. TTFT is the mean that the instance itself measured, a part of what users wait. Instances of one role should be alike: one with more requests than others is slower, or the router prefers it. Click an instance to see it.",
		Queries: []Query{
			{Expr: "max by (" + by + ") (" + pd("runtime_scrape_success", chosenRoles) + ")"},
			{Expr: sum("num_requests_running")},
			{Expr: sum("num_requests_waiting")},
			{Expr: "max by (" + by + ") (" + pd("kv_cache_usage_ratio", chosenRoles) + ")"},
			{Expr: rateOver(by, pd("prompt_tokens_total", chosenRoles))},
			{Expr: rateOver(by, pd("generation_tokens_total", chosenRoles))},
			{Expr: mean("time_to_first_token_seconds")},
		},
		Columns: []Column{
			{Title: "Instance", Label: "model_instance_name", Link: To("gpustack-model", "Show this instance", varCluster, "$cluster_name", varModel, "$model_name", varInstance, "${__data.fields.model_instance_name}")},
			{Title: "Role", Label: "role", Width: 90},
			{Title: "Engine", Label: "runtime", Width: 90},
			{Title: "Worker", Label: "worker_name", Link: toWorker()},
			{Title: "Metrics", Query: 1, Width: 80, Values: []Value{{Value: 1, Text: "read", Color: "green"}, {Value: 0, Text: "failed", Color: "red"}}},
			{Title: "Running", Query: 2, Decimals: new(0), Width: 80},
			{Title: "Waiting", Query: 3, Decimals: new(0), Width: 80, Thresholds: limits(1, 50)},
			{Title: "KV cache", Query: 4, Unit: "percentunit", Decimals: new(0), Width: 90, Thresholds: limits(0.9, 0.98)},
			{Title: "Prompt", Query: 5, Unit: tokensPerSecond, Decimals: new(1), Width: 110},
			{Title: "Output", Query: 6, Unit: tokensPerSecond, Decimals: new(1), Width: 110},
			{Title: "TTFT", Query: 7, Unit: "s", Decimals: new(2), Width: 80},
		},
	}
}
