package dashboards

import "fmt"

// A kilowatt-hour in joules.
const kWh = "3.6e6"

func power() Dashboard {
	return Dashboard{
		UID: "stackscope-power", Title: "Power and tokens per joule",
		Description: "Power of the GPUs, its cost, the share that idle GPUs use, and tokens per joule. Only GPUs are counted: hosts, fans, networks and cooling often add half as much again.",
		From:        "now-1h",
		Variables:   []Variable{datasource(), cluster(), worker(), {Name: "price", Label: "Price per kWh", Text: "0.20"}},
		Rows: []Row{
			{Panels: powerNow()},
			{Title: "Where the power goes", Panels: powerOverTime()},
			{Title: "Tokens and requests for a joule", Panels: append(tokenEnergy(), powerModels())},
			{Title: "Who uses most in the range", Panels: []Panel{powerInstances(), powerWorkers(), powerGPUs()}},
		},
	}
}

// watts is what each GPU draws.
func watts() string { return byGPU(gpus("worker_node_gpu_power_used_watts")) }

// tenanted are the GPUs on which a known instance holds memory, and serving what their instances compute: the running requests of
// the busiest of them. GPUs of an instance that does not tell its requests are in the first alone.
func tenanted() string {
	return "group by (" + gpuBy + ") (" + gpus("model_instance_gpu_memory_used_bytes") + ")"
}

func serving() string {
	return "max by (" + gpuBy + ") (group by (" + gpuBy + ", model_name, model_instance_name) (" + gpus("model_instance_gpu_memory_used_bytes") +
		") * on (worker_name, model_name, model_instance_name) group_left () sum by (worker_name, model_name, model_instance_name) (" + gpus("num_requests_running") + "))"
}

// elsewhere are the GPUs, or their slices, that work though no known instance is there: another program's.
func elsewhere() string {
	return fmt.Sprintf("(%s > 5 or %s > 0.05) unless on (%s) %s",
		byGPU(gpus("worker_node_gpu_utilization_rate")), byGPU(gpus("gpu_slice_utilization_ratio")), gpuBy, tenanted())
}

// Power by what GPUs do.
func wattsWorking() string { return fmt.Sprintf("%s and on (%s) %s > 0", watts(), gpuBy, serving()) }

func wattsWaiting() string { return fmt.Sprintf("%s and on (%s) %s == 0", watts(), gpuBy, serving()) }

func wattsEmpty() string {
	return fmt.Sprintf("(%[1]s unless on (%[2]s) %[3]s) unless on (%[2]s) (%[4]s)", watts(), gpuBy, tenanted(), elsewhere())
}

func wattsElsewhere() string {
	return fmt.Sprintf("%s and on (%s) (%s)", watts(), gpuBy, elsewhere())
}

func wattsUntold() string {
	return fmt.Sprintf("(%s and on (%s) %s) unless on (%s) %s", watts(), gpuBy, tenanted(), gpuBy, serving())
}

// wattsIdle is the power of all GPUs that do nothing, 0 where all work and absent without GPUs.
func wattsIdle() string {
	return fmt.Sprintf("(sum((%s) or (%s)) or 0 * sum(%s))", wattsWaiting(), wattsEmpty(), watts())
}

// energy is what GPUs used in the range, in kilowatt-hours.
func energy(by string) string {
	sum := "sum"
	if by != "" {
		sum += " by (" + by + ")"
	}
	return sum + " (increase(" + gpus("gpu_energy_joules_total") + "[$__range])) / " + kWh
}

func powerNow() []Panel {
	limit := byGPU(gpus("worker_node_gpu_power_limit_watts"))
	return []Panel{
		{
			Kind: Stat, Title: "GPU power now", Unit: "watt", Sparkline: true, NoValue: "not reported",
			Description: "Power that all chosen GPUs draw together, as they measure it. Plan the rack's power supply by the peak over weeks, not by the sum of limits.",
			Queries:     []Query{{Expr: "sum(" + watts() + ")"}},
		},
		{
			Kind: Stat, Title: "Share of power limit", Unit: "percentunit", Decimals: new(0), NoValue: "not reported", Thresholds: limits(0.85, 0.97),
			Description: "Power of the GPUs that report a limit, as a share of the sum of limits. Near 100 % the GPUs are throttled by power_cap: see the dashboard GPU health. Around 10 % they are idle.",
			Queries:     []Query{{Expr: fmt.Sprintf("sum(%[1]s and on (%[3]s) %[2]s) / sum(%[2]s and on (%[3]s) %[1]s)", watts(), limit, gpuBy)}},
		},
		{
			Kind: Stat, Title: "GPU energy", Unit: "kwatth", Decimals: new(1), NoValue: "not reported",
			Description: "Energy that the chosen GPUs used in the time range: their own energy counters or, without one, their power summed every second. Gaps in the scrapes are interpolated.",
			Queries:     []Query{{Expr: energy("")}},
		},
		{
			Kind: Stat, Title: "Energy cost", Unit: "none", Decimals: new(2), NoValue: "not reported",
			Description: "Energy of the time range times the price per kilowatt-hour, in the currency of the price above. Only GPUs are counted: multiply by the building's PUE and add the hosts.",
			Queries:     []Query{{Expr: energy("") + " * $price"}},
		},
		{
			Kind: Stat, Title: "Idle GPUs' power", Unit: "watt", Sparkline: true, Interval: "2m", NoValue: "not reported", Thresholds: limits(1, 1000),
			Description: "Power of GPUs without an instance, and of GPUs whose instances compute no request now. A loaded model keeps its GPUs awake: scale idle models down, or put small ones on one GPU. The tables below name the GPUs.",
			Queries:     []Query{{Expr: wattsIdle()}},
		},
		{
			Kind: Stat, Title: "Idle GPUs' share", Unit: "percentunit", Decimals: new(0), NoValue: "not reported", Thresholds: limits(0.2, 0.5),
			Description: "Share of the power in the time range that GPUs used without an instance or without a request. That share of the cost produces nothing.",
			Queries:     []Query{{Expr: fmt.Sprintf("avg_over_time(%[1]s[$__range:2m]) / avg_over_time(sum(%[2]s)[$__range:2m]) or %[1]s / sum(%[2]s)", wattsIdle(), watts())}},
		},
	}
}

