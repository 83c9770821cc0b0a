package dashboards

import "fmt"

// tableInterval makes $__rate_interval long enough for a table of how things are now.
const tableInterval = "1m"

func modelTable() Panel {
	const ttft, itl = "time_to_first_token_seconds", "inter_token_latency_seconds"
	rate := func(family string) string { return "rate(" + countedInFleet(family) + "[$__rate_interval])" }
	byModel := func(op, expr string) string { return per(op, varModel, expr) }
	// Each side of a request has a time to its first token; added up they would be no request's.
	quantile := func(q, family string) string {
		buckets := per("sum", "model_name, role, le", "rate("+inFleet(family+"_bucket", `role!="router"`)+"[$__rate_interval])")
		if family == itl {
			buckets = per("sum", "model_name, le", rate(family+"_bucket"))
		}
		return byModel("max", "histogram_quantile("+q+", "+buckets+")")
	}
	// capped is the share of observations above the highest finite bucket.
	capped := func(family string) string {
		return fmt.Sprintf("clamp_min(1 - %s / %s, 0)",
			byModel("sum", "max without (le) (rate("+countedInFleet(family+"_bucket", `le!="+Inf"`)+"[$__rate_interval]))"),
			"("+byModel("sum", rate(family+"_count"))+" > 0)")
	}
	return Panel{
		Kind: Table, H: 8, Title: "Load of each model", SortBy: "Running", Interval: tableInterval,
		Description: "One row per model, over the last minute. Output is generated tokens. TTFT is the time to the first token, ITL that between two tokens. Capped: share of either above the engine's top bucket; above 1 % that p99 is too low, so trust the queue instead. Where prefill and decode are separate, TTFT is the slower side's: a request passes both. KV is the fullest instance's cache: from 95 % requests are preempted. Prefix: share of looked-up tokens that were cached. Click a model to see it.",
		Queries: []Query{
			{Expr: byModel("max", inFleet("model_running_instances"))},
			{Expr: byModel("max", inFleet("model_desired_instances"))},
			{Expr: byModel("sum", countedInFleet("num_requests_running"))},
			{Expr: byModel("sum", waitingInFleet())},
			{Expr: byModel("sum", rate("request_success_total"))},
			{Expr: byModel("sum", rate("generation_tokens_total"))},
			{Expr: quantile("0.95", ttft)},
			{Expr: quantile("0.99", ttft)},
			{Expr: quantile("0.95", itl)},
			{Expr: quantile("0.99", itl)},
			{Expr: byModel("max", fmt.Sprintf(`label_replace(%s, "of", "ttft", "", "") or %s`, capped(ttft), capped(itl)))},
			{Expr: byModel("max", inFleet("kv_cache_usage_ratio"))},
			{Expr: fmt.Sprintf("%s / (%s > 0) or %s",
				byModel("sum", rate("prefix_cache_hits_total")), byModel("sum", rate("prefix_cache_queries_total")), byModel("avg", countedInFleet("prefix_cache_hit_rate")))},
			{Expr: byModel("count", "count by (cluster_name, model_name, "+perGPU+") ("+inFleet("model_instance_gpu_memory_used_bytes", `model_name!=""`)+")")}, // gateways have no model
		},
		Columns: []Column{
			{Title: "Model", Label: varModel, Width: 190, Link: To("gpustack-model", "Show this model", varCluster, "${__data.fields.cluster_name}", varModel, "${__data.fields.model_name}")},
			{Title: "Cluster", Label: varCluster, Width: 86},
			{Title: "Instances", Query: 1},
			{Title: "of", Query: 2, Width: 44},
			{Title: "GPUs", Query: 14, Width: 62},
			{Title: "Running", Query: 3},
			{Title: "Waiting", Query: 4},
			{Title: "Requests", Query: 5, Unit: "reqps", Decimals: new(1)},
			{Title: "Output", Query: 6, Unit: "count:tok/s", Width: 100},
			{Title: "TTFT p95", Query: 7, Unit: "s"},
			{Title: "TTFT p99", Query: 8, Unit: "s"},
			{Title: "ITL p95", Query: 9, Unit: "s"},
			{Title: "ITL p99", Query: 10, Unit: "s"},
			{Title: "Capped", Query: 11, Unit: "percentunit", Decimals: new(0), Width: 72, Thresholds: limits(0.01, 0.1)},
			{Title: "KV", Query: 12, Unit: "percentunit", Decimals: new(0), Width: 62, Thresholds: limits(0.8, 0.95)},
			{Title: "Prefix", Query: 13, Unit: "percentunit", Decimals: new(0)},
		},
	}
}

