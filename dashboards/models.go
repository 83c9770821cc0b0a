package dashboards

import (
	"fmt"
	"slices"
	"strings"
)

const (
	modelSelector    = `cluster_name="$cluster_name", model_name="$model_name"`
	instanceSelector = modelSelector + `, model_instance_name=~"$model_instance_name"`
	byInstance       = "model_instance_name"
	instanceLegend   = "{{model_instance_name}}"
	tokensPerSecond  = "count:tok/s"
	thisModel        = "Of the chosen instances. "
)

func models() Dashboard {
	return Dashboard{
		UID: "gpustack-model", Title: "GPUStack Model",
		Description: "One model and its instances: state, load, latency and bottlenecks. It replaces GPUStack's dashboard of the same name; links to that one keep working.",
		Variables:   []Variable{datasource(), cluster(), model(), instance()},
		Annotations: events(instanceSelector, `cluster_name="$cluster_name"`),
		Rows: []Row{
			{Panels: slices.Concat(modelCounts(), modelNow())},
			{Title: "Instances", Panels: []Panel{instanceTable(), instanceStates(), modelFacts()}},
			{Title: "Requests", Panels: modelRequests()},
			{Title: "Balance of the load", Collapsed: true, Panels: imbalance(instanceSelector)},
			{Title: "Tokens", Panels: modelTokens()},
			{Title: "Latency", Panels: modelLatency()},
			{Title: "Latency by phase: queue, prefill, decode", Collapsed: true, Panels: modelPhases()},
			{Title: "Cache", Panels: modelCache()},
			{Title: "Lengths and parameters of requests", Collapsed: true, Panels: modelLengths()},
			{Title: "Speculative decoding", Collapsed: true, Panels: modelSpeculation()},
			{Title: "Progress, restarts and starts", Collapsed: true, Panels: modelProgress()},
			{Title: "GPUs", Panels: modelGPUs()},
			{Title: "State of the metrics pages", Collapsed: true, Panels: modelScrapes()},
		},
	}
}

// onModel and ofInstances select a family of the model, and of its chosen instances. More matchers may follow.
func onModel(family string) string { return family + "{" + modelSelector + "}" }

func ofInstances(family string, matchers ...string) string {
	return family + "{" + strings.Join(slices.Concat([]string{instanceSelector}, matchers, streamed(family)), ", ") + "}"
}

// counted selects a family of the chosen instances as ofInstances does, for expressions that add them up: those whose role counts it.
func counted(family string) string { return ofInstances(family, counting(family)) }

// load adds up a gauge that counts something over what an instance exports of it: its data-parallel ranks.
func load(family string) string {
	return fmt.Sprintf("sum by (%s) (%s)", byInstance, ofInstances(family))
}

// loadOfAll is the same over all chosen instances.
func loadOfAll(family string) string { return "sum(" + counted(family) + ")" }

// waitingFamilies are the queues in which a request waits for an engine. SGLang keeps requests that wait for memory of a decode instance in a
// queue of their own; they are in no other of these.
const waitingFamilies = `__name__=~"gpustack:num_requests_waiting|gpustack:pd_decode_prealloc_queue_requests"`

// waiting are the requests that wait for each instance, waitingOfAll those of all chosen instances.
func waiting() string {
	return fmt.Sprintf("sum by (%s) ({%s, %s})", byInstance, waitingFamilies, instanceSelector)
}

func waitingOfAll() string {
	return fmt.Sprintf("sum({%s, %s, %s})", waitingFamilies, instanceSelector, counting("num_requests_waiting"))
}

// flow is the rate of a counter for each instance.
func flow(family string) string {
	return fmt.Sprintf(`sum by (%s) (rate(%s[$__rate_interval]))`, byInstance, ofInstances(family))
}

// flowOfAll is the same over all chosen instances.
func flowOfAll(family string) string { return "sum(rate(" + counted(family) + "[$__rate_interval]))" }

