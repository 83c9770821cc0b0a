package dashboards

import (
	"fmt"
	"slices"
	"strings"
)

// slowest is how many instances a latency panel shows, with four lines each.
const slowest = 5

// bySide keeps apart what must not be added up: buckets of different engines, and the two sides of a request.
const bySide = "runtime, role"

// ofAll are the quantiles and the mean of all chosen instances together, one line for each runtime and role.
func ofAll(family string) (queries []Query) {
	for _, percent := range []int{50, 95, 99} {
		queries = append(queries, Query{
			Expr:   fmt.Sprintf("histogram_quantile(0.%d, sum by (le, %s) (rate(%s[$__rate_interval])))", percent, bySide, ofInstances(family+"_bucket")),
			Legend: fmt.Sprintf("all p%d %s", percent, legendOf(strings.Split(bySide, ", "))),
		})
	}
	sum := func(suffix string) string {
		return fmt.Sprintf("sum by (%s) (rate(%s[$__rate_interval]))", bySide, ofInstances(family+suffix))
	}
	return append(queries, Query{Expr: sum("_sum") + " / " + sum("_count"), Legend: "all mean " + legendOf(strings.Split(bySide, ", "))})
}

// latency is quantiles() of all instances and of each, with the mean, which buckets cannot distort, and with the slowest instances alone.
func latency(title, description, family, absent string) []Panel {
	panels := quantiles(title, fmt.Sprintf("%s The lines all are the whole model, by runtime and role. The mean is exact, quantiles are as good as the engine's buckets. Of more than %d instances the %d with the highest mean in the time range.", description, slowest, slowest), family, instanceSelector, byInstance)
	mean := fmt.Sprintf("%s / %s", flow(family+"_sum"), flow(family+"_count"))
	panels[0].Queries = append(panels[0].Queries, Query{Expr: mean, Legend: "mean " + instanceLegend})
	for i := range panels {
		panels[i].NoValue = absent
		panels[i].Queries = slices.Clone(panels[i].Queries)
		for k, q := range panels[i].Queries {
			panels[i].Queries[k].Expr = top(slowest, byInstance, "("+q.Expr+")", overRange(mean))
		}
	}
	panels[0].Queries = append(ofAll(family), panels[0].Queries...)
	panels[0].Overrides = []Override{
		thin(),
		{Matching: "(all )?mean.*", Properties: map[string]any{"custom.lineStyle": object{"fill": "dash", "dash": []int{8, 6}}}},
		aggregateLine("all.*"),
	}
	panels[1].NoValue = "-"
	return panels
}

// spread is the heatmap of a histogram over the instances whose role counts it. Instances whose bounds differ, as between versions of an engine, cannot be
// added bucket by bucket: only bounds that all have are kept, which is coarser and true. Grafana 10.0 reports an error for a heatmap
// without any series, so there is always one.
func spread(title, description, family, unit, absent string) Panel {
	rate := fmt.Sprintf("rate(%s[$__rate_interval])", ofInstances(family+"_bucket", counting(family)))
	return Panel{
		Kind: Heatmap, W: 12, H: 9, Title: title, Unit: unit,
		Description: description + " Colour is requests per second. Empty: " + absent + ". Where instances have different buckets, only bounds that all of them have are shown.",
		Queries:     []Query{{Expr: fmt.Sprintf("sum by (le) (%[1]s) and on (le) count by (le) (%[1]s) == scalar(max(count by (le) (%[1]s))) or %[2]s", rate, `label_replace(vector(0), "le", "+Inf", "", "")`), Legend: "{{le}}"}},
	}
}

