package dashboards

func cardTable() Panel {
	most := func(family string) string { return `max by (` + cardBy + `) (` + onWorkers(family) + `)` }
	held := `sum by (` + cardBy + `, model_name, model_instance_name) (` + onWorkers("gpustack:model_instance_gpu_memory_used_bytes") + `)`
	return Panel{
		Kind: Table, H: 11, Title: "What each card does", SortBy: "Busy", NoValue: "no cards on these workers",
		Description: "One row a card. Busy is the driver's utilization: the share of time with any work. SM active is how much of the card worked, where the driver measures it: busy 100 % with SM active under 20 % is a card that waits for memory, for others or for the CPU. Runs is the instance that holds most of its memory; a card that is busy and runs nothing is used past us. Users are the instances on it: from 2 on they slow each other down. Hotter than 80: look at its cooling. Do is what its errors and state ask for; the reason is on the dashboard GPU health.",
		Queries: []Query{
			{Expr: most("gpustack:worker_node_gpu_utilization_rate")},
			{Expr: `100 * ` + most("gpustack:gpu_sm_active_ratio")},
			{Expr: most("gpustack:worker_node_gram_utilization_rate")},
			{Expr: most("gpustack:worker_node_gram_used_bytes")},
			{Expr: `max by (` + cardBy + `, gpu_name) (` + onWorkers("gpustack:worker_node_gram_total_bytes") + `)`},
			{Expr: most("gpustack:worker_node_gpu_temperature_celsius")},
			{Expr: most("gpustack:worker_node_gpu_power_used_watts")},
			{Expr: most("gpustack:worker_node_gpu_power_limit_watts")},
			{Expr: `topk by (` + cardBy + `) (1, ` + held + `)`},
			{Expr: `count by (` + cardBy + `) (` + held + `)`},
			{Expr: actionRank(0)},
		},
		Columns: []Column{
			{Title: "Worker", Label: "worker_name", Link: toWorker()},
			{Title: "Card", Label: "gpu_index", Width: 52},
			{Title: "Chip", Label: "gpu_chip_index", Width: 52},
			{Title: "Type", Label: "gpu_name"},
			{Title: "Busy", Query: 1, Unit: "percent", Decimals: new(0), Bar: true, Max: 100, Width: 105},
			{Title: "SM active", Query: 2, Unit: "percent", Decimals: new(0), Bar: true, Max: 100, Width: 105},
			{Title: "VRAM", Query: 3, Unit: "percent", Decimals: new(0), Bar: true, Max: 100, Width: 105},
			{Title: "used", Query: 4, Unit: "bytes", Decimals: new(0), Width: 75},
			{Title: "of", Query: 5, Unit: "bytes", Decimals: new(0), Width: 75},
			{Title: "Core", Query: 6, Unit: "celsius", Decimals: new(0), Thresholds: limits(80, 90), Width: 62},
			{Title: "Power", Query: 7, Unit: "watt", Decimals: new(0), Width: 70},
			{Title: "Limit", Query: 8, Unit: "watt", Decimals: new(0), Width: 70},
			{Title: "Runs", Label: "model_instance_name", Link: toInstance()},
			{Title: "Users", Query: 10, Width: 60, Thresholds: []Threshold{{Color: "green"}, {Color: "orange", From: 2}}},
			{Title: "Do", Query: 11, Width: 90, Values: actions(), Link: To("stackscope-gpus", "GPU health", varCluster, "$cluster_name", varWorker, "${__data.fields.worker_name}")},
			{Title: "model", Label: "model_name", Hidden: true},
			{Title: "held", Query: 9, Hidden: true},
		},
	}
}

// toModel and toInstance lead from a row of a table to its model, or to one instance of it.
func toModel() *Link {
	return To("gpustack-model", "Model ${__data.fields.model_name}", varCluster, "$cluster_name", varModel, "${__data.fields.model_name}")
}

