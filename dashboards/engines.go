package dashboards

import (
	"fmt"
	"slices"
	"strings"
)

// What the panels about engines have in common.
const (
	engineSelector = `cluster_name="$cluster_name", model_name="$model_name", runtime=~"$runtime"`
	engineBy       = "model_name, runtime, worker_name, model_instance_name" // tells instances apart
	engineLegend   = "{{model_name}} {{runtime}} {{model_instance_name}}"
	versionBy      = "model_name, runtime, runtime_version"
	mostEngines    = 16 // lines in a panel about instances
)

func engineComparison() Dashboard {
	return Dashboard{
		UID: "stackscope-engines", Title: "Engine comparison",
		Description: "Runtimes and their versions side by side, one model at a time: throughput, latency, caches, the metrics that each exports, and scrape problems.",
		Variables: []Variable{
			datasource(), cluster(),
			{Name: varModel, Label: "Model", Query: `label_values(gpustack:runtime_scrape_success{cluster_name="$cluster_name"}, model_name)`},
			{Name: "runtime", Label: "Runtime", Multi: true, Query: `label_values(gpustack:runtime_scrape_success{cluster_name="$cluster_name", model_name="$model_name"}, runtime)`},
			{Name: "quantile", Label: "Quantile", Custom: []string{"0.99", "0.95", "0.9", "0.5"}},
		},
		Rows: []Row{
			{Panels: []Panel{engineAdvice(), engineThroughputTable(), engineLatencyTable(), engineInstances()}},
			{Title: "Latency of each instance", Panels: engineLatency()},
			{Title: "Throughput of each instance", Panels: engineThroughput()},
			{Title: "Caches and speculation", Panels: engineCaches()},
			{Title: "Exported metrics and scrape problems", Panels: engineScrapes()},
		},
	}
}

// engine selects a family of the chosen engines. More matchers may follow.
func engine(family string, more ...string) string {
	return "gpustack:" + family + "{" + strings.Join(slices.Concat([]string{engineSelector}, more, streamed(family)), ", ") + "}"
}

// countedEngine selects a metric of the chosen engines, for expressions that add up instances: those whose role counts it.
func countedEngine(family string, more ...string) string {
	return engine(family, append([]string{counting(family)}, more...)...)
}

// ofEngine adds up what an instance exports more than once: for its data-parallel ranks, its GPUs, its finished reasons.
func ofEngine(series string) string { return "sum by (" + engineBy + ") (" + series + ")" }

// perSecond is the mean rate of a counter over the whole time range.
func perSecond(family string) string { return "rate(" + engine(family) + "[$__range])" }

// versioned gives samples of instances the label runtime_version. An instance that several servers describe differently for a
// moment has one of the versions.
func versioned(expr string) string {
	const instance = "model_name, worker_name, model_instance_name"
	return fmt.Sprintf(`(%s) * on (%s) group_left (runtime_version) topk by (%s) (1, max by (%s, runtime_version) (gpustack:model_instance_info{cluster_name="$cluster_name", model_name="$model_name"}))`,
		expr, instance, instance, instance)
}

// ofVersion adds up the instances of a model that run one version of a runtime.
func ofVersion(series string) string {
	return "sum by (" + versionBy + ") (" + versioned(ofEngine(series)) + ")"
}

// gpusOf counts the GPUs that an instance has memory on. A GPU that it shares counts whole.
func gpusOf() string {
	return "count by (" + engineBy + ") (group by (" + engineBy + ", " + "gpu_index, gpu_chip_index) (" + engine("model_instance_gpu_memory_used_bytes") + "))"
}

// joined restricts instances to those that the other expression knows, so that a ratio of sums is about the same instances.
func joined(expr, with string) string {
	return ofEngine(expr) + " and on (" + engineBy + ") " + with
}

// lineToInstance leads from a line to its instance.
func lineToInstance() []Link {
	return []Link{*To("gpustack-model", "Instance ${__field.labels.model_instance_name}", varCluster, "${cluster_name}", varModel, "${__field.labels.model_name}", varInstance, "${__field.labels.model_instance_name}")}
}

func engineAdvice() Panel {
	return Panel{Kind: Text, Title: "How to compare", H: 5, Markdown: strings.Join([]string{
		"**Compare rows of one model only**, on the same type and number of GPUs, under a like load: prompt and output lengths, requests per second and cache hits are beside the results for that reason. No number here mixes models.",
		"**Quantiles** are estimated from each engine's own buckets: a difference smaller than a bucket is none, and where *>* is not 0 the quantile is capped. Not every engine means the same by a name: some count cached prompt tokens as processed, some time the first token from arrival, some from the first scheduling. The last row shows which engine exports what; a dash is *not exported*, never 0.",
	}, "\n\n")}
}

