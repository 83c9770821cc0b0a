package dashboards

import "strings"

func self() Dashboard {
	return Dashboard{
		UID: "stackscope-self", Title: "stackscope itself",
		Description: "Cost and health of the monitoring itself: server, workers, the embedded Prometheus and Grafana. If server and worker are one process, both rows show that process.",
		Variables:   []Variable{datasource(), fleet()},
		Rows: []Row{
			{Panels: append(ownNumbers(), agentTable())},
			{Title: "Processes", Panels: processesOverTime()},
			{Title: "Prometheus: storage", Panels: storage()},
			{Title: "Prometheus: queries and scrapes", Panels: queriesAndScrapes()},
			{Title: "Event bus", Panels: eventBus()},
			{Title: "Grafana", Panels: ownGrafana()},
		},
	}
}

const noPrometheus = "Prometheus does not scrape itself"

func ownNumbers() []Panel {
	stat := func(title, description, unit, absent string, thresholds []Threshold, expr string) Panel {
		return Panel{Kind: Stat, W: 4, H: 4, Title: title, Description: description, Unit: unit, NoValue: absent, Thresholds: thresholds, Queries: []Query{{Expr: expr, Legend: title}}}
	}
	calm := []Threshold{{Color: "text"}}
	up := stat("Server up for", "Time since the server was started. An unexpected restart: it crashed or was killed; check its log, and the kernel's log for out of memory.", "dtdurations", "not scraped", calm,
		`time() - min(process_start_time_seconds{job="gpustack-server"})`)
	up.Decimals = new(0)
	grafana := stat("Grafana", "Whether the embedded Grafana answers its supervisor. Down: the server starts it again, slower each time; its log lines are in the server's. None: there is no Grafana on the server's machine, or an external one is in use.", "", "none", calm,
		"min(stackscope_grafana_up)")
	grafana.Values = []Value{{Value: 1, Text: "up", Color: "green"}, {Value: 0, Text: "down", Color: "red"}}
	return []Panel{
		up,
		stat("Versions in use", "Different builds of stackscope among server and workers. More than 1 is normal while you upgrade and no fault; afterwards the table below names who stayed behind.", "short", "not scraped", []Threshold{{Color: "green"}, {Color: "orange", From: 2}},
			`count(count by (version, revision) (stackscope_build_info{job=~"gpustack-.*"}))`),
		stat("Server memory", "Resident memory of the server with the embedded Prometheus. It grows with series; a steady climb without more series is a leak: please report it.", "bytes", "not scraped", calm,
			`max(process_resident_memory_bytes{job="gpustack-server"})`),
		stat("Series", "Series in Prometheus' memory. About 2 kB each. A jump without new machines means that a label changes all the time: the mapping dashboard shows which target.", "short", noPrometheus, calm,
			"max(prometheus_tsdb_head_series)"),
		stat("Data on disk", "Space that Prometheus' blocks and write-ahead log take. Bounded by --retention settings; compare with the free space on the disk of the data directory.", "bytes", noPrometheus, calm,
			"max(prometheus_tsdb_storage_blocks_bytes + prometheus_tsdb_wal_storage_size_bytes)"),
		grafana,
	}
}

// workerTargets selects what Prometheus scrapes from workers' pages.
const workerTargets = `job=~"gpustack-worker.*", cluster_name=~"$cluster_name"`

// named adds the worker's name, which a worker's own process does not tell, to samples of a target.
func named(expr string) string {
	return "(" + expr + ") * on (instance) group_left (worker_name) topk by (instance) (1, group by (instance, worker_name) (" + inFleet("worker_node_uptime_seconds") + "))"
}

