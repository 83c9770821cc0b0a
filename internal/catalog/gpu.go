package catalog

// Labels of a metric about one GPU, or about one chip of a board that has several.
const (
	// LabelGPUIndex is the index that the vendor's own tool shows for the GPU.
	LabelGPUIndex = "gpu_index"
	LabelGPUName  = "gpu_name"
	// LabelGPUChipIndex is the chip on its board; "0" on boards with one chip.
	LabelGPUChipIndex = "gpu_chip_index"
	LabelVendor       = "vendor"
)

func gpuLabels(more ...string) []string {
	return append([]string{LabelGPUIndex, LabelGPUName, LabelGPUChipIndex}, more...)
}

// Metrics of a worker's GPUs (specification, "Worker Metrics"; GPUStack's exporter). All carry worker_id and worker_name.
var (
	GPUInfo = Metric{Name: Prefix + "worker_node_gpu_info", Type: Gauge, Help: "Identity of a GPU; the value is 1. A lost GPU keeps this metric for a week.", Labels: gpuLabels("uuid", LabelVendor, "pci_address", "driver_version", "firmware_version")}
	// GPUInfoGPUStack is GPUInfo under the name that GPUStack gives it, the only one of its metrics without the prefix.
	GPUInfoGPUStack = Metric{Name: "worker_node_gpu_info", Type: Gauge, Help: "The same as gpustack:worker_node_gpu_info under GPUStack's name, for its users' dashboards and rules; lost GPUs do not have it.", Labels: GPUInfo.Labels}
	GPUCores        = Metric{Name: Prefix + "worker_node_gpu_cores", Type: Gauge, Help: "Cores of a GPU, as its vendor counts them.", Labels: gpuLabels()}
	GPUUtilization  = Metric{Name: Prefix + "worker_node_gpu_utilization_rate", Type: Gauge, Help: "Share of time in which a GPU had work, as its driver reports it, 0 to 100. It does not say how much of the GPU worked.", Labels: gpuLabels()}
	GPUTemperature  = Metric{Name: Prefix + "worker_node_gpu_temperature_celsius", Type: Gauge, Help: "Temperature of a GPU.", Labels: gpuLabels()}
	GPUPowerLimit   = Metric{Name: Prefix + "worker_node_gpu_power_limit_watts", Type: Gauge, Help: "Power limit of a GPU.", Labels: gpuLabels()}
	GPUPowerUsed    = Metric{Name: Prefix + "worker_node_gpu_power_used_watts", Type: Gauge, Help: "Power that a GPU draws now.", Labels: gpuLabels()}
	GRAMTotal       = Metric{Name: Prefix + "worker_node_gram_total_bytes", Type: Gauge, Help: "Memory of a GPU.", Labels: gpuLabels()}
	GRAMAllocated   = Metric{Name: Prefix + "worker_node_gram_allocated_bytes", Type: Gauge, Help: "GPU memory that is attributed to known model instances.", Labels: gpuLabels()}
	GRAMUsed        = Metric{Name: Prefix + "worker_node_gram_used_bytes", Type: Gauge, Help: "GPU memory in use.", Labels: gpuLabels()}
	GRAMUtilization = Metric{Name: Prefix + "worker_node_gram_utilization_rate", Type: Gauge, Help: "Share of GPU memory in use, 0 to 100.", Labels: gpuLabels()}
)

