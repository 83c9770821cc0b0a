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
		panel("Samples taken in", "Samples appended each second. A gap means that Prometheus or the disk stood still; a fall, that targets went away.", "cps",
			Query{Expr: rate("prometheus_tsdb_head_samples_appended_total"), Legend: "{{instance}}"}),
		panel("Space on disk", "What blocks and the write-ahead log take. Blocks grow until the retention time or size cuts them; the log until the next compaction, every two hours. See that the disk has room for both.", "bytes",
			Query{Expr: "sum by (instance) (prometheus_tsdb_storage_blocks_bytes)", Legend: "blocks {{instance}}"},
			Query{Expr: "sum by (instance) (prometheus_tsdb_wal_storage_size_bytes)", Legend: "log {{instance}}"}),
		panel("Samples refused", "Samples that Prometheus did not take, each second: out of order, twice with other values, too old. Above 0: two servers scrape under one name, or a machine's clock is wrong.", "cps",
			Query{Expr: rate("prometheus_target_scrapes_sample_out_of_order_total"), Legend: "out of order {{instance}}"},
			Query{Expr: rate("prometheus_target_scrapes_sample_duplicate_timestamp_total"), Legend: "twice {{instance}}"},
			Query{Expr: rate("prometheus_target_scrapes_sample_out_of_bounds_total"), Legend: "out of bounds {{instance}}"}),
		panel("Failures of the storage", "Failed compactions, reloads and truncations, and damage of the write-ahead log, in ten minutes. All should be 0: look at the disk's space and health, and at the server's log.", "short",
			failures("compactions", "prometheus_tsdb_compactions_failed_total"),
			failures("reloads", "prometheus_tsdb_reloads_failures_total"),
			failures("truncations", "prometheus_tsdb_wal_truncations_failed_total"),
			failures("damaged log", "prometheus_tsdb_wal_corruptions_total")),
		panel("Compactions", "Times in ten minutes that Prometheus wrote memory to a block or merged blocks: about once in two hours. None for many hours while the log grows: look for failures beside.", "short",
			Query{Expr: "sum by (instance) (increase(prometheus_tsdb_compactions_total[10m]))", Legend: "{{instance}}"}),
	}
}

func queriesAndScrapes() []Panel {
	answers := quantiles("Answers to queries", "Time until Prometheus answered queries, by way: query is one moment, query_range a span. Slow p99: a dashboard asks for too much at once; shorten its time range, or put the query on a recording rule.",
		"prometheus_http_request_duration_seconds", `handler=~"/api/v1/query(_range)?"`, "handler")
	for i := range answers {
		answers[i].NoValue, answers[i].Interval = "No queries", tableInterval
	}
	return slices.Concat(answers, []Panel{
		{
			Kind: TimeSeries, W: 12, Title: "Queries at once", Unit: "short", Min: new(0.0), NoValue: noPrometheus,
			Description: "Queries that Prometheus computes at this moment, and how many it may. Near the limit others wait for their turn and dashboards load slowly: fewer dashboards with short refresh, or a higher limit.",
			Queries: []Query{
				{Expr: "sum by (instance) (prometheus_engine_queries)", Legend: "now {{instance}}"},
				{Expr: "max by (instance) (prometheus_engine_queries_concurrent_max)", Legend: "limit {{instance}}"},
			},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Where queries spend their time", Unit: "s", Min: new(0.0), NoValue: "No queries", Interval: tableInterval,
			Description: "Mean time of a query by step: waiting for its turn (queue_time), reading the index (prepare_time), computing (inner_eval), sorting. Waiting that grows means too many queries at once.",
			Queries: []Query{{
				Expr:   "sum by (slice) (rate(prometheus_engine_query_duration_seconds_sum[$__rate_interval])) / (sum by (slice) (rate(prometheus_engine_query_duration_seconds_count[$__rate_interval])) > 0)",
				Legend: "{{slice}}",
			}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Time between scrapes, p99", Unit: "s", Min: new(0.0), NoValue: noPrometheus,
			Description: "What lies between two scrapes of a target, beside the interval that was asked for. More than a tenth above it: the server's CPU does not suffice, and rates get uneven.",
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
			Kind: TimeSeries, W: 8, Title: "Subscribers", Unit: "short", Min: new(0.0), NoValue: "no server scraped", Overrides: []Override{stairs()},
			Description: "Open watch streams by topic. Each worker watches the mapping: fewer than there are workers means that some poll or are cut off; look at proxies between them and the server.",
			Queries:     []Query{{Expr: "sum by (topic) (gpustack:bus_subscribers)", Legend: "{{topic}}"}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Fullest queue", Unit: "percentunit", Min: new(0.0), Max: new(1.0), Thresholds: limits(0.8, 1), NoValue: "no server scraped",
			Description: "How full the fullest queue of a subscriber is. Full for long: that subscriber does not read, mostly a dead connection; its events are merged, so none is lost, but it is late.",
			Queries:     []Query{{Expr: "max by (topic) (gpustack:bus_queue_saturation_ratio)", Legend: "{{topic}}"}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Events", Unit: "cps", Min: new(0.0), NoValue: "no server scraped", Overrides: []Override{rare()},
			Description: "Events on the server's bus each second by what became of them. Backpressured above 0 means that subscribers are slow; a steady stream of received means that somebody changes the mapping all the time.",
			Queries:     []Query{{Expr: "sum by (kind) (rate(gpustack:bus_events_total[$__rate_interval]))", Legend: "{{kind}}"}},
		},
	}
}

func ownGrafana() []Panel {
	const none = "no embedded Grafana"
	return []Panel{
		{
			Kind: TimeSeries, W: 8, Title: "Grafana answers", Unit: "bool", Min: new(0.0), Max: new(1.0), NoValue: none,
			Description: "Whether the embedded Grafana answered its supervisor. Gaps are restarts: the server's log has Grafana's last lines, which say why.",
			Queries:     []Query{{Expr: "min by (instance) (stackscope_grafana_up)", Legend: "{{instance}}"}},
			Overrides:   []Override{{Matching: ".*", Properties: map[string]any{"custom.lineInterpolation": "stepAfter"}}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Starts and failures", Unit: "short", Min: new(0.0), NoValue: none, Overrides: []Override{stairs()},
			Description: "How often Grafana was started, and failed, within ten minutes. exit: it ended by itself. start: it never answered. unresponsive: it hung and was ended. Mostly its database or its port; --grafana-home names another Grafana.",
			Queries: []Query{
				{Expr: "sum(increase(stackscope_grafana_starts_total[10m]))", Legend: "started"},
				{Expr: "sum by (reason) (increase(stackscope_grafana_failures_total[10m]))", Legend: "failed: {{reason}}"},
			},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Time to start", Unit: "s", Min: new(0.0), NoValue: none,
			Description: "How long the last start took until Grafana answered. Some seconds; the first one makes its database and takes longest. Near the limit: the machine is short of CPU or its disk is slow.",
			Queries:     []Query{{Expr: "max by (instance) (stackscope_grafana_start_duration_seconds)", Legend: "{{instance}}"}},
		},
	}
}