func versionColumns(more ...Column) []Column {
	return append([]Column{
		{Title: "Model", Label: "model_name", Link: toModel()},
		{Title: "Runtime", Label: "runtime", Width: 74},
		{Title: "Version", Label: "runtime_version", Width: 76},
	}, more...)
}

func engineThroughputTable() Panel {
	energy := ofEngine(perSecond("model_instance_gpu_energy_joules_total"))
	sumVersion := func(expr string) string { return "sum by (" + versionBy + ") (" + versioned(expr) + ")" }
	counted := func(family string) string { return "rate(" + countedEngine(family) + "[$__range])" }
	output := counted("generation_tokens_total")
	requests := ofVersion(counted("request_success_total"))
	return Panel{
		Kind: Table, Title: "Versions side by side: throughput (mean of the range)", H: 7, SortBy: "Model", NoValue: "-",
		Description: "One row per model, runtime and version, over all its instances. Out/s per GPU is the number to compare purchases by; a shared GPU counts as a whole one. Tok/J: output tokens per joule that was allocated to the instances. In and Out: mean tokens of a request; rows whose lengths differ much cannot be compared. Load: mean requests being computed, by instance. Preempted: per 1000 requests; above 0 the KV cache is too small for the load. Where prefill and decode are separate, prompts count on the prefill side and answers on the decode side. Instances that the server does not know are left out.",
		Queries: []Query{
			{Expr: "count by (" + versionBy + ") (" + versioned("group by ("+engineBy+") ("+engine("runtime_scrape_success")+")") + ")"},
			{Expr: sumVersion(gpusOf())},
			{Expr: requests},
			{Expr: ofVersion(counted("request_prompt_tokens_sum")) + " / " + ofVersion(counted("request_prompt_tokens_count"))},
			{Expr: ofVersion(counted("request_generation_tokens_sum")) + " / " + ofVersion(counted("request_generation_tokens_count"))},
			{Expr: ofVersion("avg_over_time("+countedEngine("num_requests_running")+"[$__range])") + " / count by (" + versionBy + ") (" + versioned(ofEngine(countedEngine("num_requests_running"))) + ")"},
			{Expr: ofVersion(counted("prompt_tokens_total"))},
			{Expr: ofVersion(output)},
			{Expr: ofVersion(output) + " / count by (" + versionBy + ") (" + versioned(ofEngine(output)) + ")"},
			{Expr: sumVersion(joined(output, gpusOf())) + " / " + sumVersion(gpusOf())},
			{Expr: sumVersion(joined(output, energy)) + " / " + sumVersion(energy)},
			{Expr: ofVersion(counted("prefix_cache_hits_total")) + " / " + ofVersion(counted("prefix_cache_queries_total"))},
			{Expr: "1000 * " + ofVersion(counted("request_preemptions_total")) + " / " + requests},
		},
		Columns: versionColumns(
			Column{Title: "Inst.", Query: 1, Width: 56},
			Column{Title: "GPUs", Query: 2, Width: 60},
			Column{Title: "Req/s", Query: 3, Decimals: new(1), Width: 64},
			Column{Title: "In", Query: 4, Decimals: new(0), Width: 64},
			Column{Title: "Out", Query: 5, Decimals: new(0), Width: 60},
			Column{Title: "Load", Query: 6, Decimals: new(0), Width: 60},
			Column{Title: "In/s", Query: 7, Decimals: new(0), Width: 72},
			Column{Title: "Out/s", Query: 8, Decimals: new(0), Width: 72},
			Column{Title: "per inst.", Query: 9, Decimals: new(0), Width: 80},
			Column{Title: "per GPU", Query: 10, Decimals: new(0), Width: 80},
			Column{Title: "Tok/J", Query: 11, Decimals: new(2), Width: 70},
			Column{Title: "Cache hits", Query: 12, Unit: "percentunit", Decimals: new(0), Width: 94},
			Column{Title: "Preempted", Query: 13, Decimals: new(1), Width: 94, Thresholds: limits(1, 50)},
		),
	}
}

