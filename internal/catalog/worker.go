package catalog

// Metrics of a worker's machine (specification, "Worker Metrics"). All carry worker_id and worker_name.
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

	WorkerNodeLoad1     = Metric{Name: Prefix + "worker_node_load1", Type: Gauge, Help: "Processes that run or wait on the worker node, mean of one minute."}
	WorkerNodeLoad5     = Metric{Name: Prefix + "worker_node_load5", Type: Gauge, Help: "Processes that run or wait on the worker node, mean of five minutes."}
	WorkerNodeLoad15    = Metric{Name: Prefix + "worker_node_load15", Type: Gauge, Help: "Processes that run or wait on the worker node, mean of fifteen minutes."}
	WorkerNodeSwapTotal = Metric{Name: Prefix + "worker_node_swap_total_bytes", Type: Gauge, Help: "Swap space of the worker node."}
	WorkerNodeSwapUsed  = Metric{Name: Prefix + "worker_node_swap_used_bytes", Type: Gauge, Help: "Swap space in use on the worker node."}
	WorkerNodePressure  = Metric{Name: Prefix + "worker_node_pressure_stalled_seconds", Type: Counter, Help: "Time in which some or all (full) tasks of the worker node waited for a resource (cpu, memory, io), as the kernel's pressure stall information says.", Labels: []string{"resource", "share"}}

	WorkerNodeDiskReadBytes    = Metric{Name: Prefix + "worker_node_disk_read_bytes", Type: Counter, Help: "Bytes read from a disk.", Labels: []string{"device"}}
	WorkerNodeDiskWrittenBytes = Metric{Name: Prefix + "worker_node_disk_written_bytes", Type: Counter, Help: "Bytes written to a disk.", Labels: []string{"device"}}
	WorkerNodeDiskReads        = Metric{Name: Prefix + "worker_node_disk_reads_completed", Type: Counter, Help: "Reads that a disk completed.", Labels: []string{"device"}}
	WorkerNodeDiskWrites       = Metric{Name: Prefix + "worker_node_disk_writes_completed", Type: Counter, Help: "Writes that a disk completed.", Labels: []string{"device"}}
	WorkerNodeDiskBusy         = Metric{Name: Prefix + "worker_node_disk_io_time_seconds", Type: Counter, Help: "Time in which a disk had work.", Labels: []string{"device"}}

	WorkerNodeNetworkReceived        = Metric{Name: Prefix + "worker_node_network_receive_bytes", Type: Counter, Help: "Bytes received by a network device.", Labels: []string{"device"}}
	WorkerNodeNetworkTransmitted     = Metric{Name: Prefix + "worker_node_network_transmit_bytes", Type: Counter, Help: "Bytes sent by a network device.", Labels: []string{"device"}}
	WorkerNodeNetworkReceiveErrors   = Metric{Name: Prefix + "worker_node_network_receive_errors", Type: Counter, Help: "Packets that a network device received with errors.", Labels: []string{"device"}}
	WorkerNodeNetworkTransmitErrors  = Metric{Name: Prefix + "worker_node_network_transmit_errors", Type: Counter, Help: "Packets that a network device could not send.", Labels: []string{"device"}}
	WorkerNodeNetworkReceiveDropped  = Metric{Name: Prefix + "worker_node_network_receive_dropped", Type: Counter, Help: "Packets that a network device received and dropped.", Labels: []string{"device"}}
	WorkerNodeNetworkTransmitDropped = Metric{Name: Prefix + "worker_node_network_transmit_dropped", Type: Counter, Help: "Packets to send that a network device dropped.", Labels: []string{"device"}}
	WorkerNodeNetworkUp              = Metric{Name: Prefix + "worker_node_network_up", Type: Gauge, Help: "Whether a network device is up (1) or not (0).", Labels: []string{"device"}}
	WorkerNodeNetworkSpeed           = Metric{Name: Prefix + "worker_node_network_speed_bytes_per_second", Type: Gauge, Help: "Speed at which a network device is linked.", Labels: []string{"device"}}
	WorkerNodeInfiniBandPortState    = Metric{Name: Prefix + "worker_node_infiniband_port_state", Type: Gauge, Help: "Logical state of an InfiniBand or RoCE port: the current state (active, armed, init, down) has the value 1, others are absent.", Labels: []string{"device", "port", "link_layer", "state"}}
	WorkerNodeInfiniBandPortUp       = Metric{Name: Prefix + "worker_node_infiniband_port_up", Type: Gauge, Help: "Whether an InfiniBand or RoCE port has its physical link and is active (1) or not (0).", Labels: []string{"device", "port"}}
	WorkerNodeInfiniBandRate         = Metric{Name: Prefix + "worker_node_infiniband_rate_bytes_per_second", Type: Gauge, Help: "Rate at which an InfiniBand or RoCE port is linked.", Labels: []string{"device", "port"}}
	WorkerNodeInfiniBandReceived     = Metric{Name: Prefix + "worker_node_infiniband_receive_bytes", Type: Counter, Help: "Bytes received by an InfiniBand or RoCE port.", Labels: []string{"device", "port"}}
	WorkerNodeInfiniBandTransmitted  = Metric{Name: Prefix + "worker_node_infiniband_transmit_bytes", Type: Counter, Help: "Bytes sent by an InfiniBand or RoCE port.", Labels: []string{"device", "port"}}
	WorkerNodeInfiniBandErrors       = Metric{Name: Prefix + "worker_node_infiniband_errors", Type: Counter, Help: "Errors of an InfiniBand or RoCE port, by kind as the kernel names it.", Labels: []string{"device", "port", "error"}}
	WorkerNodeInfiniBandLinkDowned   = Metric{Name: Prefix + "worker_node_infiniband_link_downed", Type: Counter, Help: "Times that the link of an InfiniBand or RoCE port went down.", Labels: []string{"device", "port"}}
)

