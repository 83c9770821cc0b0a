package dashboards

func gpuSpeed() []Panel {
	throttled := cards("gpu_throttled_seconds_total")
	busy := ofCard(cards("worker_node_gpu_utilization_rate")) + " > 50"
	deficit := cards("gpu_clock_deficit_ratio", `clock!="memory"`)
	share := ofCard(cards("worker_node_gpu_power_used_watts")) + " / " + ofCard(cards("worker_node_gpu_power_limit_watts"))
	return []Panel{
		{
			Kind: TimeSeries, Interval: "30s", Title: "Core temperature", Unit: "celsius", Thresholds: limits(80, 90), Links: lineToWorker(),
			Description: "The 12 hottest cards of the range. Most cards slow down between 83 and 90 °C; the exact limit is the vendor's. One hot card among cool ones: its fan, its place, dust. All of a worker: the room or the server's fans.",
			Queries:     []Query{{Expr: highest(cards("worker_node_gpu_temperature_celsius")), Legend: cardLegend}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Memory temperature", Unit: "celsius", Thresholds: limits(95, 105), Links: lineToWorker(),
			NoValue:     "These cards do not tell their memory's temperature.",
			Description: "The 12 hottest of the range. Memory slows the card down on its own limit, often 95 to 105 °C, while the core is still cool: look here when a card is held back and its core is not hot.",
			Queries:     []Query{{Expr: highest(cards("gpu_memory_temperature_celsius")), Legend: cardLegend}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Held back, by reason", Unit: "percentunit", Min: new(0.0), Max: new(1.0), Thresholds: limits(0.05, 0.3), Links: lineToWorker(),
			NoValue:     "These cards do not tell whether they are held back.",
			Description: "Share of time in which a card was throttled, for the 12 worst of card and reason. Reasons can hold at once: do not add them up. thermal and thermal_hw: cooling. power_cap: the set limit; raising it may be cheaper than another card. power_brake: the power supply. hw_slowdown: ask the vendor. All at 0: nothing was held back.",
			Queries: []Query{{
				Expr:   worst(ofCard("rate("+throttled+"[$__rate_interval])", "reason"), above0(ofCard("increase("+throttled+"[$__range] @ end())", "reason")), "reason"),
				Legend: cardLegend + " {{reason}}",
			}},
			Overrides: []Override{thin()},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Clock deficit while busy", Unit: "percentunit", Min: new(0.0), Thresholds: limits(0.1, 0.3), Links: lineToWorker(),
			NoValue:     "No card was busy, or these cards do not tell their clocks.",
			Description: "How far the core clock is below its maximum while the driver says that the card is more than 50 % busy, for the 12 slowest. Idle cards lower their clocks and are left out, so lines have gaps. A deficit without a reason on the left: somebody set lower clocks, or the vendor tells no reasons.",
			Queries: []Query{{
				Expr:   worst(ofCard(deficit, "clock")+" and on ("+cardBy+") "+busy, above0(ofCard("max_over_time("+deficit+"[$__range] @ end())", "clock")), "clock"),
				Legend: cardLegend + " {{clock}}",
			}},
			Overrides: []Override{thin()},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Power against the limit", Unit: "percentunit", Min: new(0.0), Thresholds: limits(0.95, 1.02), Links: lineToWorker(),
			NoValue:     "These cards do not tell their power limit.",
			Description: "Power drawn as a share of the card's limit, for the 12 that drew the most watts. Near 100 % the card is limited by power, not broken: see held back by power_cap. Far below its neighbours at equal work: the card is starved or held back.",
			Queries: []Query{{
				Expr:   worst(share, ofCard("max_over_time("+cards("worker_node_gpu_power_used_watts")+"[$__range] @ end())")),
				Legend: cardLegend,
			}},
			Overrides: []Override{thin()},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Fans", Unit: "percentunit", Min: new(0.0), Max: new(1.0), Links: lineToWorker(),
			NoValue:     "These cards have no fan of their own, or do not tell its speed.",
			Description: "Speed as a share of the maximum, for the 12 fastest. At 100 % with a hot core: dust or a hot room. At 0 on a hot card: the fan is dead. Cards of servers mostly have none.",
			Queries:     []Query{{Expr: highest(cards("gpu_fan_speed_ratio"), "fan"), Legend: cardLegend + " fan {{fan}}"}},
			Overrides:   []Override{thin()},
		},
	}
}

func gpuBusy() []Panel {
	mean := func(family string) string {
		return ofCard("avg_over_time(" + cards(family) + "[$__range])")
	}
	bar := func(title string, query int) Column {
		return Column{Title: title, Query: query, Unit: "percentunit", Decimals: new(0), Bar: true, Max: 1}
	}
	hollow := ofCard(cards("worker_node_gpu_utilization_rate")) + " / 100 - " + ofCard(cards("gpu_sm_active_ratio"))
	score := ofCard("avg_over_time("+cards("worker_node_gpu_utilization_rate")+"[$__range] @ end())") + " / 100 - " + ofCard("avg_over_time("+cards("gpu_sm_active_ratio")+"[$__range] @ end())")
	return []Panel{
		{
			Kind: Table, Title: "Five answers to: how busy? (mean of the range)", W: 14, H: 9, SortBy: "Busy", NoValue: "-",
			Description: "Busy is what drivers call utilization: the share of time in which the card had any work, also a wait for other cards. SMs: the share of the card's processors that worked. Warps: how full those were. Tensor: time in which the matrix units worked, which is what a model is. DRAM: time in which memory moved; decoding is bound by it. High busy with low SMs: the card waits. Low tensor, high DRAM: larger batches would be nearly free. A dash: the card does not count it.",
			Queries: []Query{
				{Expr: mean("worker_node_gpu_utilization_rate") + " / 100"},
				{Expr: mean("gpu_sm_active_ratio")},
				{Expr: mean("gpu_sm_occupancy_ratio")},
				{Expr: mean("gpu_tensor_active_ratio")},
				{Expr: mean("gpu_dram_active_ratio")},
			},
			Columns: cardColumns(bar("Busy", 1), bar("SMs", 2), bar("Warps", 3), bar("Tensor", 4), bar("DRAM", 5)),
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Busy without working", W: 10, H: 9, Unit: "percentunit", Links: lineToWorker(), Thresholds: limits(0.3, 0.6),
			NoValue:     "These cards do not count what their processors do.",
			Description: "Utilization less the share of processors that worked, for the 12 with most of it. From 30 points on the driver's utilization is not worth planning with: the card waits in collective operations, for the CPU or for PCIe, or its batches are too small.",
			Queries:     []Query{{Expr: worst(hollow, score), Legend: cardLegend}},
			Overrides:   []Override{thin()},
		},
	}
}
