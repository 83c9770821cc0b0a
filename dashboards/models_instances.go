package dashboards

import (
	"fmt"
	"strings"
)

// instanceStateValues are the states of a model instance with their numbers in a timeline. Where two servers disagree, the first in
// this order is shown: the worse.
func instanceStateValues() []Value {
	return []Value{
		{Value: 9, Text: "error", Color: "red"},
		{Value: 8, Text: "unreachable", Color: "dark-red"},
		{Value: 7, Text: "pending", Color: "orange"},
		{Value: 6, Text: "analyzing", Color: "yellow"},
		{Value: 5, Text: "scheduled", Color: "yellow"},
		{Value: 4, Text: "initializing", Color: "light-blue"},
		{Value: 3, Text: "downloading", Color: "purple"},
		{Value: 2, Text: "starting", Color: "blue"},
		{Value: 1, Text: "running", Color: "green"},
	}
}

func instanceStates() Panel {
	var states []string
	for _, s := range instanceStateValues() {
		states = append(states, fmt.Sprintf(`%v * max by (%s) (%s)`, s.Value, byInstance, ofInstances("gpustack:model_instance_status", `state="`+s.Text+`"`)))
	}
	return Panel{
		Kind: StateTimeline, W: 14, H: 7, Title: "States over time", Values: instanceStateValues(), NoValue: "no server scraped, or it knows no instance of this model",
		Description: "State of each instance as the server knows it. error: its log says why. unreachable: its worker does not answer. pending for long: no worker has free GPUs for it. downloading and starting are the steps of a start.",
		Queries:     []Query{{Expr: strings.Join(states, " or "), Legend: instanceLegend}},
	}
}

func modelFacts() Panel {
	info, of := onModel("gpustack:model_info"), onModel("gpustack:model_instance_info")
	versions := "count by (model_name, runtime, runtime_version) (max by (model_name, model_instance_name, runtime, runtime_version) (" + of + "))" +
		" or max by (model_name, runtime, runtime_version) (" + info + ") unless on (model_name) " + of
	return Panel{
		Kind: Table, W: 10, H: 7, Title: "Model", SortBy: "Version", NoValue: "no server scraped, or it does not know this model",
		Description: "What the server knows about the model, and each instance's engine and version. Two versions at once have different metrics and buckets; mostly a rollout did not finish. Source is where its weights come from; empty if the engine was discovered.",
		Queries: []Query{
			{Expr: "(" + versions + ") * on (model_name) group_left (category, source, source_key) topk by (model_name) (1, max by (model_name, category, source, source_key) (" + info + "))"},
		},
		Columns: []Column{
			{Title: "Engine", Label: "runtime"},
			{Title: "Version", Label: "runtime_version"},
			{Title: "Instances", Query: 1, Width: 85},
			{Title: "Category", Label: "category"},
			{Title: "Source", Label: "source"},
			{Title: "Name there", Label: "source_key"},
		},
	}
}

func instanceTable() Panel {
	on := func(expr string) string {
		return "max by (model_instance_name) (" + expr + ")"
	}
	return Panel{
		Kind: Table, H: 7, Title: "Load and state of each instance", SortBy: "Waiting", NoValue: "no instance of this model is known",
		Description: "One row per instance. Idle is the time since a token or request counter changed; with running requests it is how long no client got a token. TTFT is the mean time to first token over the last minutes. Role is empty for instances that do both prefill and decode. Metrics: whether the engine's metrics page was read; if not, the rest of the row is missing. Click the name to see only that instance.",
		Queries: []Query{
			{Expr: `max by (model_instance_name, worker_name, state) (` + ofInstances("gpustack:model_instance_status") + `)`},
			{Expr: "max by (model_instance_name, role) (" + ofInstances("gpustack:runtime_scrape_success") + ")"},
			{Expr: load("gpustack:num_requests_running")},
			{Expr: waiting()},
			{Expr: finished()},
			{Expr: flow("gpustack:generation_tokens_total")},
			{Expr: flow("gpustack:time_to_first_token_seconds_sum") + " / (" + flow("gpustack:time_to_first_token_seconds_count") + " > 0)"},
			{Expr: "100 * " + highestRank("gpustack:kv_cache_usage_ratio")},
			{Expr: "count by (model_instance_name) (count by (model_instance_name, " + gpuBy + ") (" + ofInstances("gpustack:model_instance_gpu_memory_used_bytes") + "))"},
			{Expr: "time() - " + on(ofInstances("gpustack:model_instance_last_progress_timestamp_seconds"))},
			{Expr: on(ofInstances("gpustack:model_instance_restart_count"))},
			{Expr: `label_join(max by (model_instance_name, runtime, runtime_version) (` + ofInstances("gpustack:model_instance_info") + `), "engine", " ", "runtime", "runtime_version")`},
		},
		Columns: []Column{
			{Title: "Instance", Label: "model_instance_name", Link: To("gpustack-model", "This instance alone", varCluster, "$cluster_name", varModel, "$model_name", varInstance, "${__data.fields.model_instance_name}")},
			{Title: "Worker", Label: "worker_name", Link: toWorker()},
			{Title: "Engine", Label: "engine", Width: 115},
			{Title: "Role", Label: "role", Width: 75},
			{Title: "State", Label: "state", Width: 90},
			{Title: "Metrics", Query: 2, Width: 70, Values: []Value{{Value: 1, Text: "read", Color: "green"}, {Value: 0, Text: "failed", Color: "red"}}},
			{Title: "Running", Query: 3, Width: 70},
			{Title: "Waiting", Query: 4, Width: 70},
			{Title: "Finished", Query: 5, Unit: "reqps", Decimals: new(1), Width: 90},
			{Title: "Generated", Query: 6, Unit: tokensPerSecond, Decimals: new(1), Width: 100},
			{Title: "TTFT", Query: 7, Unit: "s", Decimals: new(2), Width: 80},
			{Title: "KV cache", Query: 8, Unit: "percent", Decimals: new(0), Width: 80, Thresholds: limits(90, 98)},
			{Title: "GPUs", Query: 9, Width: 60},
			{Title: "Idle", Query: 10, Unit: "s", Decimals: new(0), Width: 60},
			{Title: "Restarts", Query: 11, Width: 75, Thresholds: limits(1, 5)},
			{Title: "info", Query: 12, Hidden: true},
			{Title: "status", Query: 1, Hidden: true},
		},
		Overrides: []Override{states("running", "green", "starting initializing downloading scheduled analyzing", "blue", "pending", "orange", "error unreachable", "red")},
	}
}