// Metrics of GPUs beyond GPUStack's.
var (
	GPUUp                = Metric{Name: Prefix + "gpu_up", Type: Gauge, Help: "Whether a GPU that was seen before is present and can be read (1) or not (0).", Labels: gpuLabels()}
	GPUSMActive          = Metric{Name: Prefix + "gpu_sm_active_ratio", Type: Gauge, Help: "Share of a GPU's multiprocessors (SMs) that had work, 0 to 1.", Labels: gpuLabels()}
	GPUSMOccupancy       = Metric{Name: Prefix + "gpu_sm_occupancy_ratio", Type: Gauge, Help: "Resident warps of a GPU's multiprocessors as a share of their maximum, 0 to 1.", Labels: gpuLabels()}
	GPUTensorActive      = Metric{Name: Prefix + "gpu_tensor_active_ratio", Type: Gauge, Help: "Share of time in which a GPU's tensor or matrix cores had work, 0 to 1.", Labels: gpuLabels()}
	GPUDRAMActive        = Metric{Name: Prefix + "gpu_dram_active_ratio", Type: Gauge, Help: "Share of time in which a GPU's memory was read or written, 0 to 1.", Labels: gpuLabels()}
	GPUMemoryTemperature = Metric{Name: Prefix + "gpu_memory_temperature_celsius", Type: Gauge, Help: "Temperature of a GPU's memory.", Labels: gpuLabels()}
	GPUEnergy            = Metric{Name: Prefix + "gpu_energy_joules", Type: Counter, Help: "Energy that a GPU used: the GPU's own counter or, if it has none, its power summed by the worker.", Labels: gpuLabels()}
	GPUClock             = Metric{Name: Prefix + "gpu_clock_hertz", Type: Gauge, Help: "Clock of a GPU domain: sm, memory, graphics or video.", Labels: gpuLabels("clock")}
	GPUClockMax          = Metric{Name: Prefix + "gpu_clock_max_hertz", Type: Gauge, Help: "Maximum clock of a GPU domain.", Labels: gpuLabels("clock")}
	GPUClockDeficit      = Metric{Name: Prefix + "gpu_clock_deficit_ratio", Type: Gauge, Help: "How far the clock of a GPU domain is below its maximum, 0 to 1. Idle GPUs lower their clocks.", Labels: gpuLabels("clock")}
	GPUThrottled         = Metric{Name: Prefix + "gpu_throttled_seconds", Type: Counter, Help: "Time in which a GPU was throttled, by reason.", Labels: gpuLabels("reason")}
	GPUFanSpeed          = Metric{Name: Prefix + "gpu_fan_speed_ratio", Type: Gauge, Help: "Fan speed of a GPU as a share of its maximum.", Labels: gpuLabels("fan")}

	GPUECCErrors       = Metric{Name: Prefix + "gpu_ecc_errors", Type: Counter, Help: "Memory errors of a GPU since its driver was loaded, by kind (corrected, uncorrected) and location.", Labels: gpuLabels("kind", "location")}
	GPURemappedRows    = Metric{Name: Prefix + "gpu_remapped_rows", Type: Gauge, Help: "Rows or pages of GPU memory that were retired since manufacture, by cause (corrected, uncorrected).", Labels: gpuLabels("cause")}
	GPURowRemapPending = Metric{Name: Prefix + "gpu_row_remap_pending", Type: Gauge, Help: "Whether rows or pages wait for a reset to be taken out of use (1) or not (0).", Labels: gpuLabels()}
	GPURowRemapFailed  = Metric{Name: Prefix + "gpu_row_remap_failed", Type: Gauge, Help: "Whether a row could not be taken out of use (1) or not (0).", Labels: gpuLabels()}

	GPUPCIeReplays        = Metric{Name: Prefix + "gpu_pcie_replays", Type: Counter, Help: "PCIe packets that a GPU had to send again.", Labels: gpuLabels()}
	GPUPCIeReceive        = Metric{Name: Prefix + "gpu_pcie_receive_bytes_per_second", Type: Gauge, Help: "Rate at which a GPU receives data over PCIe, as the driver measures it.", Labels: gpuLabels()}
	GPUPCIeTransmit       = Metric{Name: Prefix + "gpu_pcie_transmit_bytes_per_second", Type: Gauge, Help: "Rate at which a GPU sends data over PCIe, as the driver measures it.", Labels: gpuLabels()}
	GPUPCIeGeneration     = Metric{Name: Prefix + "gpu_pcie_link_generation", Type: Gauge, Help: "PCIe generation of a GPU's link now.", Labels: gpuLabels()}
	GPUPCIeGenerationMax  = Metric{Name: Prefix + "gpu_pcie_link_generation_max", Type: Gauge, Help: "Highest PCIe generation that a GPU supports in its slot.", Labels: gpuLabels()}
	GPUPCIeWidth          = Metric{Name: Prefix + "gpu_pcie_link_width", Type: Gauge, Help: "PCIe lanes that a GPU uses now.", Labels: gpuLabels()}
	GPUPCIeWidthMax       = Metric{Name: Prefix + "gpu_pcie_link_width_max", Type: Gauge, Help: "PCIe lanes that a GPU supports in its slot.", Labels: gpuLabels()}
	GPULinkUp             = Metric{Name: Prefix + "gpu_link_up", Type: Gauge, Help: "Whether a link between GPUs (nvlink, xgmi, hccs ...) is up (1) or not (0).", Labels: gpuLabels("link_type", "link")}
	GPULinkErrors         = Metric{Name: Prefix + "gpu_link_errors", Type: Counter, Help: "Errors of a link between GPUs, by kind.", Labels: gpuLabels("link_type", "link", "error")}
	GPULinkReceivedBytes  = Metric{Name: Prefix + "gpu_link_received_bytes", Type: Counter, Help: "Bytes that a GPU received over a link between GPUs.", Labels: gpuLabels("link_type", "link")}
	GPULinkTransmitted    = Metric{Name: Prefix + "gpu_link_transmitted_bytes", Type: Counter, Help: "Bytes that a GPU sent over a link between GPUs.", Labels: gpuLabels("link_type", "link")}
	GPULinkReceiveRate    = Metric{Name: Prefix + "gpu_link_receive_bytes_per_second", Type: Gauge, Help: "Rate at which a GPU receives over a link between GPUs, for GPUs that have no byte counters.", Labels: gpuLabels("link_type", "link")}
	GPULinkTransmitRate   = Metric{Name: Prefix + "gpu_link_transmit_bytes_per_second", Type: Gauge, Help: "Rate at which a GPU sends over a link between GPUs, for GPUs that have no byte counters.", Labels: gpuLabels("link_type", "link")}
	GPUErrorEvents        = Metric{Name: Prefix + "gpu_error_events", Type: Counter, Help: "Errors that the driver or the kernel log reported for a GPU, by kind and code; the count survives restarts of the worker.", Labels: gpuLabels("kind", "code", "severity")}
	GPUErrorLastTimestamp = Metric{Name: Prefix + "gpu_error_last_timestamp_seconds", Type: Gauge, Help: "Unix time of a GPU's last error of a kind and code.", Labels: gpuLabels("kind", "code")}
	GPURecommendedAction  = Metric{Name: Prefix + "gpu_recommended_action", Type: Gauge, Help: "Recommended action for a GPU (none, restart_app, reset, drain, reboot, replace) and its reason; the value is 1.", Labels: gpuLabels("action", "reason")}
	GPUMemoryUnaccounted  = Metric{Name: Prefix + "gpu_memory_unaccounted_bytes", Type: Gauge, Help: "GPU memory in use that is not attributed to a known model instance.", Labels: gpuLabels()}

	GPUSliceInfo        = Metric{Name: Prefix + "gpu_slice_info", Type: Gauge, Help: "Slice of a GPU (MIG instance, vGPU, vNPU); the value is 1.", Labels: gpuLabels("slice", "slice_uuid", "parent_uuid", "profile", "gpu_instance", "compute_instance")}
	GPUSliceMemoryTotal = Metric{Name: Prefix + "gpu_slice_memory_total_bytes", Type: Gauge, Help: "Memory of a GPU slice.", Labels: gpuLabels("slice")}
	GPUSliceMemoryUsed  = Metric{Name: Prefix + "gpu_slice_memory_used_bytes", Type: Gauge, Help: "Memory of a GPU slice in use.", Labels: gpuLabels("slice")}
	GPUSliceUtilization = Metric{Name: Prefix + "gpu_slice_utilization_ratio", Type: Gauge, Help: "Utilization of a GPU slice, 0 to 1 of the slice.", Labels: gpuLabels("slice")}

	GPUExpected         = Metric{Name: Prefix + "gpu_expected", Type: Gauge, Help: "GPUs that this node should have: --expected-gpus or those that were seen before.", Labels: []string{LabelVendor}}
	GPUPresent          = Metric{Name: Prefix + "gpu_present", Type: Gauge, Help: "GPUs that can be read now.", Labels: []string{LabelVendor}}
	GPULost             = Metric{Name: Prefix + "gpu_lost", Type: Counter, Help: "Times that a GPU disappeared.", Labels: []string{LabelVendor}}
	GPUDriverResponsive = Metric{Name: Prefix + "gpu_driver_responsive", Type: Gauge, Help: "Whether the driver or tool of a vendor answers (1) or hangs (0).", Labels: []string{LabelVendor}}
)

