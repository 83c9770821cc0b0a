package catalog

// Families of a worker's machine (specification, "Worker Metrics"). All carry worker_id and worker_name.
var (
	WorkerNodeOS                = Metric{Name: Prefix + "worker_node_os_info", Type: Gauge, Help: "Operating system of the worker node; the value is 1.", Labels: []string{"name", "version"}}
	WorkerNodeKernel            = Metric{Name: Prefix + "worker_node_kernel_info", Type: Gauge, Help: "Kernel of the worker node; the value is 1.", Labels: []string{"name", "release", "version", "architecture"}}
	WorkerNodeUptime            = Metric{Name: Prefix + "worker_node_uptime_seconds", Type: Gauge, Help: "Time since the worker node booted."}
	WorkerNodeCPUCores          = Metric{Name: Prefix + "worker_node_cpu_cores", Type: Gauge, Help: "Logical CPU cores of the worker node."}
	WorkerNodeCPUUtilization    = Metric{Name: Prefix + "worker_node_cpu_utilization_rate", Type: Gauge, Help: "CPU utilization of the worker node, 0 to 100."}
	WorkerNodeMemoryTotal       = Metric{Name: Prefix + "worker_node_memory_total_bytes", Type: Gauge, Help: "Memory of the worker node."}
	WorkerNodeMemoryUsed        = Metric{Name: Prefix + "worker_node_memory_used_bytes", Type: Gauge, Help: "Memory in use on the worker node."}
	WorkerNodeMemoryUtilization = Metric{Name: Prefix + "worker_node_memory_utilization_rate", Type: Gauge, Help: "Share of memory in use on the worker node, 0 to 100."}

	WorkerNodeFilesystemTotal       = Metric{Name: Prefix + "worker_node_filesystem_total_bytes", Type: Gauge, Help: "Size of a filesystem.", Labels: []string{"mountpoint"}}
	WorkerNodeFilesystemUsed        = Metric{Name: Prefix + "worker_node_filesystem_used_bytes", Type: Gauge, Help: "Used space of a filesystem.", Labels: []string{"mountpoint"}}
	WorkerNodeFilesystemUtilization = Metric{Name: Prefix + "worker_node_filesystem_utilization_rate", Type: Gauge, Help: "Share of a filesystem in use, 0 to 100.", Labels: []string{"mountpoint"}}
)

// WorkerNode lists the families of a worker's machine in the order in which they are exported.
var WorkerNode = []Metric{
	WorkerNodeOS, WorkerNodeKernel, WorkerNodeUptime, WorkerNodeCPUCores, WorkerNodeCPUUtilization,
	WorkerNodeMemoryTotal, WorkerNodeMemoryUsed, WorkerNodeMemoryUtilization,
	WorkerNodeFilesystemTotal, WorkerNodeFilesystemUsed, WorkerNodeFilesystemUtilization,
}

// Families that a worker exports about its own work.
var (
	RuntimeScrapeSuccess  = Metric{Name: Prefix + "runtime_scrape_success", Type: Gauge, Help: "Whether the engine's metrics page could be read and translated (1) or not (0)."}
	RuntimeScrapeDuration = Metric{Name: Prefix + "runtime_scrape_duration_seconds", Type: Gauge, Help: "Time that fetching and translating the engine's metrics page took."}
	RuntimeParseErrors    = Metric{Name: Prefix + "runtime_parse_errors", Type: Counter, Help: "Lines of the engine's metrics page that could not be read and were left out."}
	RuntimeDuplicates     = Metric{Name: Prefix + "runtime_dropped_duplicates", Type: Counter, Help: "Samples of the engine's metrics page that were left out because their series was already there."}
	CollectorSuccess      = Metric{Name: Prefix + "collector_success", Type: Gauge, Help: "Whether a collector of the worker succeeded (1) or not (0).", Labels: []string{"collector"}}
	CollectorDuration     = Metric{Name: Prefix + "collector_duration_seconds", Type: Gauge, Help: "Time that a collector of the worker took.", Labels: []string{"collector"}}
	MetricsConfigApplied  = Metric{Name: Prefix + "metrics_config_applied_generation", Type: Gauge, Help: "Generation of the metrics mapping that the worker applies; 0 is the built-in default."}
	BuildInfo             = Metric{Name: "stackscope_build_info", Type: Gauge, Help: "Build of this stackscope; the value is 1.", Labels: []string{"version", "revision", "goversion"}}
)

// WorkerOwn lists the families that a worker exports about its own work, in the order in which they are exported.
var WorkerOwn = []Metric{
	RuntimeScrapeSuccess, RuntimeScrapeDuration, RuntimeParseErrors, RuntimeDuplicates,
	CollectorSuccess, CollectorDuration, MetricsConfigApplied, BuildInfo,
}