func modelProgress() []Panel {
	age := func(family string) string {
		return "time() - max by (model_instance_name) (" + ofInstances(family) + ")"
	}
	phase := func(suffix string) string {
		return "sum by (model_instance_name, phase) (" + ofInstances("gpustack:model_instance_phase_duration_seconds"+suffix) + ")"
	}
	return []Panel{
		{
			Kind: StateTimeline, W: 12, Title: "Stalled: has work and makes no progress", NoValue: "not scraped", H: 7,
			Description: "Whether an instance had requests but no counter changed for too long. Red: the engine hangs. Save its log and check its GPUs (errors, links) for the cause, then restart it.",
			Values:      []Value{{Value: 0, Text: "fine", Color: "green"}, {Value: 1, Text: "stalled", Color: "red"}},
			Queries:     []Query{{Expr: highestRank("gpustack:model_instance_stalled"), Legend: instanceLegend}},
		},
		{
			Kind: TimeSeries, W: 12, H: 7, Title: "Time since the last progress", Unit: "s", Min: new(0.0), NoValue: "not scraped", Overrides: []Override{thin()},
			Description: "Time since a token or request counter of an instance changed; the 20 longest in the time range. Peaks without requests are normal; a ramp while requests run is a hang.",
			Queries:     []Query{{Expr: top(mostLines, byInstance, age("gpustack:model_instance_last_progress_timestamp_seconds"), "max by (model_instance_name) (max_over_time(("+age("gpustack:model_instance_last_progress_timestamp_seconds")+")[$__range:15s] @ end()))"), Legend: instanceLegend}},
		},
		{
			Kind: Table, W: 12, H: 8, Title: "Restarts", SortBy: "Restarts", NoValue: "no server scraped",
			Description: "Restarts of each instance that were observed, and the time since the last one. For an unexpected restart, read the log from before it; the most frequent reason is GPU memory.",
			Queries: []Query{
				{Expr: "max by (model_instance_name, worker_name) (" + ofInstances("gpustack:model_instance_restart_count") + ")"},
				{Expr: "time() - (max by (model_instance_name, worker_name) (" + ofInstances("gpustack:model_instance_latest_restart_time") + ") > 0)"},
			},
			Columns: []Column{
				{Title: "Instance", Label: "model_instance_name"},
				{Title: "Worker", Label: "worker_name", Link: toWorker()},
				{Title: "Restarts", Query: 1, Thresholds: limits(1, 5)},
				{Title: "Last one ago", Query: 2, Unit: "s", Decimals: new(0)},
			},
		},
		{
			Kind: Table, W: 12, H: 8, Title: "Start duration by phase", SortBy: "Mean", NoValue: "no start was observed since the worker started",
			Description: "Mean time that each phase of an instance's starts took since its worker began: initializing (no GPU memory yet), loading (weights), starting (compiles and warms up), and the total. No rows: no start was observed since the worker started. Long loading: the disk or network of the models; long starting: keep the engine's compile cache.",
			Queries: []Query{
				{Expr: phase("_sum") + " / " + phase("_count")},
				{Expr: phase("_count")},
			},
			Columns: []Column{
				{Title: "Instance", Label: "model_instance_name"},
				{Title: "Phase", Label: "phase"},
				{Title: "Mean", Query: 1, Unit: "s", Decimals: new(1)},
				{Title: "Starts seen", Query: 2},
			},
		},
		{
			Kind: TimeSeries, W: 24, H: 6, Title: "State changes observed by workers", Unit: "none", Min: new(0.0), NoValue: "not scraped", Overrides: []Override{stairs()},
			Description: "Changes of an instance's state in each step, with the reason: refused and timeout: the connection failed; process_ended and lost: the process is gone; wrong_answer: the page is not the engine's. Only changes in the time range are shown; none is good.",
			Queries: []Query{{
				Expr:   `sum by (model_instance_name, from, to, reason) (increase(` + ofInstances("gpustack:model_instance_state_transitions_total") + `[$__rate_interval])) and on (model_instance_name, from, to, reason) topk(20, sum by (model_instance_name, from, to, reason) (increase(` + ofInstances("gpustack:model_instance_state_transitions_total") + `[$__range] @ end())) > 0) or label_replace(0 * sum(` + ofInstances("gpustack:runtime_scrape_success") + `), "reason", "none in the time range", "", "")`,
				Legend: "{{model_instance_name}} {{from}} {{to}} {{reason}}",
			}},
		},
	}
}