func modelLatency() []Panel {
	ttft := latency("Time to first token", "From a request's arrival to its first token, queue included, of streamed answers where SGLang tells them apart. Grows with waiting requests and with long prompts: see Waiting, and the row with the latency by phase.", "gpustack:time_to_first_token_seconds", "this engine does not measure it, or no request came")
	itl := latency("Time between tokens", "Between two tokens of one request: how fluent an answer is. It grows with concurrent requests and with prompts that are computed in between.", "gpustack:inter_token_latency_seconds", "this engine does not measure it: see Time per output token")
	tpot := latency("Time per output token", "Mean of a request's time per token after the first, one value a request. Hides single pauses, which the panel on the left shows.", "gpustack:time_per_output_token_seconds", "this engine does not measure it: vLLM from 0.11 on does")
	e2e := latency("End-to-end latency", "From a request's arrival to its last token. Depends on the length of answers most of all: read it beside Generated tokens a request.", "gpustack:e2e_request_latency_seconds", "this engine does not measure it, or no request ended")
	return slices.Concat(ttft, itl, e2e, tpot, []Panel{
		latencyTable(),
		spread("Time to first token, all requests", "How long requests waited for their first token; on SGLang from 0.5.17 on only streamed answers. A second band above is requests that queued, or prompts that the cache did not have.", "gpustack:time_to_first_token_seconds", "s", "this engine does not measure it, or no request came"),
		spread("End-to-end latency, all requests", "How long requests took, from arrival to last token. Two bands are two kinds of requests; a band that rises is a queue.", "gpustack:e2e_request_latency_seconds", "s", "this engine does not measure it, or no request ended"),
	})
}

// latencyTable has the quantiles over the whole time range, beside the share of observations that they do not know.
func latencyTable() Panel {
	p := Panel{
		Kind: Table, W: 24, H: 6, Title: "Latency quantiles over the time range", SortBy: "TTFT p95", NoValue: "no request ended in the time range",
		Description: "Quantiles over the whole time range by instance: time to first token (TTFT), time between tokens (ITL) and end-to-end latency (E2E). Above is the share of observations above the engine's top bucket: if it is over 5 %, p95 and p99 are capped at that bucket and too low.",
		Columns:     []Column{{Title: "Instance", Label: "model_instance_name"}},
	}
	over := "[$__range]"
	for _, f := range []struct {
		title, family string
		percents      []int
	}{{"TTFT", "time_to_first_token", []int{50, 95, 99}}, {"ITL", "inter_token_latency", []int{50, 95}}, {"E2E", "e2e_request_latency", []int{50, 95, 99}}} {
		for _, percent := range f.percents {
			p.Queries = append(p.Queries, Query{Expr: fmt.Sprintf("histogram_quantile(0.%d, sum by (le, %s) (rate(%s%s)))", percent, byInstance, ofInstances("gpustack:"+f.family+"_seconds_bucket"), over)})
			p.Columns = append(p.Columns, Column{Title: fmt.Sprintf("%s p%d", f.title, percent), Query: len(p.Queries), Unit: "s", Decimals: new(2), Width: 88})
		}
	}
	for _, f := range []string{"time_to_first_token", "inter_token_latency", "e2e_request_latency"} {
		family := "gpustack:" + f + "_seconds"
		p.Queries = append(p.Queries, Query{Expr: strings.NewReplacer("BY", byInstance, "BUCKETS", ofInstances(family+"_bucket", `le!="+Inf"`), "COUNT", ofInstances(family+"_count"), "OVER", over).Replace(
			"100 * clamp_min(1 - sum by (BY) (max without (le) (rate(BUCKETSOVER))) / (sum by (BY) (rate(COUNTOVER)) > 0), 0)")})
	}
	n := len(p.Queries)
	for i, title := range []string{"TTFT above", "ITL above", "E2E above"} {
		p.Columns = append(p.Columns, Column{Title: title, Query: n - 2 + i, Unit: "percent", Decimals: new(1), Thresholds: limits(1, 5), Width: 95})
	}
	return p
}

func modelPhases() []Panel {
	const absent = "this engine does not measure its phases: vLLM does, SGLang only the queue, MindIE none"
	return slices.Concat(
		latency("Queue time", "From arrival to the first scheduling. The first to grow under load: add instances, or raise the engine's limit of concurrent requests.", "gpustack:request_queue_time_seconds", absent),
		latency("Prefill time", "From the first scheduling to the first token: computing the prompt. Long prompts, or prompts that the cache no longer has.", "gpustack:request_prefill_time_seconds", absent),
		latency("Decode time", "From the first to the last token. Tokens generated, times the time between them.", "gpustack:request_decode_time_seconds", absent),
		latency("Inference time", "From the first scheduling to the last token: prefill and decode together, without the queue.", "gpustack:request_inference_time_seconds", absent),
	)
}