func engineLatencyTable() Panel {
	var queries []Query
	var columns []Column
	for _, f := range []struct{ title, family string }{
		{"TTFT", "time_to_first_token_seconds"}, {"ITL", "inter_token_latency_seconds"}, {"E2E", "e2e_request_latency_seconds"}, {"Wait", "request_queue_time_seconds"},
	} {
		buckets := func(matchers ...string) string {
			return "sum by (le, " + versionBy + ") (" + versioned("sum by (le, "+engineBy+") (rate("+countedEngine(f.family+"_bucket", matchers...)+"[$__range]))") + ")"
		}
		over := fmt.Sprintf("clamp_min(1 - max by (%[1]s) (%[2]s) / (%[3]s > 0), 0)", versionBy, buckets(`le!="+Inf"`), ofVersion("rate("+countedEngine(f.family+"_count")+"[$__range])"))
		n := len(queries)
		queries = append(queries,
			Query{Expr: "histogram_quantile(0.5, " + buckets() + ")"},
			Query{Expr: "histogram_quantile(0.95, " + buckets() + ")"},
			Query{Expr: "histogram_quantile(0.99, " + buckets() + ")"},
			Query{Expr: over},
		)
		columns = append(columns,
			Column{Title: f.title + " p50", Query: n + 1, Unit: "s", Width: 84},
			Column{Title: f.title + " p95", Query: n + 2, Unit: "s", Width: 84},
			Column{Title: f.title + " p99", Query: n + 3, Unit: "s", Width: 84},
			Column{Title: f.title + " >", Query: n + 4, Unit: "percentunit", Decimals: new(0), Width: 68, Thresholds: limits(0.01, 0.1)},
		)
	}
	return Panel{
		Kind: Table, Title: "Versions side by side: latency (whole range)", H: 7, SortBy: "Model", NoValue: "-",
		Description: "TTFT: time to the first token. ITL: time between two tokens. E2E: to the last token. Wait: before the first scheduling. Half of the requests were faster than p50, one of twenty slower than p95, one of a hundred slower than p99. >: the share above the highest finite bucket; from 1 % on the p99 is capped there and too low. Buckets are added within one version only, as versions change theirs. Where prefill and decode are separate, TTFT and E2E are the decode side's.",
		Queries:     queries, Columns: versionColumns(columns...),
	}
}

func engineInstances() Panel {
	output := perSecond("generation_tokens_total")
	energy := ofEngine(perSecond("model_instance_gpu_energy_joules_total"))
	return Panel{
		Kind: Table, Title: "Instances", H: 8, SortBy: "Out/s per GPU", NoValue: "-",
		Description: "Each instance with its version, its GPUs and what it did in the range. Instances of one model, version and GPU type should be alike: one that is slower per GPU at the same load has a faulty GPU, a bad link or a lower cache hit rate. The link shows the instance.",
		Queries: []Query{
			{Expr: `max by (model_name, worker_name, model_instance_name, runtime_version) (gpustack:model_instance_info{cluster_name="$cluster_name", model_name="$model_name", runtime=~"$runtime"})`},
			{Expr: "count by (" + engineBy + ", gpu_name) (group by (" + engineBy + ", gpu_name, gpu_index, gpu_chip_index) (" + engine("model_instance_gpu_memory_used_bytes") + "))"},
			{Expr: ofEngine(engine("num_requests_running"))},
			{Expr: ofEngine(engine("num_requests_waiting"))},
			{Expr: ofEngine(output)},
			{Expr: ofEngine(output) + " / " + gpusOf()},
			{Expr: ofEngine(output) + " / " + energy},
			{Expr: "max by (" + engineBy + ", role) (" + engine("runtime_scrape_success") + ")"},
		},
		Columns: []Column{
			{Title: "Instance", Label: "model_instance_name", Link: toInstance()},
			{Title: "Model", Label: "model_name", Link: toModel()},
			{Title: "Runtime", Label: "runtime", Width: 74},
			{Title: "Version", Label: "runtime_version", Width: 76},
			{Title: "Role", Label: "role", Width: 66},
			{Title: "Info", Query: 1, Hidden: true},
			{Title: "Read", Query: 8, Hidden: true},
			{Title: "Worker", Label: "worker_name", Link: toWorker()},
			{Title: "GPU", Label: "gpu_name"},
			{Title: "GPUs", Query: 2, Width: 60},
			{Title: "Running", Query: 3, Width: 76},
			{Title: "Waiting", Query: 4, Width: 74, Thresholds: limits(1, 50)},
			{Title: "Out/s", Query: 5, Decimals: new(0), Width: 70},
			{Title: "Out/s per GPU", Query: 6, Decimals: new(0), Width: 118},
			{Title: "Tok/J", Query: 7, Decimals: new(2), Width: 66},
		},
	}
}