// requestsOf are the requests that each instance has, running and waiting.
func requestsOf(selector string) string {
	by := byInstance + ", role"
	return fmt.Sprintf("(sum by (%[1]s) (gpustack:num_requests_running{%[2]s}) + (sum by (%[1]s) (gpustack:num_requests_waiting{%[2]s}) or 0 * sum by (%[1]s) (gpustack:num_requests_running{%[2]s})))", by, selector)
}

// imbalance shows how unevenly requests are distributed, over the instances that a selector selects and over the ranks of each.
func imbalance(selector string) []Panel {
	requests := requestsOf(selector)
	replicas := Panel{
		Kind: TimeSeries, W: 12, H: 7, Title: "Imbalance of instances", Unit: "none", Decimals: new(1), Min: new(1.0), Overrides: []Override{thin()},
		Description: "Requests of the busiest instance, running and waiting, divided by the mean of the instances of its role. 1 is even; 2 means that one has twice its share. Above 1.5 for long: the balancer does not know the load; check its policy, or whether prompts stick to one instance because of its cache. Without requests there is no line.",
		Queries:     []Query{{Expr: fmt.Sprintf("max by (role) (%[1]s) / (avg by (role) (%[1]s) > 0)", requests), Legend: "instances {{role}}"}},
	}
	ranks := Panel{
		Kind: TimeSeries, W: 12, H: 7, Title: "Imbalance of data-parallel ranks", Unit: "none", Min: new(1.0), Overrides: []Override{thin()},
		NoValue:     "no instance has data-parallel ranks with requests",
		Description: "Requests of the busiest data-parallel rank, running and waiting, divided by the mean of the instance's ranks. 1 is even. Ranks compute in step, so the busiest sets the pace of all. Above 1.5 for long: look at how the engine or the balancer chooses a rank.",
		Queries: []Query{{
			Expr:   top(mostLines, byInstance, "max by ("+byInstance+") (gpustack:data_parallel_imbalance_ratio{"+selector+"})", "max by ("+byInstance+") (max_over_time(gpustack:data_parallel_imbalance_ratio{"+selector+"}[$__range] @ end()))"),
			Legend: instanceLegend,
		}},
	}
	return []Panel{replicas, ranks}
}