func modelLengths() []Panel {
	const absent = "this engine does not report it: vLLM does"
	return []Panel{
		spread("Prompt length", "Prompt tokens of requests. Long ones take the KV cache and the time to the first token of everybody.", "gpustack:request_prompt_tokens", "short", "this engine does not report it, or no request ended"),
		spread("Generated length", "Tokens generated for requests. A sharp upper edge is max_tokens cutting answers off.", "gpustack:request_generation_tokens", "short", "this engine does not report it, or no request ended"),
		spread("max_tokens", "The max_tokens parameter of requests. Far above what is generated is harmless in engines that allocate as they go. Below: answers are cut off.", "gpustack:request_params_max_tokens", "short", absent),
		spread("n: answers per request", "The n parameter of requests. Above 1 each costs as much as so many requests.", "gpustack:request_params_n", "short", absent),
	}
}

func modelCache() []Panel {
	usage := eachInstance("KV cache in use", "Share of the KV cache in use; of several data-parallel ranks the fullest. Orange from 90 %, red from 98 %: requests wait or are preempted. Remedies: fewer concurrent requests, shorter contexts, more memory for the cache, or another instance.", "percentunit", "this engine does not report it",
		topGauge(mostLines, byInstance, "max", "gpustack:kv_cache_usage_ratio", instanceSelector)).withAll("avg(" + counted("gpustack:kv_cache_usage_ratio") + ")")
	usage.Max, usage.Thresholds = new(1.0), limits(0.9, 0.98)
	hits := hitRate("gpustack:prefix_cache_hits_total", "gpustack:prefix_cache_queries_total", "gpustack:prefix_cache_hit_rate")
	rate := eachInstance("Prefix cache hit rate", "Share of looked-up prompt tokens that were in the prefix cache: from the engine's counters, or its own figure where it counts nothing. Low with similar prompts: send the requests of one conversation to one instance, or give the cache more memory.", "percentunit", "the prefix cache is off, or this engine does not report it",
		top(mostLines, byInstance, "("+hits+")", "("+overRange(hits)+")")).withAll(hitRateOfAll("gpustack:prefix_cache_hits_total", "gpustack:prefix_cache_queries_total", "gpustack:prefix_cache_hit_rate"))
	rate.Max = new(1.0)
	computed := eachInstance("Computed prompt tokens a request", "Mean of a request's prompt tokens that were not in the cache. What prefix caching saves is the distance to Prompt tokens a request.", "short", "this engine does not report it: vLLM from 0.13 on and SGLang do",
		topRate(mostLines, byInstance, "("+flow("gpustack:request_prefill_kv_computed_tokens_sum")+" / "+flow("gpustack:request_prefill_kv_computed_tokens_count")+")")).withAll(meanOfAll("gpustack:request_prefill_kv_computed_tokens"))
	return []Panel{usage, rate, computed}
}

func modelSpeculation() []Panel {
	const off = "speculative decoding is off, or this engine does not report it"
	accepted := hitRate("gpustack:spec_decode_accepted_tokens_total", "gpustack:spec_decode_draft_tokens_total", "gpustack:spec_decode_accept_rate")
	share := eachInstance("Accepted share of drafted tokens", "Share of drafted tokens that the model accepted: from the engine's counters, or its own figure. Below about 40 % drafting costs more than it saves: fewer tokens a draft, or another draft model.", "percentunit", off,
		top(mostLines, byInstance, "("+accepted+")", "("+overRange(accepted)+")")).withAll(hitRateOfAll("gpustack:spec_decode_accepted_tokens_total", "gpustack:spec_decode_draft_tokens_total", "gpustack:spec_decode_accept_rate"))
	share.Max = new(1.0)
	drafted := flow("gpustack:spec_decode_draft_tokens_total")
	kept := flow("gpustack:spec_decode_accepted_tokens_total")
	return []Panel{
		share,
		eachInstance("Drafted tok/s", "Tokens drafted per second. Compare with the accepted ones on the right; the rest is wasted work.", tokensPerSecond, off+"; SGLang gives the share alone", topRate(mostLines, byInstance, drafted)).withTotal(flowOfAll("gpustack:spec_decode_draft_tokens_total")),
		eachInstance("Accepted tok/s", "Drafted tokens accepted per second: generated tokens that cost no step of their own.", tokensPerSecond, off+"; SGLang gives the share alone", topRate(mostLines, byInstance, kept)).withTotal(flowOfAll("gpustack:spec_decode_accepted_tokens_total")),
	}
}