// WorkerNode lists the metrics of a worker's machine in the order in which they are exported.
var WorkerNode = []Metric{
	WorkerNodeOS, WorkerNodeKernel, WorkerNodeUptime, WorkerNodeCPUCores, WorkerNodeCPUUtilization,
	WorkerNodeMemoryTotal, WorkerNodeMemoryUsed, WorkerNodeMemoryUtilization,
	WorkerNodeFilesystemTotal, WorkerNodeFilesystemUsed, WorkerNodeFilesystemUtilization,
	WorkerNodeLoad1, WorkerNodeLoad5, WorkerNodeLoad15, WorkerNodeSwapTotal, WorkerNodeSwapUsed, WorkerNodePressure,
	WorkerNodeDiskReadBytes, WorkerNodeDiskWrittenBytes, WorkerNodeDiskReads, WorkerNodeDiskWrites, WorkerNodeDiskBusy,
	WorkerNodeNetworkReceived, WorkerNodeNetworkTransmitted, WorkerNodeNetworkReceiveErrors, WorkerNodeNetworkTransmitErrors,
	WorkerNodeNetworkReceiveDropped, WorkerNodeNetworkTransmitDropped, WorkerNodeNetworkUp, WorkerNodeNetworkSpeed,
	WorkerNodeInfiniBandPortState, WorkerNodeInfiniBandPortUp, WorkerNodeInfiniBandRate,
	WorkerNodeInfiniBandReceived, WorkerNodeInfiniBandTransmitted, WorkerNodeInfiniBandErrors, WorkerNodeInfiniBandLinkDowned,
}