func modelGPUs() []Panel {
	held := "sum by (model_instance_name, " + gpuBy + ") (" + ofInstances("gpustack:model_instance_gpu_memory_used_bytes") + ")"
	power := "sum by (model_instance_name) (rate(" + ofInstances("gpustack:model_instance_gpu_energy_joules_total") + "[$__rate_interval]))"
	of := func(family string) string {
		return fmt.Sprintf("0 * %s + on (%s) group_left max by (%s) (gpustack:%s{cluster_name=\"$cluster_name\"})", held, gpuBy, gpuBy, family)
	}
	const unseen = "no GPU is known to be theirs: in a container the worker needs the machine's process numbers"
	return []Panel{
		{
			Kind: Table, W: 24, H: 8, Title: "GPUs of the instances", SortBy: "Memory", NoValue: unseen,
			Description: "One row per instance and GPU. The GPUs of an instance work in step, so the slowest sets the pace: check one that is hotter, draws less power or is less busy than its neighbours. GPU busy and Instance use are the driver's utilization, not how much of the GPU worked.",
			Queries: []Query{
				{Expr: held},
				{Expr: "100 * max by (model_instance_name, " + gpuBy + ") (" + ofInstances("gpustack:model_instance_gpu_utilization_ratio") + ")"},
				{Expr: of("worker_node_gpu_utilization_rate")},
				{Expr: of("worker_node_gram_utilization_rate")},
				{Expr: of("worker_node_gpu_temperature_celsius")},
				{Expr: of("worker_node_gpu_power_used_watts")},
				{Expr: "sum by (model_instance_name, " + gpuBy + ") (rate(" + ofInstances("gpustack:model_instance_gpu_energy_joules_total") + "[$__rate_interval]))"},
			},
			Columns: []Column{
				{Title: "Instance", Label: "model_instance_name"},
				{Title: "Worker", Label: "worker_name", Link: toWorker()},
				{Title: "GPU", Label: "gpu_index", Width: 60},
				{Title: "Chip", Label: "gpu_chip_index", Width: 60},
				{Title: "Memory", Query: 1, Unit: "bytes", Decimals: new(1), Width: 95},
				{Title: "GPU memory", Query: 4, Unit: "percent", Decimals: new(0), Bar: true, Max: 100, Width: 130},
				{Title: "GPU busy", Query: 3, Unit: "percent", Decimals: new(0), Bar: true, Max: 100, Width: 130},
				{Title: "Instance use", Query: 2, Unit: "percent", Decimals: new(0), Bar: true, Max: 100, Width: 130},
				{Title: "Core", Query: 5, Unit: "celsius", Decimals: new(0), Thresholds: limits(80, 90), Width: 70},
				{Title: "GPU power", Query: 6, Unit: "watt", Decimals: new(0), Width: 95},
				{Title: "Instance power", Query: 7, Unit: "watt", Decimals: new(0), Width: 95},
			},
		},
		eachInstance("Memory of GPUs", "Memory of all GPUs that an instance holds. Engines take theirs at the start; growth after that is a leak, and ends in an error when the GPU is full.", "bytes", unseen,
			topGauge(mostLines, byInstance, "sum", "gpustack:model_instance_gpu_memory_used_bytes", instanceSelector)),
		eachInstance("Use of the fullest GPU", "The highest share of a GPU that an instance's processes used, as the driver measures it. Low while requests wait: something else is the limit, often the CPU.", "percentunit", "the driver does not measure it for each process",
			topGauge(mostLines, byInstance, "max", "gpustack:model_instance_gpu_utilization_ratio", instanceSelector)),
		eachInstance("Power", "Power of GPUs allocated to each instance: by use, or by memory where use is not measured. The dashboard Power has tokens per joule.", "watt", unseen, topRate(mostLines, byInstance, power)).withTotal("sum(" + power + ")"),
	}
}

func modelScrapes() []Panel {
	return []Panel{
		{
			Kind: StateTimeline, W: 8, H: 7, Title: "Scrapes of the engine's metrics page", NoValue: "no worker reads an instance of this model",
			Description: "Whether the worker read and translated each engine's metrics page. Failed: all metrics of that instance are missing or old. The worker's log says why: a wrong port, metrics switched off (SGLang needs --enable-metrics), or a page without metrics.",
			Values:      []Value{{Value: 1, Text: "read", Color: "green"}, {Value: 0, Text: "failed", Color: "red"}},
			Queries:     []Query{{Expr: highestRank("gpustack:runtime_scrape_success"), Legend: instanceLegend}},
		},
		func() Panel {
			p := eachInstance("Time to read it", "Time that fetching and translating each engine's page took; the 20 longest in the time range. Near the worker's timeout it will fail: an engine whose event loop is busy answers late, and its users wait, too.", "s", "no worker reads an instance of this model",
				topGauge(mostLines, byInstance, "max", "gpustack:runtime_scrape_duration_seconds", instanceSelector))
			p.H = 7
			return p
		}(),
		{
			Kind: TimeSeries, W: 8, H: 7, Title: "Lines and duplicates dropped", Unit: "cps", Min: new(0.0), NoValue: "no worker reads an instance of this model", Overrides: []Override{thin()},
			Description: "Lines of an engine's metrics page that could not be parsed, and duplicate series, per second; ten instances of each. Should be 0: dropped lines are missing from all dashboards. The worker's /metrics/raw shows the page.",
			Queries: []Query{
				{Expr: topRate(mostLines/2, byInstance, "sum by (model_instance_name) (rate("+ofInstances("gpustack:runtime_parse_errors_total")+"[$__rate_interval]))"), Legend: instanceLegend + " unreadable"},
				{Expr: topRate(mostLines/2, byInstance, "sum by (model_instance_name) (rate("+ofInstances("gpustack:runtime_dropped_duplicates_total")+"[$__rate_interval]))"), Legend: instanceLegend + " twice"},
			},
		},
	}
}
