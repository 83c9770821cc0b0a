package dashboards

func mappingGenerations() []Panel {
	applied := per("max", varWorker, inFleet("metrics_config_applied_generation"))
	behind := "max(gpustack:metrics_config_generation) - on () group_right () " + applied
	return []Panel{
		{
			Kind: Table, W: 12, H: 8, Title: "Generation by worker", SortBy: "Behind", NoValue: "No worker tells its generation",
			Description: "Which mapping each worker applies. Behind for more than some seconds: its watch on the server is broken or it refused the document, which its log says; meanwhile it goes on with the last one it knows. Reported is what the server heard from it: an old heartbeat explains a difference.",
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
			Kind: TimeSeries, W: 12, H: 8, Title: "Generations that workers apply", Unit: "none", Decimals: new(0), Min: new(0.0),
			Description: "The server's generation, and the lowest and highest that any worker applies. After a change all three should step up together within seconds; a lowest line that stays below is a worker that the table names.",
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
			Description: "Time that Prometheus waits for each page. Workers are scraped every 5 s and have as long for it: above the red line scrapes begin to fail, and gaps appear on all dashboards. Each engine above names the one that its worker waits for.",
			Queries: []Query{{
				Expr:   top(10, by, "max by ("+by+") (scrape_duration_seconds{"+ourTargets+"})", "max by ("+by+") (max_over_time(scrape_duration_seconds{"+ourTargets+"}[$__range] @ end()))"),
				Legend: "{{instance}}",
			}},
		},
		{
			Kind: TimeSeries, W: 12, Title: "Engine page duration, the ten slowest", Unit: "s", Min: new(0.0), Thresholds: limits(1, 3),
			Description: "Time that fetching and translating each engine's page takes. An engine whose event loop is busy answers late: compare with its requests running. It only delays its own worker's page, and never the other engines'.",
			Queries: []Query{{
				Expr:   topGauge(10, "cluster_name, worker_name, model_instance_name", "max", "gpustack:runtime_scrape_duration_seconds", `cluster_name=~"$cluster_name"`),
				Legend: "{{worker_name}} {{model_instance_name}}",
			}},
		},
		{
			Kind: TimeSeries, W: 12, Title: "Samples by job", Unit: "short", Min: new(0.0), Stacked: true,
			Description: "Samples in all pages of a job together, for each round of scrapes. It grows with cards and engines; a jump without new ones means that an engine began to write many more series, and costs memory in Prometheus.",
			Queries:     []Query{{Expr: "sum by (job) (scrape_samples_scraped{" + ourTargets + "})", Legend: "{{job}}"}},
		},
		{
			Kind: TimeSeries, W: 12, Title: "Lines and samples left out", Unit: "cps", Min: new(0.0),
			Description: "Lines of engines' pages that could not be read, and series that were there twice, each second. Both should be 0: what they said is missing from all dashboards. Each engine above names the instance.",
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
			Kind: Table, H: 7, Title: "Collectors", NoValue: "No worker tells of its collectors",
			Description: "What each worker reads of its machine, and whether it could. Fails: what that collector gives is missing from dashboards; the worker's log says why, mostly a missing right or mount in a container. Empty: the worker has no such collector.",
			Queries:     []Query{{Expr: per("max", "worker_name, collector", inFleet("collector_success"))}},
			Matrix:      &Matrix{Across: "collector", Down: "worker_name", Title: "Worker", Width: 180},
			Values:      []Value{{Value: 1, Text: "ok", Color: "green"}, {Value: 0, Text: "fails", Color: "red"}},
			Overrides:   []Override{{Matching: "^(?!Worker).*$", Properties: map[string]any{"custom.cellOptions": object{"type": "color-text"}}}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Slowest collectors", Unit: "s", Min: new(0.0),
			Description: "The longest time that each collector takes on any worker, the ten slowest. Scrapes do not wait for them, but their values get old: some seconds for cards mean that the driver is slow, for filesystems that a network mount hangs.",
			Queries: []Query{{
				Expr:   topGauge(10, "collector", "max", "gpustack:collector_duration_seconds", `cluster_name=~"$cluster_name"`),
				Legend: "{{collector}}",
			}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Engines by how they were found", Unit: "short", Decimals: new(0), Min: new(0.0), Stacked: true,
			Description: "Engines that workers watch: declared by you, or found as processes or containers. A step down is an engine that ended; one that was never found can be declared with --engine.",
			Queries:     []Query{{Expr: "sum by (source) (" + per("max", "worker_name, source", inFleet("discovered_engines")) + ")", Legend: "{{source}}"}},
		},
		{
			Kind: Table, W: 8, H: 8, Title: "Left out by discovery", SortBy: "In an hour", NoValue: "Nothing was left out",
			Description: "Processes and containers that looked like engines and could not be watched within the last hour, by reason. Give the worker the right it lacks, or declare the engine with --engine.",
			Queries:     []Query{{Expr: per("sum", "worker_name, source, reason", "increase("+inFleet("discovery_skipped_total")+"[1h])") + " > 0"}},
			Columns: []Column{
				{Title: "Worker", Label: varWorker},
				{Title: "Found by", Label: "source", Width: 90},
				{Title: "Reason", Label: "reason"},
				{Title: "In an hour", Query: 1, Decimals: new(0), Width: 90},
			},
		},
	}
}
