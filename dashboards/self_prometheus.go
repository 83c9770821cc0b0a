package dashboards

import "slices"

func storage() []Panel {
	panel := func(title, description, unit string, queries ...Query) Panel {
		return Panel{Kind: TimeSeries, W: 8, Title: title, Description: description, Unit: unit, Min: new(0.0), NoValue: noPrometheus, Queries: queries, Overrides: []Override{rare()}}
	}
	rate := func(metric string) string { return "sum by (instance) (rate(" + metric + "[$__rate_interval]))" }
	failures := func(legend, metric string) Query {
		return Query{Expr: "sum(increase(" + metric + "[10m]))", Legend: legend}
	}
	return []Panel{
		panel("Series in memory", "Series of the last two to three hours, and those that are made each second. Series made all the time without an end mean a label that changes with each request or restart: the table of targets has New series.", "short",
			Query{Expr: "sum by (instance) (prometheus_tsdb_head_series)", Legend: "{{instance}}"},
			Query{Expr: rate("prometheus_tsdb_head_series_created_total"), Legend: "new each second {{instance}}"}),
		panel("Samples appended", "Samples appended each second. A gap: Prometheus or its disk stalled. A fall: targets disappeared.", "cps",
			Query{Expr: rate("prometheus_tsdb_head_samples_appended_total"), Legend: "{{instance}}"}),
		panel("Space on disk", "What blocks and the write-ahead log take. Blocks grow until the retention time or size cuts them; the log until the next compaction, every two hours. See that the disk has room for both.", "bytes",
			Query{Expr: "sum by (instance) (prometheus_tsdb_storage_blocks_bytes)", Legend: "blocks {{instance}}"},
			Query{Expr: "sum by (instance) (prometheus_tsdb_wal_storage_size_bytes)", Legend: "log {{instance}}"}),
		panel("Samples refused", "Samples that Prometheus did not take, each second: out of order, twice with other values, too old. Above 0: two servers scrape under one name, or a machine's clock is wrong.", "cps",
			Query{Expr: rate("prometheus_target_scrapes_sample_out_of_order_total"), Legend: "out of order {{instance}}"},
			Query{Expr: rate("prometheus_target_scrapes_sample_duplicate_timestamp_total"), Legend: "twice {{instance}}"},
			Query{Expr: rate("prometheus_target_scrapes_sample_out_of_bounds_total"), Legend: "out of bounds {{instance}}"}),
		panel("Storage failures", "Failed compactions, reloads and truncations, and damage of the write-ahead log, in ten minutes. All should be 0: look at the disk's space and health, and at the server's log.", "short",
			failures("compactions", "prometheus_tsdb_compactions_failed_total"),
			failures("reloads", "prometheus_tsdb_reloads_failures_total"),
			failures("truncations", "prometheus_tsdb_wal_truncations_failed_total"),
			failures("damaged log", "prometheus_tsdb_wal_corruptions_total")),
		panel("Compactions", "Times in ten minutes that Prometheus wrote memory to a block or merged blocks: about once in two hours. None for many hours while the log grows: look for failures beside.", "short",
			Query{Expr: "sum by (instance) (increase(prometheus_tsdb_compactions_total[10m]))", Legend: "{{instance}}"}),
	}
}

