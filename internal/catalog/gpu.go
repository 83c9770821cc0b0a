package catalog

// Labels of a family about one card, or about one chip of a card that has several.
const (
	// LabelGPUIndex is the index by which the vendor's own tool names the card.
	LabelGPUIndex = "gpu_index"
	LabelGPUName  = "gpu_name"
	// LabelGPUChipIndex is the chip on its card; "0" on cards with one chip.
	LabelGPUChipIndex = "gpu_chip_index"
	LabelVendor       = "vendor"
)

func gpuLabels(more ...string) []string {
	return append([]string{LabelGPUIndex, LabelGPUName, LabelGPUChipIndex}, more...)
}

// Families of a worker's cards (specification, "Worker Metrics"; GPUStack's exporter). All carry worker_id and worker_name.
var (
	GPUInfo         = Metric{Name: Prefix + "worker_node_gpu_info", Type: Gauge, Help: "Card with its identity; the value is 1. It stays while a lost card is expected.", Labels: gpuLabels("uuid", LabelVendor, "pci_address", "driver_version", "firmware_version")}
	GPUCores        = Metric{Name: Prefix + "worker_node_gpu_cores", Type: Gauge, Help: "Cores of a card as its vendor counts them.", Labels: gpuLabels()}
	GPUUtilization  = Metric{Name: Prefix + "worker_node_gpu_utilization_rate", Type: Gauge, Help: "Share of time in which a card had work, as its driver says, 0 to 100; it does not say how much of the card worked.", Labels: gpuLabels()}
	GPUTemperature  = Metric{Name: Prefix + "worker_node_gpu_temperature_celsius", Type: Gauge, Help: "Temperature of a card.", Labels: gpuLabels()}
	GPUPowerLimit   = Metric{Name: Prefix + "worker_node_gpu_power_limit_watts", Type: Gauge, Help: "Power that a card may draw.", Labels: gpuLabels()}
	GPUPowerUsed    = Metric{Name: Prefix + "worker_node_gpu_power_used_watts", Type: Gauge, Help: "Power that a card draws.", Labels: gpuLabels()}
	GRAMTotal       = Metric{Name: Prefix + "worker_node_gram_total_bytes", Type: Gauge, Help: "Memory of a card.", Labels: gpuLabels()}
	GRAMAllocated   = Metric{Name: Prefix + "worker_node_gram_allocated_bytes", Type: Gauge, Help: "Memory of a card that known model instances hold.", Labels: gpuLabels()}
	GRAMUsed        = Metric{Name: Prefix + "worker_node_gram_used_bytes", Type: Gauge, Help: "Memory of a card in use.", Labels: gpuLabels()}
	GRAMUtilization = Metric{Name: Prefix + "worker_node_gram_utilization_rate", Type: Gauge, Help: "Share of a card's memory in use, 0 to 100.", Labels: gpuLabels()}
)