// flowBy is the rate of a counter by a label over all chosen instances.
func flowBy(label, family string) string {
	return "sum by (" + label + ") (rate(" + counted(family) + "[$__rate_interval]))"
}

// highestRank is the highest value of a share among an instance's ranks: the fullest one makes requests wait.
func highestRank(family string) string {
	return fmt.Sprintf("max by (%s) (%s)", byInstance, ofInstances(family))
}

// meanOfAll is the mean observation of a histogram over all chosen instances.
func meanOfAll(family string) string {
	return flowOfAll(family+"_sum") + " / " + flowOfAll(family+"_count")
}

// hitRate is the share of the first counter in the second, or the gauge of engines that count neither.
func hitRate(part, whole, gauge string) string {
	return fmt.Sprintf("%s / (%s > 0) or (avg by (%s) (%s) unless on (%s) %s)", flow(part), flow(whole), byInstance, ofInstances(gauge), byInstance, ofInstances(whole))
}

// hitRateOfAll is the same over all chosen instances.
func hitRateOfAll(part, whole, gauge string) string {
	return fmt.Sprintf("%s / (%s > 0) or avg(%s)", flowOfAll(part), flowOfAll(whole), counted(gauge))
}

func modelCounts() []Panel {
	count := func(title, description, expr, absent string, t []Threshold) Panel {
		return Panel{Kind: Stat, W: 4, Title: title, Description: description, Unit: "none", NoValue: absent, Thresholds: t, Queries: []Query{{Expr: expr, Legend: title}}}
	}
	instances := func(family string) string {
		return "sum(max by (cluster_id, cluster_name, model_id, model_name) (" + onModel(family) + "))"
	}
	desired, running := instances("gpustack:model_desired_instances"), instances("gpustack:model_running_instances")
	const unknown = "no server scraped"
	return []Panel{
		count("Desired", "Instances that the model should have, whatever is chosen above.", desired, unknown, nil),
		count("Running", "Instances of the model that run, whatever is chosen above. 0: no request is answered; the row Instances shows their state.", running, unknown, []Threshold{{Color: "red"}, {Color: "green", From: 1}}),
		count("Not running", "Desired minus running. Red from 1: see the states below; an error is in the instance's log, a pending one waits for a worker with free GPUs.", fmt.Sprintf("clamp_min(%s - %s, 0)", desired, running), unknown, bad(1)),
		count("Stalled", thisModel+"Instances that have work and make no progress. Red from 1: the engine hangs; restart it, and keep its log and the state of its GPUs for the cause.", "sum(max by (model_instance_name) ("+ofInstances("gpustack:model_instance_stalled")+"))", "not scraped", bad(1)),
		count("Scrapes failing", thisModel+"Instances whose metrics page could not be read. Red from 1: their metrics are missing below; the last row has details.", "count(max by (model_instance_name) ("+ofInstances("gpustack:runtime_scrape_success")+") == 0) or 0 * count("+ofInstances("gpustack:runtime_scrape_success")+")", "not scraped", bad(1)),
		count("Restarts", thisModel+"Restarts in the time range. Orange from 1, red from 3: an engine that dies again and again; its log has the reason, often memory of the GPU.",
			"sum(max by (model_instance_name) (max_over_time("+ofInstances("gpustack:model_instance_restart_count")+"[$__range]) - min_over_time("+ofInstances("gpustack:model_instance_restart_count")+"[$__range])))", unknown, limits(1, 3)),
	}
}