// Metrics that a worker exports about its own work.
var (
	RuntimeScrapeSuccess  = Metric{Name: Prefix + "runtime_scrape_success", Type: Gauge, Help: "Whether the engine's metrics page was read and translated (1) or not (0)."}
	RuntimeScrapeDuration = Metric{Name: Prefix + "runtime_scrape_duration_seconds", Type: Gauge, Help: "Time that fetching and translating the engine's metrics page took."}
	RuntimeParseErrors    = Metric{Name: Prefix + "runtime_parse_errors", Type: Counter, Help: "Lines of the engine's metrics page that could not be parsed and were dropped."}
	RuntimeDuplicates     = Metric{Name: Prefix + "runtime_dropped_duplicates", Type: Counter, Help: "Samples of the engine's metrics page that were dropped because the page had the same series before."}
	RuntimeCoverage       = Metric{Name: Prefix + "metrics_mapping_coverage_ratio", Type: Gauge, Help: "Share of the specification's metrics, 0 to 1, that the engine's last metrics page had samples for.", Labels: []string{"runtime_version"}}
	RuntimeUnmapped       = Metric{Name: Prefix + "runtime_unmapped_families", Type: Gauge, Help: "Metrics of the engine's last metrics page that the mapping does not use."}
	RuntimeUnselected     = Metric{Name: Prefix + "runtime_unselected_samples", Type: Gauge, Help: "Samples of the engine's last metrics page that no target of the mapping takes although the mapping names their metric, by native metric and by the option that excludes their labels: match or value_from. The 16 metrics with the most samples; the others together are \"other\".", Labels: []string{"family", "reason"}}
	RuntimeSeries         = Metric{Name: Prefix + "runtime_series", Type: Gauge, Help: "Unified series that the engine's last metrics page was translated to."}
	RuntimeTypeConflicts  = Metric{Name: Prefix + "runtime_type_conflicts", Type: Counter, Help: "Mapped metrics of the engine's metrics pages whose type does not fit the mapping."}
	RuntimeHistograms     = Metric{Name: Prefix + "runtime_invalid_histograms", Type: Counter, Help: "Histograms of the engine's metrics pages that are inconsistent and were passed on unchanged."}
	RuntimeDropped        = Metric{Name: Prefix + "runtime_dropped_samples", Type: Counter, Help: "Samples of the engine's metrics pages that were dropped, by reason: series_limit (the page has more series than the limit), memory (the pages of all engines need more than the memory budget).", Labels: []string{"reason"}}
	RuntimeModelsFolded   = Metric{Name: Prefix + "runtime_models_folded", Type: Gauge, Help: "Models of an engine's metrics page that names several which are beyond the limit of 32: the model_name of their samples is other."}
	RuntimeNewLeftOut     = Metric{Name: Prefix + "runtime_new_series_left_out", Type: Counter, Help: "Samples of the engine's metrics pages that were dropped because their series were new and --max-new-series-per-engine was reached, by metric and by the label with the most values among them. Series that are already known continue.", Labels: []string{"family", "label"}}
	GatewayUsers          = Metric{Name: Prefix + "gateway_users", Type: Gauge, Help: "Users of the gateway that have series of their own."}
	GatewayUsersFolded    = Metric{Name: Prefix + "gateway_users_folded", Type: Counter, Help: "Users of the gateway that are counted as user other: --user-limit was reached, or their name is too long."}
	CollectorSuccess      = Metric{Name: Prefix + "collector_success", Type: Gauge, Help: "Whether a collector of the worker succeeded (1) or not (0).", Labels: []string{"collector"}}
	CollectorDuration     = Metric{Name: Prefix + "collector_duration_seconds", Type: Gauge, Help: "Time that a collector of the worker took.", Labels: []string{"collector"}}
	DiscoveredEngines     = Metric{Name: Prefix + "discovered_engines", Type: Gauge, Help: "Engines that run now, by how they were found (declared, docker, process).", Labels: []string{"source"}}
	DiscoverySkipped      = Metric{Name: Prefix + "discovery_skipped", Type: Counter, Help: "Processes and containers that discovery skipped, by reason.", Labels: []string{"source", "reason"}}
	UnreportedInstances   = Metric{Name: "stackscope_unreported_instances", Type: Gauge, Help: "Model instances that the worker leaves out of its reports because the server would refuse them; the worker's log says why."}
	MetricsConfigApplied  = Metric{Name: Prefix + "metrics_config_applied_generation", Type: Gauge, Help: "Generation of the metrics mapping that the worker applies; 0 is the built-in default."}
	MissingAccess         = Metric{Name: "stackscope_missing_access", Type: Gauge, Help: "1 for each kind of access to its machine that the worker lacks, such as process_details or kernel_log; absent where nothing is missing.", Labels: []string{"access"}}
	BuildInfo             = Metric{Name: "stackscope_build_info", Type: Gauge, Help: "Build of this stackscope; the value is 1.", Labels: []string{"version", "revision", "goversion"}}
)

// WorkerOwn lists the metrics that a worker exports about its own work, in the order in which they are exported.
var WorkerOwn = []Metric{
	RuntimeScrapeSuccess, RuntimeScrapeDuration, RuntimeParseErrors, RuntimeDuplicates,
	RuntimeCoverage, RuntimeUnmapped, RuntimeUnselected, RuntimeSeries, RuntimeTypeConflicts, RuntimeHistograms, RuntimeModelsFolded, RuntimeDropped, RuntimeNewLeftOut,
	GatewayUsers, GatewayUsersFolded,
	CollectorSuccess, CollectorDuration, DiscoveredEngines, DiscoverySkipped, UnreportedInstances, MissingAccess, MetricsConfigApplied, BuildInfo,
}