func toInstance() *Link {
	return To("gpustack-model", "Instance ${__data.fields.model_instance_name}", varCluster, "$cluster_name", varModel, "${__data.fields.model_name}", varInstance, "${__data.fields.model_instance_name}")
}

func cardsOverTime() []Panel {
	line := func(title, description, family, unit, absent string, highest *float64, t []Threshold) Panel {
		return Panel{
			Kind: TimeSeries, Title: title, Description: description, Unit: unit, Min: new(0.0), Max: highest, Thresholds: t, NoValue: absent, Overrides: []Override{thin()},
			Queries: []Query{{Expr: topGauge(mostLines, cardBy, "max", family, workerSelector), Legend: cardLegend}},
		}
	}
	busy := `max by (` + cardBy + `) (` + onWorkers("gpustack:worker_node_gpu_utilization_rate") + `)`
	band := func(title, filter string) Query {
		return Query{Expr: `count(` + filter + `) or 0 * count(` + busy + `)`, Legend: title}
	}
	bands := Panel{
		Kind: TimeSeries, Title: "Cards by how busy they are", Stacked: true, Unit: "none", Min: new(0.0), NoValue: "not measured",
		Description: "Number of cards in each band of utilization; stays readable for any number of them. Not told: the driver does not say, as with sliced cards. Many idle cards while requests wait: instances are missing or badly spread.",
		Queries: []Query{
			band("90 % and more", busy+` >= 90`), band("50 to 90 %", busy+` < 90 >= 50`),
			band("5 to 50 %", busy+` < 50 >= 5`), band("idle", busy+` < 5`),
			{Expr: `count(max by (` + cardBy + `) (` + onWorkers("gpustack:worker_node_gram_total_bytes") + `) unless on (` + cardBy + `) ` + busy + `)`, Legend: "not told"},
		},
	}
	for _, c := range [][2]string{
		{"90 % and more", "dark-green"}, {"50 to 90 %", "green"}, {"5 to 50 %", "light-green"}, {"idle", "blue"}, {"not told", "text"},
	} {
		bands.Overrides = append(bands.Overrides, painted(c[0], c[1]))
	}
	active := line("SM active (at most 20 cards)", "Share of a card's multiprocessors that worked, the 20 cards with the highest maximum in the time range. Far below the utilization above: the card waits for memory, for other cards or for the CPU; larger batches help.", "gpustack:gpu_sm_active_ratio", "percentunit", "no driver here measures it: NVIDIA from Volta on, with profiling allowed", new(1.0), nil)
	return []Panel{
		line("GPU utilization (at most 20 cards)", "Share of time in which a card had any work, as its driver says; the 20 cards with the highest maximum in the time range. Low while requests wait: the engine is held back by something else, often the CPU.", "gpustack:worker_node_gpu_utilization_rate", "percent", "not measured", new(100.0), nil),
		bands,
		line("VRAM used (at most 20 cards)", "Share of a card's memory in use, the 20 fullest in the time range. Engines reserve theirs at the start, so flat lines are normal; growth is a leak or somebody else. Red from 98 %: the next allocation may fail.", "gpustack:worker_node_gram_utilization_rate", "percent", "not measured", new(100.0), bad(98)),
		active,
		line("Temperature (at most 20 cards)", "The 20 hottest cards in the time range. From 80 many cards begin to lower their clocks, from 90 most have: see to cooling, or drain the card.", "gpustack:worker_node_gpu_temperature_celsius", "celsius", "not measured", nil, limits(80, 90)),
		line("Power (at most 20 cards)", "Power that a card draws, the 20 with the highest maximum in the time range. Flat at its limit: the card lowers its clocks. Low while busy: it waits for memory or others.", "gpustack:worker_node_gpu_power_used_watts", "watt", "not measured", nil, nil),
	}
}