func modelNow() []Panel {
	now := func(title, description, unit, expr string, digits int) Panel {
		return Panel{Kind: Stat, W: 4, Title: title, Description: thisModel + description, Unit: unit, Decimals: new(digits), Sparkline: true, Queries: []Query{{Expr: expr, Legend: title}}, NoValue: "not measured"}
	}
	return []Panel{
		now("Running requests", "Requests that the engines compute now.", "none", loadOfAll("gpustack:num_requests_running"), 0),
		now("Waiting requests", "Requests in the engines' queues. More than a handful for long: all slots or the KV cache are taken; add an instance.", "none", waitingOfAll(), 0),
		now("Finished", "Requests that ended per second. 0 while requests run: look at Stalled.", "reqps", finishedOfAll(), 1),
		now("Prompt tokens", "Prompt tokens that were processed or found in the cache per second. The row Tokens shows them separately.", tokensPerSecond, flowOfAll("gpustack:prompt_tokens_total"), 1),
		now("Generated tokens", "Tokens generated per second: what the model delivers. If it falls while requests wait, look at the GPUs.", tokensPerSecond, flowOfAll("gpustack:generation_tokens_total"), 1),
		now("Fullest KV cache", "The fullest of their KV caches. From 95 % on requests wait or are preempted: shorter contexts, more memory for the cache, or another instance.", "percentunit", "max("+ofInstances("gpustack:kv_cache_usage_ratio")+")", 0),
	}
}

// finished is the rate of requests that ended for each instance: those with a latency or, where the engine has no such histogram, those
// that it counts as successful.
func finished() string {
	return flow("gpustack:e2e_request_latency_seconds_count") + " or " + flow("gpustack:request_success_total")
}

// finishedOfAll is the same over all chosen instances.
func finishedOfAll() string {
	of := func(family string) string {
		return "sum by (" + byInstance + ") (rate(" + counted(family) + "[$__rate_interval]))"
	}
	return "sum(" + of("gpustack:e2e_request_latency_seconds_count") + " or " + of("gpustack:request_success_total") + ")"
}

// eachInstance is a panel with one line for each instance, at most [mostLines].
func eachInstance(title, description, unit, absent, expr string) Panel {
	return Panel{
		Kind: TimeSeries, W: 8, Title: title, Description: description, Unit: unit, Min: new(0.0), NoValue: absent,
		Queries: []Query{{Expr: expr, Legend: instanceLegend}}, Overrides: []Override{thin()},
	}
}

// withTotal stacks the instances of a panel, which must count something, and draws the model's total above.
func (p Panel) withTotal(expr string) Panel {
	p.Stacked = true
	p.Queries = append([]Query{{Expr: expr, Legend: "total"}}, p.Queries...)
	p.Overrides = []Override{totalLine()}
	return p
}

// withAll draws what is true of all instances together before the line of each.
func (p Panel) withAll(expr string) Panel {
	p.Queries = append([]Query{{Expr: expr, Legend: "all"}}, p.Queries...)
	p.Overrides = append(p.Overrides, aggregateLine("all"))
	return p
}

func modelRequests() []Panel {
	gauge := func(family string) string {
		shown := load(family)
		if family == "gpustack:num_requests_waiting" {
			shown = waiting()
		}
		return top(mostLines, byInstance, shown, "sum by ("+byInstance+") (max_over_time("+ofInstances(family)+"[$__range] @ end()))")
	}
	reasons := `label_replace(` + flowBy("finished_reason", "gpustack:request_success_total") + `, "finished_reason", "unsaid", "finished_reason", "")` +
		` or label_replace(` + flowOfAll("gpustack:request_aborted_total") + `, "finished_reason", "abort", "", "")` +
		` or label_replace(` + flowOfAll("gpustack:request_failed_total") + `, "finished_reason", "error", "", "")`
	preempted := flow("gpustack:request_preemptions_total")
	return []Panel{
		eachInstance("Running", "Requests that each instance computes. If they differ much, the load is badly distributed.", "none", "not measured", gauge("gpustack:num_requests_running")).withTotal(loadOfAll("gpustack:num_requests_running")),
		eachInstance("Waiting", "Requests in each instance's queue, those that wait for memory of a decode instance included. One grows while others are empty: the load is badly distributed. All grow: too few instances.", "none", "not measured", gauge("gpustack:num_requests_waiting")).withTotal(waitingOfAll()),
		eachInstance("Swapped out", "Requests whose KV cache was moved to CPU memory. Above 0: too many concurrent long requests for the GPU's memory.", "none", "this engine never swaps: vLLM from 0.9 on and SGLang preempt instead", gauge("gpustack:num_requests_swapped")),
		eachInstance("Finished per second", "Requests that ended per second, with any result where the engine measures their latency. Prometheus sees those that end between two scrapes as one step: engines with few long requests look uneven.", "reqps", "no request ended yet", topRate(mostLines, byInstance, "("+finished()+")")).withTotal(finishedOfAll()),
		{
			Kind: TimeSeries, W: 8, Title: "Finished requests by reason", Unit: "reqps", Min: new(0.0), Stacked: true, NoValue: "no request ended yet",
			Description: thisModel + "Why requests ended. length: max_tokens cut the answer off; many of them: raise it. abort: the client disconnected, often because it waited too long. error: see the engine's log. Engines that report no reason are “unsaid”.",
			Queries:     []Query{{Expr: reasons, Legend: "{{finished_reason}}"}},
			Overrides:   []Override{painted("stop", "green"), painted("length", "yellow"), painted("abort", "orange"), painted("error", "red"), painted("repetition", "purple"), painted("unsaid", "blue")},
		},
		eachInstance("Preempted per second", "Requests that an instance stopped to free KV cache and computes again later: work done twice. If it is frequent: limit concurrent requests, or give the cache more memory.", "reqps", "this engine does not count preemptions", topRate(mostLines, byInstance, preempted)).withTotal(flowOfAll("gpustack:request_preemptions_total")),
	}
}

