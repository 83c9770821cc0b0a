package dashboards

func gpuSpeed() []Panel {
	throttled := gpus("gpu_throttled_seconds_total")
	busy := byGPU(gpus("worker_node_gpu_utilization_rate")) + " > 50"
	deficit := gpus("gpu_clock_deficit_ratio", `clock!="memory"`)
	share := byGPU(gpus("worker_node_gpu_power_used_watts")) + " / " + byGPU(gpus("worker_node_gpu_power_limit_watts"))
	return []Panel{
		{
			Kind: TimeSeries, Interval: "30s", Title: "Core temperature", Unit: "celsius", Thresholds: limits(80, 90), Links: lineToWorker(),
			Description: "The 12 hottest GPUs of the time range. Most GPUs throttle between 83 and 90 °C; the vendor sets the exact limit. One hot GPU among cool ones: check its fan, its slot and dust. All GPUs of a worker: check the room and the server's fans.",
			Queries:     []Query{{Expr: highest(gpus("worker_node_gpu_temperature_celsius")), Legend: gpuLegend}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Memory temperature", Unit: "celsius", Thresholds: limits(95, 105), Links: lineToWorker(),
			NoValue:     "These GPUs do not report their memory's temperature.",
			Description: "The 12 GPUs with the hottest memory in the time range. Memory has a limit of its own, often 95 to 105 °C. Check it if a GPU is throttled although its core is cool.",
			Queries:     []Query{{Expr: highest(gpus("gpu_memory_temperature_celsius")), Legend: gpuLegend}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Time throttled, by reason", Unit: "percentunit", Min: new(0.0), Max: new(1.0), Thresholds: limits(0.05, 0.3), Links: lineToWorker(),
			NoValue:     "These GPUs do not report throttling.",
			Description: "Share of time in which a GPU was throttled, for the 12 highest pairs of GPU and reason. Several reasons can apply at once: do not add them up. thermal, thermal_hw: cooling. power_cap: the configured limit; raising it may be cheaper than another GPU. power_brake: the power supply. hw_slowdown: ask the vendor. All at 0: no GPU was throttled.",
			Queries: []Query{{
				Expr:   worst(byGPU("rate("+throttled+"[$__rate_interval])", "reason"), above0(byGPU("increase("+throttled+"[$__range] @ end())", "reason")), "reason"),
				Legend: gpuLegend + " {{reason}}",
			}},
			Overrides: []Override{thin()},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Clock deficit while busy", Unit: "percentunit", Min: new(0.0), Thresholds: limits(0.1, 0.3), Links: lineToWorker(),
			NoValue:     "No GPU was busy, or these GPUs do not report their clocks.",
			Description: "How far the core clock is below its maximum while the GPU is more than 50 % busy, for the 12 slowest. Idle GPUs lower their clocks and are left out, so lines have gaps. A deficit without a throttle reason on the left: somebody set lower clocks, or the vendor doesn't report reasons.",
			Queries: []Query{{
				Expr:   worst(byGPU(deficit, "clock")+" and on ("+gpuBy+") "+busy, above0(byGPU("max_over_time("+deficit+"[$__range] @ end())", "clock")), "clock"),
				Legend: gpuLegend + " {{clock}}",
			}},
			Overrides: []Override{thin()},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Power as a share of the limit", Unit: "percentunit", Min: new(0.0), Thresholds: limits(0.95, 1.02), Links: lineToWorker(),
			NoValue:     "These GPUs do not report their power limit.",
			Description: "Power as a share of the GPU's limit, for the 12 GPUs that drew the most watts. Near 100 % the GPU is limited by power, not faulty: see throttling by power_cap. Far below its neighbours at equal load: the GPU waits for work or is throttled.",
			Queries: []Query{{
				Expr:   worst(share, byGPU("max_over_time("+gpus("worker_node_gpu_power_used_watts")+"[$__range] @ end())")),
				Legend: gpuLegend,
			}},
			Overrides: []Override{thin()},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Fan speed", Unit: "percentunit", Min: new(0.0), Max: new(1.0), Links: lineToWorker(),
			NoValue:     "These GPUs have no fan of their own, or do not report its speed.",
			Description: "Fan speed as a share of the maximum, for the 12 fastest. 100 % with a hot core: dust or a hot room. 0 on a hot GPU: the fan failed. Most server GPUs have no fan.",
			Queries:     []Query{{Expr: highest(gpus("gpu_fan_speed_ratio"), "fan"), Legend: gpuLegend + " fan {{fan}}"}},
			Overrides:   []Override{thin()},
		},
	}
}

func gpuBusy() []Panel {
	mean := func(family string) string {
		return byGPU("avg_over_time(" + gpus(family) + "[$__range])")
	}
	bar := func(title string, query int) Column {
		return Column{Title: title, Query: query, Unit: "percentunit", Decimals: new(0), Bar: true, Max: 1}
	}
	hollow := byGPU(gpus("worker_node_gpu_utilization_rate")) + " / 100 - " + byGPU(gpus("gpu_sm_active_ratio"))
	score := byGPU("avg_over_time("+gpus("worker_node_gpu_utilization_rate")+"[$__range] @ end())") + " / 100 - " + byGPU("avg_over_time("+gpus("gpu_sm_active_ratio")+"[$__range] @ end())")
	return []Panel{
		{
			Kind: Table, Title: "Utilization and activity of each GPU (mean of the range)", W: 14, H: 9, SortBy: "Busy", NoValue: "-",
			Description: "Busy is the driver's utilization: the share of time in which the GPU had any work, including waits for other GPUs. SMs: the share of multiprocessors with work. Warps: how full they were. Tensor: time in which the matrix units worked; models spend their compute there. DRAM: time in which memory was read or written; decoding is bound by it. High busy with low SMs: the GPU waits. Low tensor with high DRAM: larger batches cost almost nothing. A dash: the GPU doesn't report it.",
			Queries: []Query{
				{Expr: mean("worker_node_gpu_utilization_rate") + " / 100"},
				{Expr: mean("gpu_sm_active_ratio")},
				{Expr: mean("gpu_sm_occupancy_ratio")},
				{Expr: mean("gpu_tensor_active_ratio")},
				{Expr: mean("gpu_dram_active_ratio")},
			},
			Columns: gpuColumns(bar("Busy", 1), bar("SMs", 2), bar("Warps", 3), bar("Tensor", 4), bar("DRAM", 5)),
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Busy without activity: utilization minus SM activity", W: 10, H: 9, Unit: "percentunit", Links: lineToWorker(), Thresholds: limits(0.3, 0.6),
			NoValue:     "These GPUs do not report SM activity.",
			Description: "The driver's utilization minus SM activity, for the 12 GPUs with the largest difference. From 30 points on, do not plan capacity with utilization: the GPU waits in collective operations, for the CPU or for PCIe, or its batches are too small.",
			Queries:     []Query{{Expr: worst(hollow, score), Legend: gpuLegend}},
			Overrides:   []Override{thin()},
		},
	}
}
