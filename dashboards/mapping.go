package dashboards

import (
	"fmt"
	"strings"
)

func mappingHealth() Dashboard {
	return Dashboard{
		UID: "stackscope-mapping", Title: "Mapping and scrape health",
		Description: "Whether the data on all other dashboards is complete: targets and scrape durations, engines that cannot be read, metrics that each engine exports, and the mapping that each worker applies.",
		Variables:   []Variable{datasource(), fleet()},
		Rows: []Row{
			{Panels: append(mappingNumbers(), targetTable())},
			{Title: "Engines", Panels: []Panel{familyMatrix(), engineTable()}},
			{Title: "Mapping", Panels: mappingGenerations()},
			{Title: "Scrapes over time", Panels: scrapesOverTime()},
			{Title: "Collectors and discovery", Panels: collectorsAndDiscovery()},
		},
	}
}

// ourTargets are the targets of the jobs that the documentation names.
const ourTargets = `job=~"gpustack-.*", cluster_name=~"$cluster_name"`

func mappingNumbers() []Panel {
	stat := func(title, description, unit string, thresholds []Threshold, queries ...Query) Panel {
		return Panel{Kind: Stat, W: 4, H: 4, Title: title, Description: description, Unit: unit, Thresholds: thresholds, Queries: queries, Overrides: []Override{plainly("of")}}
	}
	unread := inFleet("runtime_scrape_success")
	applied := inFleet("metrics_config_applied_generation")
	generation := stat("Active generation", "Number of the active metrics mapping on the server. 0 is the built-in mapping; each POST /v2/metrics/config makes a new generation.", "none", []Threshold{{Color: "text"}},
		Query{Expr: "max(gpustack:metrics_config_generation)", Legend: "active"})
	generation.NoValue = "no server scraped"
	return []Panel{
		stat("Targets", "Servers and workers that Prometheus cannot scrape, of all targets. The table below names those that are down: check that they run, and that Prometheus reaches their port. A worker that never registered is no target.", "short", bad(1),
			Query{Expr: "count(up{" + ourTargets + "} == 0) or 0 * count(up{" + ourTargets + "})", Legend: "down"},
			Query{Expr: "count(up{" + ourTargets + "})", Legend: "of"}),
		stat("Engines", "Engines whose metrics page could not be fetched or translated at the last scrape, of all that workers know; engines that are starting are included. The table of engines below and the worker's log say why.", "short", bad(1),
			Query{Expr: "count(" + unread + " == 0) or 0 * count(" + unread + ")", Legend: "unread"},
			Query{Expr: "count(" + unread + ")", Legend: "of"}),
		stat("Workers behind", "Workers that apply another generation than the server's. That is normal for some seconds after a change. If it lasts, the worker's log says why it refused the mapping.", "short", bad(1),
			Query{Expr: "count((" + applied + " != on () group_left () max(gpustack:metrics_config_generation))) or 0 * count(" + applied + ")", Legend: "behind"},
			Query{Expr: "count(" + applied + ")", Legend: "of"}),
		generation,
		stat("Slowest worker", "The longest time that a scrape of a worker takes now. A worker is scraped every 5 s with a timeout of 5 s: from 4 s on scrapes are about to fail. Mostly one engine is slow; the table of engines below names it.", "s", limits(2, 4),
			Query{Expr: `max(scrape_duration_seconds{job=~"gpustack-worker.*", cluster_name=~"$cluster_name"})`, Legend: "slowest"}),
		stat("Slowest engine", "The longest time that reading an engine's metrics page takes now. A worker reads its engines concurrently, so the slowest determines the worker's scrape duration. A busy engine answers late: from 1 s on, look at its CPU.", "s", limits(1, 3),
			Query{Expr: "max(" + inFleet("runtime_scrape_duration_seconds") + ")", Legend: "slowest"}),
	}
}