func queriesAndScrapes() []Panel {
	answers := quantiles("Query duration", "Time until Prometheus answered queries, by handler: query is one instant, query_range a time range. Slow p99: a dashboard queries too much; shorten its time range, or use a recording rule.",
		"prometheus_http_request_duration_seconds", `handler=~"/api/v1/query(_range)?"`, "handler")
	for i := range answers {
		answers[i].NoValue, answers[i].Interval = "No queries", tableInterval
	}
	return slices.Concat(answers, []Panel{
		{
			Kind: TimeSeries, W: 12, Title: "Concurrent queries", Unit: "short", Min: new(0.0), NoValue: noPrometheus,
			Description: "Queries that Prometheus computes now, and the limit. Near the limit queries wait and dashboards load slowly: use fewer dashboards with a short refresh, or a higher limit.",
			Queries: []Query{
				{Expr: "sum by (instance) (prometheus_engine_queries)", Legend: "now {{instance}}"},
				{Expr: "max by (instance) (prometheus_engine_queries_concurrent_max)", Legend: "limit {{instance}}"},
			},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Query time by step", Unit: "s", Min: new(0.0), NoValue: "No queries", Interval: tableInterval,
			Description: "Mean time of a query by step: waiting for its turn (queue_time), reading the index (prepare_time), computing (inner_eval), sorting. If waiting grows, there are too many concurrent queries.",
			Queries: []Query{{
				Expr:   "sum by (slice) (rate(prometheus_engine_query_duration_seconds_sum[$__rate_interval])) / (sum by (slice) (rate(prometheus_engine_query_duration_seconds_count[$__rate_interval])) > 0)",
				Legend: "{{slice}}",
			}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Interval between scrapes, p99", Unit: "s", Min: new(0.0), NoValue: noPrometheus,
			Description: "Time between two scrapes of a target, and the configured interval. More than 10 % above it: the server lacks CPU, and rates become uneven.",
			Queries: []Query{{
				Expr:   `max by (interval) (prometheus_target_interval_length_seconds{quantile="0.99"})`,
				Legend: "asked for {{interval}}",
			}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Targets and failed scrapes", Unit: "short", Min: new(0.0), NoValue: noPrometheus,
			Description: "Targets of each job, and pages that were refused as too large in ten minutes. A job without targets: nobody registered, or discovery fails. Refused pages: an engine exports far too many series.",
			Queries: []Query{
				{Expr: "sum by (scrape_job) (prometheus_target_scrape_pool_targets)", Legend: "{{scrape_job}}"},
				{Expr: "sum(increase(prometheus_target_scrapes_exceeded_sample_limit_total[10m])) + sum(increase(prometheus_target_scrapes_exceeded_body_size_limit_total[10m]))", Legend: "refused as too large"},
			},
		},
	})
}

func eventBus() []Panel {
	return []Panel{
		{
			Kind: TimeSeries, W: 8, Title: "Event bus subscribers", Unit: "short", Min: new(0.0), NoValue: "no server scraped", Overrides: []Override{stairs()},
			Description: "Open watch streams by topic. Each worker watches the mapping. Fewer streams than workers: some workers poll or are disconnected; check the proxies between them and the server.",
			Queries:     []Query{{Expr: "sum by (topic) (gpustack:bus_subscribers)", Legend: "{{topic}}"}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Fullest subscriber queue", Unit: "percentunit", Min: new(0.0), Max: new(1.0), Thresholds: limits(0.8, 1), NoValue: "no server scraped",
			Description: "Fill of the fullest subscriber queue. Full for long: the subscriber does not read, mostly a dead connection. Its events are merged, so none is lost, but they are late.",
			Queries:     []Query{{Expr: "max by (topic) (gpustack:bus_queue_saturation_ratio)", Legend: "{{topic}}"}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Event bus events", Unit: "cps", Min: new(0.0), NoValue: "no server scraped", Overrides: []Override{rare()},
			Description: "Events on the server's bus per second, by outcome. Backpressured above 0 means that subscribers are slow; a steady stream of received means that somebody changes the mapping all the time.",
			Queries:     []Query{{Expr: "sum by (kind) (rate(gpustack:bus_events_total[$__rate_interval]))", Legend: "{{kind}}"}},
		},
	}
}

func ownGrafana() []Panel {
	const none = "no embedded Grafana"
	return []Panel{
		{
			Kind: TimeSeries, W: 8, Title: "Grafana up", Unit: "bool", Min: new(0.0), Max: new(1.0), NoValue: none,
			Description: "Whether the embedded Grafana answered its supervisor. Gaps are restarts: the server's log has Grafana's last lines, which say why.",
			Queries:     []Query{{Expr: "min by (instance) (stackscope_grafana_up)", Legend: "{{instance}}"}},
			Overrides:   []Override{{Matching: ".*", Properties: map[string]any{"custom.lineInterpolation": "stepAfter"}}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Grafana starts and failures", Unit: "short", Min: new(0.0), NoValue: none, Overrides: []Override{stairs()},
			Description: "How often Grafana was started, and failed, within ten minutes. exit: it ended by itself. start: it never answered. unresponsive: it hung and was ended. The usual cause is its database or its port; --grafana-home selects another Grafana.",
			Queries: []Query{
				{Expr: "sum(increase(stackscope_grafana_starts_total[10m]))", Legend: "started"},
				{Expr: "sum by (reason) (increase(stackscope_grafana_failures_total[10m]))", Legend: "failed: {{reason}}"},
			},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Grafana start duration", Unit: "s", Min: new(0.0), NoValue: none,
			Description: "Time from the last start until Grafana answered. The first start creates the database and takes longest. Near the limit: the machine lacks CPU or its disk is slow.",
			Queries:     []Query{{Expr: "max by (instance) (stackscope_grafana_start_duration_seconds)", Legend: "{{instance}}"}},
		},
	}
}