func powerOverTime() []Panel {
	orNone := func(part string) string { return fmt.Sprintf("sum(%s) or 0 * sum(%s)", part, watts()) }
	attributed := gpus("model_instance_gpu_energy_joules_total")
	limit := gpus("worker_node_gpu_power_limit_watts")
	return []Panel{
		{
			Kind: TimeSeries, Title: "GPU power by what the GPUs do", Unit: "watt", Interval: "2m", Min: new(0.0), Stacked: true, NoValue: "These GPUs do not report their power.",
			Description: "GPU power by activity. computing requests: an instance has requests. instance, no request: a loaded model waits. no instance: the GPU is idle. another program: a process that is no known instance is busy. instance, requests unknown: the instance doesn't report its requests, as on the further nodes of a multi-node instance. The second and third could be saved.",
			Queries: []Query{
				{Expr: orNone(wattsWorking()), Legend: "computing requests"},
				{Expr: orNone(wattsWaiting()), Legend: "instance, no request"},
				{Expr: orNone(wattsEmpty()), Legend: "no instance"},
				{Expr: orNone(wattsElsewhere()), Legend: "another program"},
				{Expr: orNone(wattsUntold()), Legend: "instance, requests unknown"},
			},
			Overrides: []Override{painted("computing requests", "green"), painted("instance, no request", "orange"), painted("no instance", "red"), painted("another program", "purple"), painted("instance, requests unknown", "text")},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "GPU power by model", Unit: "watt", Min: new(0.0), Stacked: true, NoValue: "No energy is allocated to instances.",
			Description: "Power allocated to the instances of each model: a GPU's energy divided among its instances by utilization or, where the driver does not measure that for each process, by memory. It is an allocation, not a measurement. not attributed: energy without a known instance, such as that of empty GPUs.",
			Queries: []Query{
				{Expr: "sum by (model_name) (rate(" + attributed + "[$__rate_interval]))", Legend: "{{model_name}}"},
				{Expr: "clamp_min(sum(rate(" + gpus("gpu_energy_joules_total") + "[$__rate_interval])) - (sum(rate(" + attributed + "[$__rate_interval])) or 0 * sum(rate(" + gpus("gpu_energy_joules_total") + "[$__rate_interval]))), 0)", Legend: "not attributed"},
			},
			Overrides: []Override{painted("not attributed", "text")},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "GPU power and limits by worker", Unit: "watt", Min: new(0.0), Links: lineToWorker(), NoValue: "These GPUs do not report their power.",
			Description: "Power of each worker's GPUs, for the 12 that draw most; dashed: the sum of their limits. Lower the limits of a worker if they exceed its power supply or rack.",
			Queries: []Query{
				{Expr: top(worstGPUs, "worker_name", "sum by (worker_name) ("+watts()+")", "sum by (worker_name) (max_over_time("+gpus("worker_node_gpu_power_used_watts")+"[$__range] @ end()))"), Legend: "{{worker_name}}"},
				{Expr: top(worstGPUs, "worker_name", "sum by (worker_name) ("+byGPU(limit)+")", "sum by (worker_name) (max_over_time("+gpus("worker_node_gpu_power_used_watts")+"[$__range] @ end()))"), Legend: "{{worker_name}} limit"},
			},
			Overrides: []Override{thin(), {Matching: ".* limit", Properties: map[string]any{"custom.lineStyle": object{"fill": "dash", "dash": []int{8, 6}}}}},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "Power by GPU", Unit: "watt", Min: new(0.0), Links: lineToWorker(), NoValue: "These GPUs do not report their power.",
			Description: "The 12 GPUs that drew the most power. GPUs of one instance should draw alike. One that draws less is throttled or waits for work; one that draws more at equal load runs hotter.",
			Queries:     []Query{{Expr: highest(gpus("worker_node_gpu_power_used_watts")), Legend: gpuLegend}},
			Overrides:   []Override{thin()},
		},
	}
}
