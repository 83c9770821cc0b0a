package dashboards

func workerSystems() []Panel {
	most := func(family, labels string) string {
		return `max by (worker_name` + labels + `) (` + onWorkers(family) + `)`
	}
	return []Panel{
		{
			Kind: Table, Title: "Operating systems and drivers", H: 7, SortBy: "Up for",
			Description: "Operating system, kernel and time since the boot of each worker. Nodes of one kind should be alike: if one node is slow, check for a different kernel or driver first. An unexpected reboot: look for a power failure or a kernel panic.",
			Queries: []Query{
				{Expr: most("gpustack:worker_node_os_info", ", name, version")},
				{Expr: most("gpustack:worker_node_kernel_info", ", release, architecture")},
				{Expr: most("gpustack:worker_node_gpu_info", ", vendor, driver_version")},
				{Expr: most("gpustack:worker_node_uptime_seconds", "")},
			},
			Columns: []Column{
				{Title: "Worker", Label: "worker_name", Link: toWorker()},
				{Title: "System", Label: "name"},
				{Title: "Version", Label: "version"},
				{Title: "Kernel", Label: "release"},
				{Title: "Architecture", Label: "architecture"},
				{Title: "GPUs", Label: "vendor"},
				{Title: "Driver", Label: "driver_version"},
				{Title: "Up for", Query: 4, Unit: "s", Decimals: new(1)},
				{Title: "os", Query: 1, Hidden: true},
				{Title: "kernel", Query: 2, Hidden: true},
				{Title: "driver", Query: 3, Hidden: true},
			},
		},
		{
			Kind: Table, W: 12, Title: "Collectors", SortBy: "Took",
			Description: "What the worker reads, and how long the last reading took. Failed: the collector's metrics are missing; the worker's log says why. Over 1 s: a driver or filesystem is slow, and values are older than they look.",
			Queries: []Query{
				{Expr: `min by (worker_name, collector) (` + onWorkers("gpustack:collector_success") + `)`},
				{Expr: `max by (worker_name, collector) (` + onWorkers("gpustack:collector_duration_seconds") + `)`},
			},
			Columns: []Column{
				{Title: "Worker", Label: "worker_name"},
				{Title: "Collector", Label: "collector"},
				{Title: "Result", Query: 1, Values: []Value{{Value: 1, Text: "good", Color: "green"}, {Value: 0, Text: "failed", Color: "red"}}},
				{Title: "Took", Query: 2, Unit: "s", Thresholds: limits(1, 3)},
			},
		},
		{
			Kind: Table, W: 12, Title: "GPU drivers", SortBy: "Missing",
			Description: "Expected and missing GPUs of each vendor, and whether the driver answers. A driver that hangs needs its processes ended or the node rebooted. The dashboard GPU health names missing GPUs.",
			NoValue:     "no GPUs on these workers",
			Queries: []Query{
				{Expr: `min by (worker_name, vendor) (` + onWorkers("gpustack:gpu_driver_responsive") + `)`},
				{Expr: `max by (worker_name, vendor) (` + onWorkers("gpustack:gpu_expected") + `)`},
				{Expr: `max by (worker_name, vendor) (` + onWorkers("gpustack:gpu_expected") + `) - max by (worker_name, vendor) (` + onWorkers("gpustack:gpu_present") + `)`},
			},
			Columns: []Column{
				{Title: "Worker", Label: "worker_name"},
				{Title: "Vendor", Label: "vendor"},
				{Title: "Driver", Query: 1, Values: []Value{{Value: 1, Text: "answers", Color: "green"}, {Value: 0, Text: "hangs", Color: "red"}}},
				{Title: "Expected", Query: 2},
				{Title: "Missing", Query: 3, Thresholds: bad(1)},
			},
		},
	}
}
