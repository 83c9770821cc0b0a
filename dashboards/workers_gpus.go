package dashboards

func gpuTable() Panel {
	most := func(family string) string { return `max by (` + gpuBy + `) (` + onWorkers(family) + `)` }
	held := `sum by (` + gpuBy + `, model_name, model_instance_name) (` + onWorkers("gpustack:model_instance_gpu_memory_used_bytes") + `)`
	return Panel{
		Kind: Table, H: 11, Title: "Load and health of each GPU", SortBy: "Busy", NoValue: "no GPUs on these workers",
		Description: "One row per GPU. Busy is the driver's utilization: the share of time with any work. SM active is how much of the GPU worked, where the driver measures it: 100 % busy with less than 20 % SM active is a GPU that waits for memory, for other GPUs or for the CPU. Runs is the instance that uses most of its memory; a busy GPU that runs nothing is used by an unknown process. Users are the instances on it: two or more slow each other down. Above 80 °C: check its cooling. Action is the recommended action; the dashboard GPU health has its reason.",
		Queries: []Query{
			{Expr: most("gpustack:worker_node_gpu_utilization_rate")},
			{Expr: `100 * ` + most("gpustack:gpu_sm_active_ratio")},
			{Expr: most("gpustack:worker_node_gram_utilization_rate")},
			{Expr: most("gpustack:worker_node_gram_used_bytes")},
			{Expr: `max by (` + gpuBy + `, gpu_name) (` + onWorkers("gpustack:worker_node_gram_total_bytes") + `)`},
			{Expr: most("gpustack:worker_node_gpu_temperature_celsius")},
			{Expr: most("gpustack:worker_node_gpu_power_used_watts")},
			{Expr: most("gpustack:worker_node_gpu_power_limit_watts")},
			{Expr: `topk by (` + gpuBy + `) (1, ` + held + `)`},
			{Expr: `count by (` + gpuBy + `) (` + held + `)`},
			{Expr: actionRank(0)},
		},
		Columns: []Column{
			{Title: "Worker", Label: "worker_name", Link: toWorker()},
			{Title: "GPU", Label: "gpu_index", Width: 52},
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
			{Title: "Action", Query: 11, Width: 90, Values: actions(), Link: To("stackscope-gpus", "GPU health", varCluster, "$cluster_name", varWorker, "${__data.fields.worker_name}")},
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

func gpusOverTime() []Panel {
	line := func(title, description, family, unit, absent string, highest *float64, t []Threshold) Panel {
		return Panel{
			Kind: TimeSeries, Title: title, Description: description, Unit: unit, Min: new(0.0), Max: highest, Thresholds: t, NoValue: absent, Overrides: []Override{thin()},
			Queries: []Query{{Expr: topGauge(mostLines, gpuBy, "max", family, workerSelector), Legend: gpuLegend}},
		}
	}
	busy := `max by (` + gpuBy + `) (` + onWorkers("gpustack:worker_node_gpu_utilization_rate") + `)`
	band := func(title, filter string) Query {
		return Query{Expr: `count(` + filter + `) or 0 * count(` + busy + `)`, Legend: title}
	}
	bands := Panel{
		Kind: TimeSeries, Title: "GPUs by utilization", Stacked: true, Unit: "none", Min: new(0.0), NoValue: "not measured",
		Description: "Number of GPUs in each band of utilization. not reported: the driver reports no utilization, as for GPUs with slices. Many idle GPUs while requests wait: instances are missing or badly distributed.",
		Queries: []Query{
			band("90 % and more", busy+` >= 90`), band("50 to 90 %", busy+` < 90 >= 50`),
			band("5 to 50 %", busy+` < 50 >= 5`), band("idle", busy+` < 5`),
			{Expr: `count(max by (` + gpuBy + `) (` + onWorkers("gpustack:worker_node_gram_total_bytes") + `) unless on (` + gpuBy + `) ` + busy + `)`, Legend: "not reported"},
		},
	}
	for _, c := range [][2]string{
		{"90 % and more", "dark-green"}, {"50 to 90 %", "green"}, {"5 to 50 %", "light-green"}, {"idle", "blue"}, {"not reported", "text"},
	} {
		bands.Overrides = append(bands.Overrides, painted(c[0], c[1]))
	}
	active := line("SM active (at most 20 GPUs)", "Share of a GPU's multiprocessors that worked, the 20 GPUs with the highest maximum in the time range. Far below the utilization above: the GPU waits for memory, for other GPUs or for the CPU; larger batches help.", "gpustack:gpu_sm_active_ratio", "percentunit", "no driver here measures it: NVIDIA from Volta on, with profiling allowed", new(1.0), nil)
	return []Panel{
		line("GPU utilization (at most 20 GPUs)", "Share of time in which a GPU had any work, as its driver reports it; the 20 GPUs with the highest maximum in the time range. Low while requests wait: something else is the limit, often the CPU.", "gpustack:worker_node_gpu_utilization_rate", "percent", "not measured", new(100.0), nil),
		bands,
		line("VRAM used (at most 20 GPUs)", "Share of a GPU's memory in use, the 20 fullest in the time range. Engines reserve theirs at the start, so flat lines are normal; growth is a leak or another process. Red from 98 %: the next allocation may fail.", "gpustack:worker_node_gram_utilization_rate", "percent", "not measured", new(100.0), bad(98)),
		active,
		line("Temperature (at most 20 GPUs)", "The 20 hottest GPUs in the time range. From 80 °C many GPUs throttle, from 90 °C most do: check the cooling, or drain the GPU.", "gpustack:worker_node_gpu_temperature_celsius", "celsius", "not measured", nil, limits(80, 90)),
		line("Power (at most 20 GPUs)", "Power that a GPU draws, the 20 with the highest maximum in the time range. Flat at its limit: the GPU lowers its clocks. Low while busy: it waits for memory or others.", "gpustack:worker_node_gpu_power_used_watts", "watt", "not measured", nil, nil),
	}
}

func gpuMemory() []Panel {
	sum := func(family string) string { return `sum(max by (` + gpuBy + `) (` + onWorkers(family) + `))` }
	held := `sum by (` + gpuBy + `, model_name, model_instance_name) (` + onWorkers("gpustack:model_instance_gpu_memory_used_bytes") + `)`
	split := Panel{
		Kind: TimeSeries, Title: "GPU memory by owner", Stacked: true, Unit: "bytes", Min: new(0.0), NoValue: "not measured",
		Description: "Memory of the chosen workers' GPUs: attributed to known instances, unattributed, and free. Unattributed memory belongs to other processes, or was left by one that ended: find the process with the vendor's tool and end it.",
		Queries: []Query{
			{Expr: sum("gpustack:worker_node_gram_allocated_bytes"), Legend: "attributed to instances"},
			{Expr: `sum(max by (` + gpuBy + `) (` + onWorkers("gpustack:gpu_memory_unaccounted_bytes") + `))`, Legend: "unattributed"},
			{Expr: `clamp_min(` + sum("gpustack:worker_node_gram_total_bytes") + ` - ` + sum("gpustack:worker_node_gram_used_bytes") + `, 0)`, Legend: "free"},
			{Expr: sum("gpustack:worker_node_gram_total_bytes"), Legend: "total"},
		},
		Overrides: []Override{totalLine()},
	}
	for _, c := range [][2]string{{"attributed to instances", "blue"}, {"unattributed", "orange"}, {"free", "light-green"}} {
		split.Overrides = append(split.Overrides, painted(c[0], c[1]))
	}
	return []Panel{
		split,
		{
			Kind: BarGauge, Title: "Unattributed GPU memory (top 10 GPUs)", Unit: "bytes", Min: new(0.0), NoValue: "not measured",
			Description: "The ten GPUs with the most memory that no known instance uses. The driver itself uses some 100 MiB. Orange from 1 GiB, red from 8 GiB: another process uses it, or one left it behind. An engine that needs the whole GPU will not start.",
			Thresholds:  limits(1<<30, 8<<30),
			Queries:     []Query{{Expr: `topk(10, max by (` + gpuBy + `) (` + onWorkers("gpustack:gpu_memory_unaccounted_bytes") + `))`, Legend: gpuLegend}},
		},
		{
			Kind: Table, H: 11, Title: "GPU use by instance", SortBy: "Memory", NoValue: "no instance uses GPU memory, or the worker cannot see processes: start its container with --pid host",
			Description: "One row per instance and GPU. Use is the utilization that the driver measures for the instance's processes. Energy is allocated by use or, where use is not measured, by memory. Several instances on one GPU slow each other down.",
			Queries: []Query{
				{Expr: held},
				{Expr: `100 * ` + held + ` / on (` + gpuBy + `) group_left max by (` + gpuBy + `) (` + onWorkers("gpustack:worker_node_gram_total_bytes") + `)`},
				{Expr: `100 * max by (` + gpuBy + `, model_name, model_instance_name) (` + onWorkers("gpustack:model_instance_gpu_utilization_ratio") + `)`},
				{Expr: `sum by (` + gpuBy + `, model_name, model_instance_name) (rate(` + onWorkers("gpustack:model_instance_gpu_energy_joules_total") + `[$__rate_interval]))`},
			},
			Columns: []Column{
				{Title: "Worker", Label: "worker_name", Link: toWorker()},
				{Title: "GPU", Label: "gpu_index", Width: 52},
				{Title: "Chip", Label: "gpu_chip_index", Width: 52},
				{Title: "Model", Label: "model_name", Link: toModel()},
				{Title: "Instance", Label: "model_instance_name", Link: toInstance()},
				{Title: "Memory", Query: 1, Unit: "bytes", Decimals: new(1), Width: 110},
				{Title: "of the GPU", Query: 2, Unit: "percent", Decimals: new(0), Bar: true, Max: 100},
				{Title: "Use", Query: 3, Unit: "percent", Decimals: new(0), Bar: true, Max: 100},
				{Title: "Power", Query: 4, Unit: "watt", Decimals: new(0), Width: 90},
			},
		},
	}
}