func workerFleetTable() Panel {
	byWorker := func(op, expr string) string { return per(op, varWorker, expr) }
	return Panel{
		Kind: Table, H: 8, Title: "Load of each worker", SortBy: "GPU busy",
		Description: "One row per worker. Instances are those of models that it reads; gateways are not among them. GPU busy is the mean utilization of its GPUs, VRAM the share of their memory in use, Hottest the hottest GPU: from 80 °C on GPUs begin to throttle. Memory above 95 %: the kernel begins to kill processes. Click a worker to see it.",
		Queries: []Query{
			{Expr: per("max", "worker_name, state", inFleet("worker_status"))},
			{Expr: byWorker("sum", per("max", "worker_name, vendor", inFleet("gpu_present")))},
			{Expr: byWorker("sum", per("max", "worker_name, vendor", inFleet("gpu_expected")))},
			{Expr: byWorker("avg", inFleet("worker_node_gpu_utilization_rate"))},
			{Expr: "100 * " + byWorker("sum", inFleet("worker_node_gram_used_bytes")) + " / " + byWorker("sum", inFleet("worker_node_gram_total_bytes"))},
			{Expr: byWorker("max", inFleet("worker_node_gpu_temperature_celsius"))},
			{Expr: byWorker("sum", inFleet("worker_node_gpu_power_used_watts"))},
			{Expr: byWorker("max", inFleet("worker_node_cpu_utilization_rate"))},
			{Expr: byWorker("max", inFleet("worker_node_memory_utilization_rate"))},
			{Expr: byWorker("max", inFleet("worker_node_filesystem_utilization_rate"))},
			{Expr: byWorker("count", per("count", "worker_name, model_instance_name", inFleet("runtime_scrape_success", `model_name!=""`)))},
		},
		Columns: []Column{
			{Title: "Worker", Label: varWorker, Link: To("gpustack-worker", "Show this worker", varCluster, "${__data.fields.cluster_name}", varWorker, "${__data.fields.worker_name}")},
			{Title: "Cluster", Label: varCluster, Width: 86},
			{Title: "State", Label: "state", Width: 100},
			{Title: "Instances", Query: 11, Width: 86},
			{Title: "GPUs", Query: 2, Width: 62},
			{Title: "of", Query: 3, Width: 44},
			{Title: "GPU busy", Query: 4, Unit: "percent", Decimals: new(0), Bar: true, Max: 100},
			{Title: "VRAM", Query: 5, Unit: "percent", Decimals: new(0), Bar: true, Max: 100},
			{Title: "Hottest", Query: 6, Unit: "celsius", Decimals: new(0), Width: 76, Thresholds: limits(80, 90)},
			{Title: "Power", Query: 7, Unit: "watt", Width: 86},
			{Title: "CPU", Query: 8, Unit: "percent", Decimals: new(0), Width: 62, Thresholds: limits(80, 95)},
			{Title: "Memory", Query: 9, Unit: "percent", Decimals: new(0), Width: 76, Thresholds: limits(85, 95)},
			{Title: "Fullest disk", Query: 10, Unit: "percent", Decimals: new(0), Width: 96, Thresholds: limits(80, 90)},
		},
		Overrides: []Override{states("ready", "green", "maintenance provisioning initializing pending", "blue", "not_ready deleting", "orange", "unreachable error", "red")},
	}
}