func cardMemory() []Panel {
	sum := func(family string) string { return `sum(max by (` + cardBy + `) (` + onWorkers(family) + `))` }
	held := `sum by (` + cardBy + `, model_name, model_instance_name) (` + onWorkers("gpustack:model_instance_gpu_memory_used_bytes") + `)`
	split := Panel{
		Kind: TimeSeries, Title: "VRAM of all cards: whose it is", Stacked: true, Unit: "bytes", Min: new(0.0), NoValue: "not measured",
		Description: "Memory of the chosen workers' cards, added up: held by known instances, in use by nobody known, and free. What nobody known holds is other processes' or left over from one that ended: find it with the driver's tool and end it.",
		Queries: []Query{
			{Expr: sum("gpustack:worker_node_gram_allocated_bytes"), Legend: "held by instances"},
			{Expr: `sum(max by (` + cardBy + `) (` + onWorkers("gpustack:gpu_memory_unaccounted_bytes") + `))`, Legend: "held by nobody known"},
			{Expr: `clamp_min(` + sum("gpustack:worker_node_gram_total_bytes") + ` - ` + sum("gpustack:worker_node_gram_used_bytes") + `, 0)`, Legend: "free"},
			{Expr: sum("gpustack:worker_node_gram_total_bytes"), Legend: "total"},
		},
		Overrides: []Override{totalLine()},
	}
	for _, c := range [][2]string{{"held by instances", "blue"}, {"held by nobody known", "orange"}, {"free", "light-green"}} {
		split.Overrides = append(split.Overrides, painted(c[0], c[1]))
	}
	return []Panel{
		split,
		{
			Kind: BarGauge, Title: "Memory held by nobody known (10 cards)", Unit: "bytes", Min: new(0.0), NoValue: "not measured",
			Description: "The ten cards with most memory in use that no known instance holds. Some 100 MiB are the driver's own. Orange from 1 GiB, red from 8 GiB: another process, or what one left behind; an engine that wants the whole card will not start there.",
			Thresholds:  limits(1<<30, 8<<30),
			Queries:     []Query{{Expr: `topk(10, max by (` + cardBy + `) (` + onWorkers("gpustack:gpu_memory_unaccounted_bytes") + `))`, Legend: cardLegend}},
		},
		{
			Kind: Table, H: 11, Title: "Who uses which card", SortBy: "Memory", NoValue: "no instance holds memory of a card, or the worker cannot see processes: in a container it needs the machine's process numbers",
			Description: "One row for each card that an instance uses. Use is what the driver measures for its processes; energy is allocated by use, or by memory where use is not measured. A card with several rows is shared: they slow each other down.",
			Queries: []Query{
				{Expr: held},
				{Expr: `100 * ` + held + ` / on (` + cardBy + `) group_left max by (` + cardBy + `) (` + onWorkers("gpustack:worker_node_gram_total_bytes") + `)`},
				{Expr: `100 * max by (` + cardBy + `, model_name, model_instance_name) (` + onWorkers("gpustack:model_instance_gpu_utilization_ratio") + `)`},
				{Expr: `sum by (` + cardBy + `, model_name, model_instance_name) (rate(` + onWorkers("gpustack:model_instance_gpu_energy_joules_total") + `[$__rate_interval]))`},
			},
			Columns: []Column{
				{Title: "Worker", Label: "worker_name", Link: toWorker()},
				{Title: "Card", Label: "gpu_index", Width: 52},
				{Title: "Chip", Label: "gpu_chip_index", Width: 52},
				{Title: "Model", Label: "model_name", Link: toModel()},
				{Title: "Instance", Label: "model_instance_name", Link: toInstance()},
				{Title: "Memory", Query: 1, Unit: "bytes", Decimals: new(1), Width: 110},
				{Title: "of the card", Query: 2, Unit: "percent", Decimals: new(0), Bar: true, Max: 100},
				{Title: "Use", Query: 3, Unit: "percent", Decimals: new(0), Bar: true, Max: 100},
				{Title: "Power", Query: 4, Unit: "watt", Decimals: new(0), Width: 90},
			},
		},
	}
}