func targetTable() Panel {
	by := func(family string) string {
		return "max by (cluster_name, job, instance) (" + family + "{" + ourTargets + "})"
	}
	return Panel{
		Kind: Table, H: 8, Title: "Scrape targets", SortBy: "Duration",
		Description: "One row per server or worker that Prometheus scrapes. The timeout is 5 s for workers and 10 s for the server. Samples is the size of the page: a jump means that an engine exports much more. New in 10 min: new series; if it stays above 0, something restarts, or a label changes with each request. Failed: share of scrapes in the time range. Rejected: samples that Prometheus' relabelling dropped.",
		Queries: []Query{
			{Expr: by("up")},
			{Expr: by("scrape_duration_seconds")},
			{Expr: "max by (cluster_name, job, instance) (max_over_time(scrape_duration_seconds{" + ourTargets + "}[$__range]))"},
			{Expr: by("scrape_samples_scraped")},
			{Expr: by("scrape_samples_scraped") + " - " + by("scrape_samples_post_metric_relabeling")},
			{Expr: "max by (cluster_name, job, instance) (sum_over_time(scrape_series_added{" + ourTargets + "}[10m]))"},
			{Expr: "1 - max by (cluster_name, job, instance) (avg_over_time(up{" + ourTargets + "}[$__range]))"},
		},
		Columns: []Column{
			{Title: "Job", Label: "job", Width: 220},
			{Title: "Target", Label: "instance", Width: 150},
			{Title: "Cluster", Label: varCluster},
			{Title: "State", Query: 1, Width: 80, Values: []Value{{Value: 1, Text: "up", Color: "green"}, {Value: 0, Text: "down", Color: "red"}}},
			{Title: "Duration", Query: 2, Unit: "s", Thresholds: limits(2, 4)},
			{Title: "Longest", Query: 3, Unit: "s", Thresholds: limits(2, 4)},
			{Title: "Samples", Query: 4, Unit: "short"},
			{Title: "Rejected", Query: 5, Unit: "short", Thresholds: bad(1)},
			{Title: "New in 10 min", Query: 6, Unit: "short"},
			{Title: "Failed", Query: 7, Unit: "percentunit", Decimals: new(1), Thresholds: limits(0.001, 0.05)},
		},
	}
}

// coreFamilies are those that dashboards about models need of each engine, as they are in a page, and what the matrix calls them.
func coreFamilies() []struct{ name, title string } {
	return []struct{ name, title string }{
		{"num_requests_running", "Running"},
		{"num_requests_waiting", "Waiting"},
		{"kv_cache_usage_ratio", "KV cache"},
		{"prompt_tokens_total", "Prompts"},
		{"generation_tokens_total", "Tokens"},
		{"request_success_total", "Done"},
		{"time_to_first_token_seconds_count", "TTFT"},
		{"inter_token_latency_seconds_count", "ITL"},
		{"e2e_request_latency_seconds_count", "E2E"},
	}
}

func familyMatrix() Panel {
	var families []string
	for _, f := range coreFamilies() {
		// 1 where the family is, 0 where the engine is and the family is not. Gateways have no model; neither they nor routers compute.
		families = append(families, fmt.Sprintf(`label_replace(%s or 0 * %s, "family", "%s", "", "")`,
			per("group", perInstance, "gpustack:"+f.name+`{cluster_name=~"$cluster_name"}`), per("group", perInstance, inFleet("runtime_scrape_success", `role!="router"`, `model_name!=""`)), f.title))
	}
	return Panel{
		Kind: Table, H: 8, Title: "Core metrics present, by engine",
		Description: "The metrics that other dashboards need of each engine that serves a model; gateways and routers need none. missing: the engine doesn't export it, or the mapping lacks the name that this version uses: compare the engine's /metrics page with GET /v2/metrics/config, and add the name. If all are missing, the engine cannot be read.",
		Queries:     []Query{{Expr: `label_join(` + strings.Join(families, "\nor ") + `, "engine", " / ", "worker_name", "model_instance_name")`}},
		Matrix:      &Matrix{Across: "family", Down: "engine", Title: "Worker / instance", Width: 260},
		Values:      []Value{{Value: 1, Text: "there", Color: "green"}, {Value: 0, Text: "missing", Color: "red"}},
		Overrides:   []Override{{Matching: "^(?!Worker).*$", Properties: map[string]any{"custom.cellOptions": object{"type": "color-text"}}}},
	}
}

