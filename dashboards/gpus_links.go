package dashboards

import "strings"

func gpuLinks() []Panel {
	by := func(series string) string { return "sum by (" + gpuBy + ", link_type) (" + series + ")" }
	linkUp := byGPU(gpus("gpu_link_up"), "link_type", "link")
	linkErrors := gpus("gpu_link_errors_total")
	replays := gpus("gpu_pcie_replays_total")
	// A GPU tells either counters or rates.
	fabric := func(counter, gauge string) (expr, score string) {
		expr = by("rate("+gpus(counter)+"[$__rate_interval])") + " or " + by(gpus(gauge))
		score = "(" + by("increase("+gpus(counter)+"[$__range] @ end())") + " or " + by("max_over_time("+gpus(gauge)+"[$__range] @ end())") + ")"
		return expr, score
	}
	received, receivedScore := fabric("gpu_link_received_bytes_total", "gpu_link_receive_bytes_per_second")
	sent, sentScore := fabric("gpu_link_transmitted_bytes_total", "gpu_link_transmit_bytes_per_second")
	return []Panel{
		{
			Kind: Table, Title: "PCIe links", W: 12, H: 8, SortBy: "Missing", NoValue: "-",
			Description: "Current and maximum PCIe link of each GPU. Missing: the share of bandwidth that is lost. Fewer lanes than the maximum is always a fault: reseat the GPU, check the riser. A lower generation is normal on an idle GPU and a fault on a busy one. A dash: the GPU doesn't report its maximum.",
			Queries: []Query{
				{Expr: byGPU(gpus("gpu_pcie_link_generation"))},
				{Expr: byGPU(gpus("gpu_pcie_link_generation_max"))},
				{Expr: byGPU(gpus("gpu_pcie_link_width"))},
				{Expr: byGPU(gpus("gpu_pcie_link_width_max"))},
				{Expr: pcieMissing()},
				{Expr: byGPU(gpus("worker_node_gpu_utilization_rate"))},
			},
			Columns: gpuColumns(
				Column{Title: "Gen", Query: 1, Width: 52},
				Column{Title: "of", Query: 2, Width: 50},
				Column{Title: "Lanes", Query: 3, Width: 60},
				Column{Title: "of ", Query: 4, Width: 50},
				Column{Title: "Missing", Query: 5, Unit: "percentunit", Decimals: new(0), Width: 76, Thresholds: limits(0.01, 0.6)},
				Column{Title: "Busy", Query: 6, Unit: "percent", Decimals: new(0), Width: 62},
			),
		},
		{
			Kind: Table, Title: "Links between GPUs", W: 12, H: 8, SortBy: "Down", NoValue: "-",
			Description: "NVLink, xGMI, HCCS and similar links. If a link is down, its GPUs exchange data over PCIe, and tensor-parallel models get many times slower. Errors that are not replays: reseat the bridge or cable, then replace it. A dash: the vendor doesn't count errors.",
			Queries: []Query{
				{Expr: "sum by (" + gpuBy + ", link_type) (" + linkUp + ")"},
				{Expr: "sum by (" + gpuBy + ", link_type) (1 - " + linkUp + ")"},
				{Expr: "round(" + by("increase("+linkErrors+"[$__range])") + ")"},
			},
			Columns: gpuColumns(
				Column{Title: "Type", Label: "link_type"},
				Column{Title: "Up", Query: 1, Width: 60},
				Column{Title: "Down", Query: 2, Width: 66, Thresholds: bad(1)},
				Column{Title: "Errors in range", Query: 3, Width: 130, Thresholds: limits(1, 1000)},
			),
		},
		{
			Kind: TimeSeries, Title: "PCIe traffic received", H: 7, Unit: "binBps", Min: new(0.0), Links: lineToWorker(),
			NoValue:     "These GPUs do not report PCIe traffic.",
			Description: "Data received over PCIe, for the 12 GPUs with the most traffic. A generation 5 link with 16 lanes carries about 60 GiB/s in each direction. Much traffic while a model decodes: its KV cache is offloaded to the host, or the GPUs use PCIe instead of their links.",
			Queries:     []Query{{Expr: highest(gpus("gpu_pcie_receive_bytes_per_second")), Legend: gpuLegend}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Title: "PCIe traffic sent", H: 7, Unit: "binBps", Min: new(0.0), Links: lineToWorker(),
			NoValue:     "These GPUs do not report PCIe traffic.",
			Description: "Data sent over PCIe, for the 12 GPUs with the most traffic. A GPU that sends much more than its neighbours offloads its KV cache to the host.",
			Queries:     []Query{{Expr: highest(gpus("gpu_pcie_transmit_bytes_per_second")), Legend: gpuLegend}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Title: "GPU link traffic received", H: 7, Unit: "binBps", Min: new(0.0), Links: lineToWorker(),
			NoValue:     "These GPUs have no links, or do not count their traffic.",
			Description: "All links of a GPU together, for the 12 GPUs with the most traffic. The tensor-parallel GPUs of an instance have equal traffic: check one that differs.",
			Queries:     []Query{{Expr: worst(received, receivedScore, "link_type"), Legend: gpuLegend + " {{link_type}}"}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Title: "GPU link traffic sent", H: 7, Unit: "binBps", Min: new(0.0), Links: lineToWorker(),
			NoValue:     "These GPUs have no links, or do not count their traffic.",
			Description: "All links of a GPU together, for the 12 GPUs with the most traffic. No traffic although a model spans several GPUs: they use PCIe, which the panels above show.",
			Queries:     []Query{{Expr: worst(sent, sentScore, "link_type"), Legend: gpuLegend + " {{link_type}}"}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Title: "PCIe replays", Unit: "cps", Min: new(0.0), Links: lineToWorker(), Thresholds: limits(0.1, 10),
			NoValue:     "These GPUs do not count PCIe replays.",
			Description: "PCIe packets that were sent again, for the 12 GPUs with the most. A few after a start are normal. A steady rate points to a bad contact, riser or cable; it costs bandwidth first and the GPU later.",
			Queries: []Query{{
				Expr:   worst(byGPU("rate("+replays+"[$__rate_interval])"), above0(byGPU("increase("+replays+"[$__range] @ end())"))),
				Legend: gpuLegend,
			}},
			Overrides: []Override{rare()},
		},
		{
			Kind: TimeSeries, Title: "GPU link errors", Unit: "cps", Min: new(0.0), Links: lineToWorker(), Thresholds: limits(0.1, 10),
			NoValue:     "These GPUs do not count errors of their links.",
			Description: "Errors by kind, all links of a GPU together, for the 12 GPUs with the most. Replays and corrected errors cost bandwidth; other errors stop the processes on the GPUs that share the link.",
			Queries: []Query{{
				Expr: worst("sum by ("+gpuBy+", link_type, error) (rate("+linkErrors+"[$__rate_interval]))",
					above0("sum by ("+gpuBy+", link_type, error) (increase("+linkErrors+"[$__range] @ end()))"), "link_type", "error"),
				Legend: gpuLegend + " {{link_type}} {{error}}",
			}},
			Overrides: []Override{rare()},
		},
	}
}

func gpuSlices() Panel {
	return Panel{
		Kind: Table, Title: "Slices (MIG instances, vGPUs, vNPUs)", W: 12, H: 12, SortBy: "Used", NoValue: "No GPU has slices, or its vendor does not report them.",
		Description: "Parts of a GPU with memory of their own; all values are of the slice. If one slice is full and another is empty, move the model to a larger profile. The values of the whole GPU say little about its slices.",
		Queries: []Query{
			{Expr: byGPU(gpus("gpu_slice_info"), "slice", "profile")},
			{Expr: byGPU(gpus("gpu_slice_memory_total_bytes"), "slice")},
			{Expr: byGPU(gpus("gpu_slice_memory_used_bytes"), "slice")},
			{Expr: byGPU(gpus("gpu_slice_utilization_ratio"), "slice")},
		},
		Columns: gpuColumns(
			Column{Title: "Slice", Label: "slice", Width: 60},
			Column{Title: "Profile", Label: "profile"},
			Column{Title: "Info", Query: 1, Hidden: true},
			Column{Title: "Memory", Query: 2, Unit: "bytes", Width: 90},
			Column{Title: "Used", Query: 3, Unit: "bytes", Width: 90},
			Column{Title: "Utilization", Query: 4, Unit: "percentunit", Width: 80},
		),
	}
}

// reportedByGPUs are the families that not every vendor offers.
func reportedByGPUs() []string {
	return []string{
		"worker_node_gpu_utilization_rate", "worker_node_gpu_temperature_celsius", "worker_node_gpu_power_used_watts", "worker_node_gpu_power_limit_watts",
		"gpu_energy_joules_total", "gpu_sm_active_ratio", "gpu_sm_occupancy_ratio", "gpu_tensor_active_ratio", "gpu_dram_active_ratio",
		"gpu_memory_temperature_celsius", "gpu_clock_hertz", "gpu_clock_max_hertz", "gpu_throttled_seconds_total", "gpu_fan_speed_ratio",
		"gpu_ecc_errors_total", "gpu_remapped_rows", "gpu_row_remap_pending", "gpu_row_remap_failed", "gpu_pcie_replays_total",
		"gpu_pcie_receive_bytes_per_second", "gpu_pcie_link_generation_max", "gpu_pcie_link_width_max", "gpu_link_up", "gpu_link_errors_total",
		"gpu_link_received_bytes_total", "gpu_link_receive_bytes_per_second", "gpu_slice_info", "gpu_slice_utilization_ratio",
	}
}

func gpuCoverage() Panel {
	info := byGPU(gpus("worker_node_gpu_info"), "vendor")
	told := "group by (__name__, " + gpuBy + ") ({__name__=~\"gpustack:(" + strings.Join(reportedByGPUs(), "|") + ")\", " + gpuSelector + "})"
	named := `label_replace(` + told + `, "family", "$1", "__name__", "gpustack:(.+)")`
	return Panel{
		Kind: Table, Title: "Metrics reported, by vendor", W: 12, H: 12, Unit: "percentunit", Decimals: new(0), Thresholds: []Threshold{{Color: "orange"}, {Color: "green", From: 1}}, NoValue: "not reported",
		Description: "Share of a vendor's GPUs that export a metric now. Metrics that no GPU reports are not listed; docs/gpus.md has the whole table. A GPU that doesn't report a metric is missing from the panels about it; that does not mean healthy. Below 100 %: some GPUs are older, sliced or lost, or their driver hangs.",
		Queries: []Query{{Expr: "count by (family, vendor) (" + named + " * on (" + gpuBy + ") group_left (vendor) " + info + ")" +
			" / on (vendor) group_left () count by (vendor) (" + info + ")"}},
		Matrix:    &Matrix{Across: "vendor", Down: "family", Title: "Metric", Width: 330},
		Overrides: []Override{matrixCells()},
	}
}