// Families of cards beyond GPUStack's.
var (
	GPUUp                = Metric{Name: Prefix + "gpu_up", Type: Gauge, Help: "Whether a card that was once seen is there and can be read (1) or not (0).", Labels: gpuLabels()}
	GPUSMActive          = Metric{Name: Prefix + "gpu_sm_active_ratio", Type: Gauge, Help: "Share of a card's multiprocessors that worked, 0 to 1.", Labels: gpuLabels()}
	GPUSMOccupancy       = Metric{Name: Prefix + "gpu_sm_occupancy_ratio", Type: Gauge, Help: "Share of the warps that a card's multiprocessors could hold and held, 0 to 1.", Labels: gpuLabels()}
	GPUTensorActive      = Metric{Name: Prefix + "gpu_tensor_active_ratio", Type: Gauge, Help: "Share of time in which a card's tensor or matrix cores worked, 0 to 1.", Labels: gpuLabels()}
	GPUDRAMActive        = Metric{Name: Prefix + "gpu_dram_active_ratio", Type: Gauge, Help: "Share of time in which a card's memory was read or written, 0 to 1.", Labels: gpuLabels()}
	GPUMemoryTemperature = Metric{Name: Prefix + "gpu_memory_temperature_celsius", Type: Gauge, Help: "Temperature of a card's memory.", Labels: gpuLabels()}
	GPUEnergy            = Metric{Name: Prefix + "gpu_energy_joules", Type: Counter, Help: "Energy that a card used: its own counter or, where it has none, its power summed over time by the worker.", Labels: gpuLabels()}
	GPUClock             = Metric{Name: Prefix + "gpu_clock_hertz", Type: Gauge, Help: "Clock of a part of a card.", Labels: gpuLabels("clock")}
	GPUClockMax          = Metric{Name: Prefix + "gpu_clock_max_hertz", Type: Gauge, Help: "Highest clock of a part of a card.", Labels: gpuLabels("clock")}
	GPUClockDeficit      = Metric{Name: Prefix + "gpu_clock_deficit_ratio", Type: Gauge, Help: "How far the clock of a part of a card is below its maximum, 0 to 1; idle cards lower their clocks.", Labels: gpuLabels("clock")}
	GPUThrottled         = Metric{Name: Prefix + "gpu_throttled_seconds", Type: Counter, Help: "Time in which a card was held back, by reason.", Labels: gpuLabels("reason")}
	GPUFanSpeed          = Metric{Name: Prefix + "gpu_fan_speed_ratio", Type: Gauge, Help: "Speed of a card's fan as a share of its maximum.", Labels: gpuLabels("fan")}

	GPUECCErrors       = Metric{Name: Prefix + "gpu_ecc_errors", Type: Counter, Help: "Memory errors that a card found since its driver was loaded, by kind (corrected, uncorrected) and place.", Labels: gpuLabels("kind", "location")}
	GPURemappedRows    = Metric{Name: Prefix + "gpu_remapped_rows", Type: Gauge, Help: "Rows or pages of a card's memory taken out of use in its life, by cause (corrected, uncorrected).", Labels: gpuLabels("cause")}
	GPURowRemapPending = Metric{Name: Prefix + "gpu_row_remap_pending", Type: Gauge, Help: "Whether rows or pages wait for a reset to be taken out of use (1) or not (0).", Labels: gpuLabels()}
	GPURowRemapFailed  = Metric{Name: Prefix + "gpu_row_remap_failed", Type: Gauge, Help: "Whether a row could not be taken out of use (1) or not (0).", Labels: gpuLabels()}

	GPUPCIeReplays        = Metric{Name: Prefix + "gpu_pcie_replays", Type: Counter, Help: "Packets that a card had to send again over PCIe.", Labels: gpuLabels()}
	GPUPCIeReceive        = Metric{Name: Prefix + "gpu_pcie_receive_bytes_per_second", Type: Gauge, Help: "Rate at which a card receives over PCIe, as the driver measures it.", Labels: gpuLabels()}
	GPUPCIeTransmit       = Metric{Name: Prefix + "gpu_pcie_transmit_bytes_per_second", Type: Gauge, Help: "Rate at which a card sends over PCIe, as the driver measures it.", Labels: gpuLabels()}
	GPUPCIeGeneration     = Metric{Name: Prefix + "gpu_pcie_link_generation", Type: Gauge, Help: "PCIe generation at which a card runs.", Labels: gpuLabels()}
	GPUPCIeGenerationMax  = Metric{Name: Prefix + "gpu_pcie_link_generation_max", Type: Gauge, Help: "Highest PCIe generation at which a card could run in its slot.", Labels: gpuLabels()}
	GPUPCIeWidth          = Metric{Name: Prefix + "gpu_pcie_link_width", Type: Gauge, Help: "PCIe lanes that a card uses.", Labels: gpuLabels()}
	GPUPCIeWidthMax       = Metric{Name: Prefix + "gpu_pcie_link_width_max", Type: Gauge, Help: "PCIe lanes that a card could use.", Labels: gpuLabels()}
	GPULinkUp             = Metric{Name: Prefix + "gpu_link_up", Type: Gauge, Help: "Whether a link between cards (nvlink, xgmi, hccs ...) is up (1) or not (0).", Labels: gpuLabels("link_type", "link")}
	GPULinkErrors         = Metric{Name: Prefix + "gpu_link_errors", Type: Counter, Help: "Errors of a link between cards, by kind.", Labels: gpuLabels("link_type", "link", "error")}
	GPULinkReceivedBytes  = Metric{Name: Prefix + "gpu_link_received_bytes", Type: Counter, Help: "Bytes that a card received over a link between cards.", Labels: gpuLabels("link_type", "link")}
	GPULinkTransmitted    = Metric{Name: Prefix + "gpu_link_transmitted_bytes", Type: Counter, Help: "Bytes that a card sent over a link between cards.", Labels: gpuLabels("link_type", "link")}
	GPULinkReceiveRate    = Metric{Name: Prefix + "gpu_link_receive_bytes_per_second", Type: Gauge, Help: "Rate at which a card receives over a link between cards, where it measures rates alone.", Labels: gpuLabels("link_type", "link")}
	GPULinkTransmitRate   = Metric{Name: Prefix + "gpu_link_transmit_bytes_per_second", Type: Gauge, Help: "Rate at which a card sends over a link between cards, where it measures rates alone.", Labels: gpuLabels("link_type", "link")}
	GPUErrorEvents        = Metric{Name: Prefix + "gpu_error_events", Type: Counter, Help: "Errors that the driver or the kernel log reported for a card, by kind and code; kept over restarts of the worker.", Labels: gpuLabels("kind", "code", "severity")}
	GPUErrorLastTimestamp = Metric{Name: Prefix + "gpu_error_last_timestamp_seconds", Type: Gauge, Help: "Unix time of a card's last error of a kind and code.", Labels: gpuLabels("kind", "code")}
	GPURecommendedAction  = Metric{Name: Prefix + "gpu_recommended_action", Type: Gauge, Help: "What to do about a card (none, restart_app, reset, drain, reboot, replace) and why; the value is 1.", Labels: gpuLabels("action", "reason")}
	GPUMemoryUnaccounted  = Metric{Name: Prefix + "gpu_memory_unaccounted_bytes", Type: Gauge, Help: "Memory of a card in use that no known model instance holds.", Labels: gpuLabels()}

	GPUSliceInfo        = Metric{Name: Prefix + "gpu_slice_info", Type: Gauge, Help: "Part of a card that stands alone (MIG instance, vGPU, vNPU); the value is 1.", Labels: gpuLabels("slice", "slice_uuid", "parent_uuid", "profile", "gpu_instance", "compute_instance")}
	GPUSliceMemoryTotal = Metric{Name: Prefix + "gpu_slice_memory_total_bytes", Type: Gauge, Help: "Memory of a part of a card.", Labels: gpuLabels("slice")}
	GPUSliceMemoryUsed  = Metric{Name: Prefix + "gpu_slice_memory_used_bytes", Type: Gauge, Help: "Memory of a part of a card in use.", Labels: gpuLabels("slice")}
	GPUSliceUtilization = Metric{Name: Prefix + "gpu_slice_utilization_ratio", Type: Gauge, Help: "Share of a part of a card that worked, 0 to 1 of that part.", Labels: gpuLabels("slice")}

	GPUExpected         = Metric{Name: Prefix + "gpu_expected", Type: Gauge, Help: "Cards that this node should have: those that it was told of or has once seen.", Labels: []string{LabelVendor}}
	GPUPresent          = Metric{Name: Prefix + "gpu_present", Type: Gauge, Help: "Cards that can be read now.", Labels: []string{LabelVendor}}
	GPULost             = Metric{Name: Prefix + "gpu_lost", Type: Counter, Help: "Times that a card was there and then was not.", Labels: []string{LabelVendor}}
	GPUDriverResponsive = Metric{Name: Prefix + "gpu_driver_responsive", Type: Gauge, Help: "Whether the driver or tool of a vendor's cards answers (1) or hangs (0).", Labels: []string{LabelVendor}}
)

// GPU lists the families of a worker's cards in the order in which they are exported.
var GPU = []Metric{
	GPUInfo, GPUCores, GPUUtilization, GPUTemperature, GPUPowerLimit, GPUPowerUsed,
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