func engineTable() Panel {
	lost := func(family string) string {
		return per("sum", perInstance, "increase("+inFleet(family)+"[1h])")
	}
	return Panel{
		Kind: Table, H: 8, Title: "Engines: scrapes and mapping", SortBy: "Duration",
		Description: "One row per instance. Unreadable: lines that are not in Prometheus' text format; they are dropped. Duplicates: series that the engine writes twice, mostly ranks without a label of their own. Both count the last hour. Mapped: the share of the unified metrics that the engine provides; it falls when a new version renames metrics. Unmapped: the engine's own metrics that the mapping does not use; the worker's /metrics/raw?unmapped=1 shows them. Click an instance to see its model.",
		Queries: []Query{
			{Expr: per("max", perInstance+", runtime", inFleet("runtime_scrape_success"))},
			{Expr: per("max", perInstance, inFleet("runtime_scrape_duration_seconds"))},
			{Expr: per("max", perInstance, "max_over_time("+inFleet("runtime_scrape_duration_seconds")+"[$__range])")},
			{Expr: "1 - " + per("max", perInstance, "avg_over_time("+inFleet("runtime_scrape_success")+"[$__range])")},
			{Expr: lost("runtime_parse_errors_total")},
			{Expr: lost("runtime_dropped_duplicates_total")},
			{Expr: per("max", perInstance+", runtime_version", inFleet("model_instance_info"))},
			{Expr: per("max", perInstance, inFleet("metrics_mapping_coverage_ratio"))},
			{Expr: per("max", perInstance, inFleet("runtime_unmapped_families"))},
		},
		Columns: []Column{
			{Title: "Worker", Label: varWorker, Width: 110, Link: To("gpustack-worker", "Show this worker", varCluster, "${__data.fields.cluster_name}", varWorker, "${__data.fields.worker_name}")},
			{Title: "Instance", Label: varInstance, Width: 170, Link: To("gpustack-model", "Show its model", varCluster, "${__data.fields.cluster_name}", varModel, "${__data.fields.model_name}")},
			{Title: "Model", Label: varModel},
			{Title: "Cluster", Label: varCluster, Width: 90},
			{Title: "Engine", Label: "runtime", Width: 80},
			{Title: "Version", Label: "runtime_version", Width: 90},
			{Title: "Page", Query: 1, Width: 80, Values: []Value{{Value: 1, Text: "read", Color: "green"}, {Value: 0, Text: "unread", Color: "red"}}},
			{Title: "Duration", Query: 2, Unit: "s", Width: 90, Thresholds: limits(1, 3)},
			{Title: "Longest", Query: 3, Unit: "s", Width: 90, Thresholds: limits(1, 3)},
			{Title: "Failed", Query: 4, Unit: "percentunit", Decimals: new(1), Width: 80, Thresholds: limits(0.001, 0.05)},
			{Title: "Unreadable", Query: 5, Unit: "short", Decimals: new(0), Width: 94, Thresholds: bad(1)},
			{Title: "Duplicates", Query: 6, Unit: "short", Decimals: new(0), Width: 94, Thresholds: []Threshold{{Color: "green"}, {Color: "orange", From: 1}}},
			{Title: "Mapped", Query: 8, Unit: "percentunit", Decimals: new(0), Width: 80},
			{Title: "Unmapped", Query: 9, Unit: "short", Decimals: new(0), Width: 90},
		},
	}
}