// GPU lists the metrics of a worker's GPUs in the order in which they are exported.
var GPU = []Metric{
	GPUInfo, GPUInfoGPUStack, GPUCores, GPUUtilization, GPUTemperature, GPUPowerLimit, GPUPowerUsed,
	GRAMTotal, GRAMAllocated, GRAMUsed, GRAMUtilization,
	GPUUp, GPUSMActive, GPUSMOccupancy, GPUTensorActive, GPUDRAMActive, GPUMemoryTemperature, GPUEnergy,
	GPUClock, GPUClockMax, GPUClockDeficit, GPUThrottled, GPUFanSpeed,
	GPUECCErrors, GPURemappedRows, GPURowRemapPending, GPURowRemapFailed,
	GPUPCIeReplays, GPUPCIeReceive, GPUPCIeTransmit, GPUPCIeGeneration, GPUPCIeGenerationMax, GPUPCIeWidth, GPUPCIeWidthMax,
	GPULinkUp, GPULinkErrors, GPULinkReceivedBytes, GPULinkTransmitted, GPULinkReceiveRate, GPULinkTransmitRate,
	GPUErrorEvents, GPUErrorLastTimestamp, GPURecommendedAction, GPUMemoryUnaccounted,
	GPUSliceInfo, GPUSliceMemoryTotal, GPUSliceMemoryUsed, GPUSliceUtilization,
	GPUExpected, GPUPresent, GPULost, GPUDriverResponsive,
}