func modelTokens() []Panel {
	rate := func(family string) string { return topRate(mostLines, byInstance, flow(family)) }
	all := flow("gpustack:prompt_tokens_total") + " + " + flow("gpustack:generation_tokens_total")
	const ragged = " Engines that count at a request's end (SGLang, MindIE) look ragged."
	return []Panel{
		eachInstance("Generated tok/s", "Tokens generated per second by instance. Instances on the same GPU type should be alike; if one is slower, check its GPUs and its waiting requests."+ragged, tokensPerSecond, "not measured", rate("gpustack:generation_tokens_total")).withTotal(flowOfAll("gpustack:generation_tokens_total")),
		eachInstance("Prompt tok/s", "Prompt tokens per second by instance, computed or cached. High with few generated tokens: long prompts; a prefix cache helps."+ragged, tokensPerSecond, "not measured", rate("gpustack:prompt_tokens_total")).withTotal(flowOfAll("gpustack:prompt_tokens_total")),
		eachInstance("Prompt tok/s from the cache", "Prompt tokens per second that were found in the cache and not computed, by instance. Near 0 with similar prompts: the prefix cache is off or too small, or the requests of one conversation go to different instances.", tokensPerSecond, "this engine does not count cached tokens: see the hit rate", rate("gpustack:prompt_tokens_cached_total")).withTotal(flowOfAll("gpustack:prompt_tokens_cached_total")),
		eachInstance("All tok/s", "Prompt and generated tokens per second by instance: the number that benchmarks call throughput.", tokensPerSecond, "not measured", topRate(mostLines, byInstance, "("+all+")")).withTotal(flowOfAll("gpustack:prompt_tokens_total") + " + " + flowOfAll("gpustack:generation_tokens_total")),
		eachInstance("Generated tokens a request", "Mean of generated tokens of the requests that ended. A jump: clients ask for something else, or max_tokens changed.", "short", "not measured",
			topRate(mostLines, byInstance, "("+flow("gpustack:request_generation_tokens_sum")+" / "+flow("gpustack:request_generation_tokens_count")+")")).withAll(meanOfAll("gpustack:request_generation_tokens")),
		eachInstance("Prompt tokens a request", "Mean of prompt tokens of the requests that ended. Grows with the length of talks; what it costs is in Time to first token and in the KV cache.", "short", "not measured",
			topRate(mostLines, byInstance, "("+flow("gpustack:request_prompt_tokens_sum")+" / "+flow("gpustack:request_prompt_tokens_count")+")")).withAll(meanOfAll("gpustack:request_prompt_tokens")),
	}
}