func agentTable() Panel {
	of := func(metric string) string {
		return named("max by (cluster_name, instance) (" + metric + "{" + workerTargets + "})")
	}
	return Panel{
		Kind: Table, H: 8, Title: "Worker process on each node", SortBy: "Memory", Interval: tableInterval,
		Description: "One row per worker process. CPU is in percent of one core. A worker should stay below a few percent and 100 MB. If it does not, look at Page, the samples of each scrape, and at the number of engines. Threads or files that only grow are a leak.",
		Queries: []Query{
			{Expr: named("max by (cluster_name, instance) (rate(process_cpu_seconds_total{" + workerTargets + "}[$__rate_interval]))")},
			{Expr: of("process_resident_memory_bytes")},
			{Expr: of("go_memstats_heap_inuse_bytes")},
			{Expr: of("go_goroutines")},
			{Expr: of("process_open_fds")},
			{Expr: of("scrape_samples_scraped")},
			{Expr: of("scrape_duration_seconds")},
			{Expr: named("time() - max by (cluster_name, instance) (process_start_time_seconds{" + workerTargets + "})")},
			{Expr: named("group by (cluster_name, instance, version) (stackscope_build_info{" + workerTargets + "})")},
		},
		Columns: []Column{
			{Title: "Worker", Label: varWorker, Width: 170, Link: To("gpustack-worker", "Show this worker", varCluster, "${__data.fields.cluster_name}", varWorker, "${__data.fields.worker_name}")},
			{Title: "Target", Label: "instance", Width: 150},
			{Title: "Cluster", Label: varCluster, Width: 86},
			{Title: "Version", Label: "version", Width: 90},
			{Title: "CPU", Query: 1, Unit: "percentunit", Decimals: new(1), Thresholds: limits(0.1, 0.5)},
			{Title: "Memory", Query: 2, Unit: "bytes", Decimals: new(0), Thresholds: limits(200<<20, 1<<30)},
			{Title: "Heap", Query: 3, Unit: "bytes", Decimals: new(0)},
			{Title: "Goroutines", Query: 4, Unit: "short"},
			{Title: "Open files", Query: 5, Unit: "short"},
			{Title: "Page", Query: 6, Unit: "short"},
			{Title: "Scrape", Query: 7, Unit: "s", Thresholds: limits(2, 4)},
			{Title: "Up for", Query: 8, Unit: "s", Decimals: new(0)},
		},
	}
}

// processesOverTime shows the server and the workers that cost most.
func processesOverTime() []Panel {
	const server = `job="gpustack-server"`
	panel := func(title, description, unit, of, rank string) Panel {
		byInstance := func(expr, selector string) string {
			return "max by (instance) (" + strings.ReplaceAll(expr, "{}", "{"+selector+"}") + ")"
		}
		return Panel{
			Kind: TimeSeries, W: 8, Title: title, Description: description, Unit: unit, Min: new(0.0),
			Queries: []Query{
				{Expr: byInstance(of, server), Legend: "server {{instance}}"},
				{Expr: named(top(7, "instance", byInstance(of, workerTargets), byInstance(rank, workerTargets))), Legend: "{{worker_name}}"},
			},
		}
	}
	gauge := func(title, description, unit, metric string) Panel {
		return panel(title, description, unit, metric+"{}", "max_over_time("+metric+"{}[$__range] @ end())")
	}
	counter := func(title, description, unit, metric string) Panel {
		rate := "rate(" + metric + "{}[$__rate_interval])"
		return panel(title, description, unit, rate, overRange(rate))
	}
	return []Panel{
		counter("CPU, server and busiest workers", "Cores that each process keeps busy; 100 % is one core. The server's peaks are queries and compactions. A worker above a tenth of a core: look at the size of its engines' pages.", "percentunit", "process_cpu_seconds_total"),
		gauge("Memory, server and largest workers", "Resident memory of each process. It settles within an hour; one that climbs for days leaks, and a peak of the server is mostly a large query.", "bytes", "process_resident_memory_bytes"),
		gauge("Heap in use", "Memory that Go's heap uses: what the process itself needs. Resident memory far above it is what the runtime keeps for later, and no harm.", "bytes", "go_memstats_heap_inuse_bytes"),
		gauge("Goroutines", "Threads of work in each process. They follow requests and targets; a line that only climbs means that something hangs: restart the process and please report it.", "short", "go_goroutines"),
		counter("Garbage collection pauses", "Time in each second that a process stood still to collect garbage. Far below 1 % is normal; more: the machine is short of memory or CPU.", "percentunit", "go_gc_duration_seconds_sum"),
		gauge("Open files", "Files and connections that each process has open. Some hundreds at most; the limit is process_max_fds, and a climb towards it ends in refused connections.", "short", "process_open_fds"),
	}
}
