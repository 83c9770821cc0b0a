package dashboards

func mappingGenerations() []Panel {
	applied := per("max", varWorker, inFleet("metrics_config_applied_generation"))
	behind := "max(gpustack:metrics_config_generation) - on () group_right () " + applied
	return []Panel{
		{
			Kind: Table, W: 12, H: 8, Title: "Applied mapping generation by worker", SortBy: "Behind", NoValue: "No worker reports its generation",
			Description: "The mapping generation that each worker applies. Behind for more than some seconds: its connection to the server is broken, or it refused the document; its log says which. It keeps using its last mapping. Reported is what the server received from it: an old heartbeat explains a difference.",
			Queries: []Query{
				{Expr: applied},
				{Expr: behind},
				{Expr: per("max", varWorker, inFleet("worker_metrics_config_applied_generation"))},
				{Expr: per("min", varWorker, inFleet("worker_heartbeat_age_seconds"))},
			},
			Columns: []Column{
				{Title: "Worker", Label: varWorker, Link: To("gpustack-worker", "Show this worker", varCluster, "${__data.fields.cluster_name}", varWorker, "${__data.fields.worker_name}")},
				{Title: "Cluster", Label: varCluster},
				{Title: "Applies", Query: 1, Width: 80},
				{Title: "Reported", Query: 3, Width: 90},
				{Title: "Behind", Query: 2, Width: 80, Thresholds: bad(1)},
				{Title: "Heartbeat", Query: 4, Unit: "s", Decimals: new(0), Width: 90, Thresholds: limits(60, 150)},
			},
		},
		{
			Kind: TimeSeries, W: 12, H: 8, Title: "Applied mapping generations over time", Unit: "none", Decimals: new(0), Min: new(0.0),
			Description: "The server's generation, and the lowest and highest that any worker applies. After a change all three rise within seconds. If the lowest stays below, the table names the worker.",
			Queries: []Query{
				{Expr: "max(gpustack:metrics_config_generation)", Legend: "server"},
				{Expr: "max(" + inFleet("metrics_config_applied_generation") + ")", Legend: "highest applied"},
				{Expr: "min(" + inFleet("metrics_config_applied_generation") + ")", Legend: "lowest applied"},
			},
			Overrides: []Override{stairs()},
		},
	}
}

func scrapesOverTime() []Panel {
	const by = "job, instance"
	return []Panel{
		{
			Kind: TimeSeries, W: 12, Title: "Scrape duration, the ten slowest targets", Unit: "s", Min: new(0.0), Thresholds: limits(2, 4),
			Description: "Time that Prometheus waits for each page. Workers are scraped every 5 s with a timeout of 5 s: above the red line scrapes begin to fail, and all dashboards get gaps. The table of engines above names the slow engine.",
			Queries: []Query{{
				Expr:   top(10, by, "max by ("+by+") (scrape_duration_seconds{"+ourTargets+"})", "max by ("+by+") (max_over_time(scrape_duration_seconds{"+ourTargets+"}[$__range] @ end()))"),
				Legend: "{{instance}}",
			}},
		},
		{
			Kind: TimeSeries, W: 12, Title: "Engine page duration, the ten slowest", Unit: "s", Min: new(0.0), Thresholds: limits(1, 3),
			Description: "Time that fetching and translating each engine's page takes. An engine whose event loop is busy answers late: compare with its requests running. It delays only the page of its own worker.",
			Queries: []Query{{
				Expr:   topGauge(10, "cluster_name, worker_name, model_instance_name", "max", "gpustack:runtime_scrape_duration_seconds", `cluster_name=~"$cluster_name"`),
				Legend: "{{worker_name}} {{model_instance_name}}",
			}},
		},
		{
			Kind: TimeSeries, W: 12, Title: "Samples by job", Unit: "short", Min: new(0.0), Stacked: true,
			Description: "Samples in all pages of a job together, per scrape. It grows with GPUs and engines. A jump without new ones means that an engine writes many more series; they cost memory in Prometheus.",
			Queries:     []Query{{Expr: "sum by (job) (scrape_samples_scraped{" + ourTargets + "})", Legend: "{{job}}"}},
		},
		{
			Kind: TimeSeries, W: 12, Title: "Lines and duplicates dropped", Unit: "cps", Min: new(0.0),
			Description: "Lines of engines' metrics pages that could not be parsed, and duplicate series, per second. Both should be 0: dropped samples are missing from all dashboards. The table of engines above names the instance.",
			Queries: []Query{
				{Expr: "sum(rate(" + inFleet("runtime_parse_errors_total") + "[$__rate_interval]))", Legend: "unreadable lines"},
				{Expr: "sum(rate(" + inFleet("runtime_dropped_duplicates_total") + "[$__rate_interval]))", Legend: "duplicates"},
			},
			Overrides: []Override{rare()},
		},
	}
}

func collectorsAndDiscovery() []Panel {
	return []Panel{
		{
			Kind: Table, H: 7, Title: "Collectors", NoValue: "No worker reports its collectors",
			Description: "Whether each collector of a worker succeeds. fails: its metrics are missing; the worker's log says why, mostly a missing permission or mount in a container. Empty: the worker has no such collector.",
			Queries:     []Query{{Expr: per("max", "worker_name, collector", inFleet("collector_success"))}},
			Matrix:      &Matrix{Across: "collector", Down: "worker_name", Title: "Worker", Width: 180},
			Values:      []Value{{Value: 1, Text: "ok", Color: "green"}, {Value: 0, Text: "fails", Color: "red"}},
			Overrides:   []Override{{Matching: "^(?!Worker).*$", Properties: map[string]any{"custom.cellOptions": object{"type": "color-text"}}}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Slowest collectors", Unit: "s", Min: new(0.0),
			Description: "The longest time that each collector takes on any worker, the ten slowest. Scrapes do not wait for collectors, but their values get old. Some seconds for GPUs: the driver is slow. For filesystems: a network mount hangs.",
			Queries: []Query{{
				Expr:   topGauge(10, "collector", "max", "gpustack:collector_duration_seconds", `cluster_name=~"$cluster_name"`),
				Legend: "{{collector}}",
			}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Engines by source", Unit: "short", Decimals: new(0), Min: new(0.0), Stacked: true,
			Description: "Engines that workers read: declared, or found as processes or containers. A step down is an engine that ended. Declare an engine that is not found with --engine.",
			Queries:     []Query{{Expr: "sum by (source) (" + per("max", "worker_name, source", inFleet("discovered_engines")) + ")", Legend: "{{source}}"}},
		},
		{
			Kind: Table, W: 8, H: 8, Title: "Skipped by discovery", SortBy: "In the last hour", NoValue: "Nothing was skipped",
			Description: "Processes and containers that look like engines and were skipped in the last hour, by reason. Give the worker the permission that it lacks, or declare the engine with --engine.",
			Queries:     []Query{{Expr: per("sum", "worker_name, source, reason", "increase("+inFleet("discovery_skipped_total")+"[1h])") + " > 0"}},
			Columns: []Column{
				{Title: "Worker", Label: varWorker},
				{Title: "Found by", Label: "source", Width: 90},
				{Title: "Reason", Label: "reason"},
				{Title: "In the last hour", Query: 1, Decimals: new(0), Width: 90},
			},
		},
	}
}
