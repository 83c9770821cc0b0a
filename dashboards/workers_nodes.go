package dashboards

// Labels of a node's parts.
const (
	byDevice = "worker_name, device"
	byPort   = "worker_name, device, port"
)

// rateBy is a counter's rate on the chosen workers, added up by labels.
func rateBy(by, family string, matchers ...string) string {
	return `sum by (` + by + `) (rate(` + onWorkers(family, matchers...) + `[$__rate_interval]))`
}

// upAndDown are two counters in one panel, the second below zero, each with the ten series that had most in the time range.
func upAndDown(by, legend, up, upName, down, downName string) []Query {
	return []Query{
		{Expr: topRate(mostLines/2, by, rateBy(by, up)), Legend: legend + " " + upName},
		{Expr: `-(` + topRate(mostLines/2, by, rateBy(by, down)) + `)`, Legend: legend + " " + downName},
	}
}

func nodesOverTime() []Panel {
	cores := `max by (worker_name) (` + onWorkers("gpustack:worker_node_cpu_cores") + `)`
	const at = "; the 20 workers with the highest maximum in the time range"
	return []Panel{
		{
			Kind: TimeSeries, W: 8, Title: "CPU utilization", Unit: "percent", Min: new(0.0), Max: new(100.0), Thresholds: limits(80, 95),
			Description: "Share of a worker's cores that worked" + at + ". Red from 95 %: tokenizing and scheduling wait, and GPUs wait for them.",
			Queries:     []Query{{Expr: topGauge(mostLines, byWorker, "max", "gpustack:worker_node_cpu_utilization_rate", workerSelector), Legend: "{{worker_name}}"}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Load per core", Unit: "none", Min: new(0.0), Thresholds: limits(1, 2),
			Description: "Processes that run or wait, mean of one minute, divided by cores" + at + ". Above 1 something waits for a core or for a disk; pressure says for which.",
			Queries:     []Query{{Expr: top(mostLines, byWorker, `max by (worker_name) (`+onWorkers("gpustack:worker_node_load1")+`) / `+cores, `max by (worker_name) (max_over_time(`+onWorkers("gpustack:worker_node_load1")+`[$__range] @ end())) / `+cores), Legend: "{{worker_name}}"}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Pressure: share of time with stalled tasks", Unit: "percentunit", Min: new(0.0), Max: new(1.0), Thresholds: limits(0.2, 0.5),
			NoValue:     "this kernel has no pressure stall information, or it is off (boot parameter psi=1)",
			Description: "Share of time in which at least one task waited for CPU, memory or a disk, as the kernel counts it; the 20 highest in the time range. Memory above a few percent: swapping or reclaiming, engines stall. Disk: models are loaded or logs written. Orange from 20 %, red from 50 %: some task was stalled half of the time.",
			Queries:     []Query{{Expr: topRate(mostLines, "worker_name, resource", rateBy("worker_name, resource", "gpustack:worker_node_pressure_stalled_seconds_total", `share="some"`)), Legend: "{{worker_name}} {{resource}}"}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Memory used", Unit: "bytes", Min: new(0.0),
			Description: "Memory in use by worker; the 20 with the highest maximum in the time range. The table of workers has the share. Growth without end is a leak: compare with the instances' starts.",
			Queries:     []Query{{Expr: topGauge(mostLines, byWorker, "max", "gpustack:worker_node_memory_used_bytes", workerSelector), Legend: "{{worker_name}}"}},
		},
		{
			Kind: TimeSeries, W: 8, Title: "Swap used", Unit: "bytes", Min: new(0.0), NoValue: "no swap space here: memory that runs out ends processes",
			Description: "Swap space in use by worker; the 20 with the highest maximum in the time range. More than a little: memory is short; engines whose pages are swapped out answer late.",
			Queries:     []Query{{Expr: topGauge(mostLines, byWorker, "max", "gpustack:worker_node_swap_used_bytes", workerSelector), Legend: "{{worker_name}}"}},
		},
		{
			Kind: Table, W: 8, H: 8, Title: "Filesystems, the fullest first", SortBy: "Full",
			Description: "Filesystems of the workers. Orange from 80 %, red from 90 % full: the next model may not fit; remove unused models, or move the cache.",
			Queries: []Query{
				{Expr: `max by (worker_name, mountpoint) (` + onWorkers("gpustack:worker_node_filesystem_utilization_rate") + `)`},
				{Expr: `max by (worker_name, mountpoint) (` + onWorkers("gpustack:worker_node_filesystem_total_bytes") + `) - max by (worker_name, mountpoint) (` + onWorkers("gpustack:worker_node_filesystem_used_bytes") + `)`},
			},
			Columns: []Column{
				{Title: "Worker", Label: "worker_name", Link: toWorker()},
				{Title: "Mounted at", Label: "mountpoint"},
				{Title: "Full", Query: 1, Unit: "percent", Decimals: new(0), Bar: true, Max: 100, Thresholds: limits(80, 90), Width: 120},
				{Title: "Free", Query: 2, Unit: "bytes", Decimals: new(0), Width: 80},
			},
		},
	}
}

func nodeDisks() []Panel {
	return []Panel{
		{
			Kind: TimeSeries, W: 8, Title: "Disk reads (up) and writes (down)", Unit: "Bps", NoValue: "no disk of its own, as in most containers",
			Description: "Bytes read and written per second; the ten busiest disks of each kind in the time range. While an instance loads, reads are its model's weights: the disk limits the start.",
			Queries:     upAndDown(byDevice, "{{worker_name}} {{device}}", "gpustack:worker_node_disk_read_bytes_total", "read", "gpustack:worker_node_disk_written_bytes_total", "written"),
		},
		{
			Kind: TimeSeries, W: 8, Title: "Disk operations: reads (up), writes (down)", Unit: "iops", NoValue: "no disk of its own, as in most containers",
			Description: "Reads and writes completed per second; the ten busiest disks of each kind in the time range. Many small operations saturate a disk before its throughput does.",
			Queries:     upAndDown(byDevice, "{{worker_name}} {{device}}", "gpustack:worker_node_disk_reads_completed_total", "reads", "gpustack:worker_node_disk_writes_completed_total", "writes"),
		},
		{
			Kind: TimeSeries, W: 8, Title: "Disk busy", Unit: "percentunit", Min: new(0.0), Max: new(1.0), Thresholds: limits(0.8, 0.95), NoValue: "no disk of its own, as in most containers",
			Description: "Share of time in which a disk had work; the 20 busiest in the time range. Near 100 % a spinning or network disk is saturated; an NVMe disk may still have headroom.",
			Queries:     []Query{{Expr: topRate(mostLines, byDevice, rateBy(byDevice, "gpustack:worker_node_disk_io_time_seconds_total")), Legend: "{{worker_name}} {{device}}"}},
		},
	}
}

func nodeNetwork() []Panel {
	return []Panel{
		{
			Kind: TimeSeries, W: 8, Title: "Received (up) and sent (down)", Unit: "Bps",
			Description: "Bytes per second through network devices; the ten busiest of each direction in the time range. Near a device's speed (table) downloads and requests slow each other down.",
			Queries:     upAndDown(byDevice, "{{worker_name}} {{device}}", "gpustack:worker_node_network_receive_bytes_total", "in", "gpustack:worker_node_network_transmit_bytes_total", "out"),
		},
		{
			Kind: TimeSeries, W: 8, Title: "Errors: received (up), sending (down)", Unit: "pps",
			Description: "Packets with errors per second; the ten worst of each direction in the time range. Should be 0: check cable, transceiver and the switch's port.",
			Queries:     upAndDown(byDevice, "{{worker_name}} {{device}}", "gpustack:worker_node_network_receive_errors_total", "in", "gpustack:worker_node_network_transmit_errors_total", "out"),
		},
		{
			Kind: TimeSeries, W: 8, Title: "Dropped: received (up), to send (down)", Unit: "pps",
			Description: "Packets that a device dropped per second; the ten worst of each direction in the time range. A few received ones are unwanted broadcasts. Many: the queues are too short for bursts.",
			Queries:     upAndDown(byDevice, "{{worker_name}} {{device}}", "gpustack:worker_node_network_receive_dropped_total", "in", "gpustack:worker_node_network_transmit_dropped_total", "out"),
		},
		{
			Kind: Table, Title: "Network devices", H: 7, SortBy: "Received",
			Description: "Network devices with their state and the speed at which they are linked. A speed below the others' is a bad cable or transceiver; virtual devices have none.",
			Queries: []Query{
				{Expr: `min by (` + byDevice + `) (` + onWorkers("gpustack:worker_node_network_up") + `)`},
				{Expr: `max by (` + byDevice + `) (` + onWorkers("gpustack:worker_node_network_speed_bytes_per_second") + `)`},
				{Expr: rateBy(byDevice, "gpustack:worker_node_network_receive_bytes_total")},
				{Expr: rateBy(byDevice, "gpustack:worker_node_network_transmit_bytes_total")},
			},
			Columns: []Column{
				{Title: "Worker", Label: "worker_name"},
				{Title: "Device", Label: "device"},
				{Title: "State", Query: 1, Values: []Value{{Value: 1, Text: "up", Color: "green"}, {Value: 0, Text: "down", Color: "orange"}}},
				{Title: "Speed", Query: 2, Unit: "Bps"},
				{Title: "Received", Query: 3, Unit: "Bps"},
				{Title: "Sent", Query: 4, Unit: "Bps"},
			},
		},
	}
}

func nodeInfiniBand() []Panel {
	const none = "no InfiniBand or RoCE port on these workers"
	return []Panel{
		{
			Kind: TimeSeries, W: 12, Title: "Received (up) and sent (down)", Unit: "Bps", NoValue: none,
			Description: "Bytes per second through a port; the ten busiest of each direction in the time range. Multi-node instances depend on it: a port at its rate is the bottleneck, one at 0 while others are busy is not used.",
			Queries:     upAndDown(byPort, "{{worker_name}} {{device}}/{{port}}", "gpustack:worker_node_infiniband_receive_bytes_total", "in", "gpustack:worker_node_infiniband_transmit_bytes_total", "out"),
		},
		{
			Kind: TimeSeries, W: 12, Title: "Errors", Unit: "cps", Min: new(0.0), NoValue: none,
			Description: "Errors per second by kind, as the kernel names it; the 20 worst in the time range. Symbol errors and lost links: cable or transceiver. Discards and waits: the fabric is congested.",
			Queries: []Query{{
				Expr:   topRate(mostLines, byPort+", error", rateBy(byPort+", error", "gpustack:worker_node_infiniband_errors_total")),
				Legend: "{{worker_name}} {{device}}/{{port}} {{error}}",
			}},
		},
		{
			Kind: Table, Title: "Ports", H: 7, SortBy: "Link lost", NoValue: none,
			Description: "Ports with their state and rate. Anything but active: check the cable and the fabric's subnet manager. A rate below that of the others: a lane is lost. Link lost is how often in the time range.",
			Queries: []Query{
				{Expr: `max by (` + byPort + `, link_layer, state) (` + onWorkers("gpustack:worker_node_infiniband_port_state") + `)`},
				{Expr: `min by (` + byPort + `) (` + onWorkers("gpustack:worker_node_infiniband_port_up") + `)`},
				{Expr: `max by (` + byPort + `) (` + onWorkers("gpustack:worker_node_infiniband_rate_bytes_per_second") + `)`},
				{Expr: `sum by (` + byPort + `) (increase(` + onWorkers("gpustack:worker_node_infiniband_link_downed_total") + `[$__range]))`},
			},
			Columns: []Column{
				{Title: "Worker", Label: "worker_name"},
				{Title: "Device", Label: "device"},
				{Title: "Port", Label: "port"},
				{Title: "Layer", Label: "link_layer"},
				{Title: "State", Label: "state"},
				{Title: "Up", Query: 2, Values: []Value{{Value: 1, Text: "up", Color: "green"}, {Value: 0, Text: "down", Color: "red"}}},
				{Title: "Rate", Query: 3, Unit: "Bps"},
				{Title: "Link lost", Query: 4, Decimals: new(0), Thresholds: bad(1)},
			},
			Overrides: []Override{states("active", "green", "armed init", "orange", "down", "red")},
		},
	}
}
