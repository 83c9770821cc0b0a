package dashboards

import "fmt"

// A kilowatt-hour in joules.
const kWh = "3.6e6"

func power() Dashboard {
	return Dashboard{
		UID: "stackscope-power", Title: "Power and tokens per joule",
		Description: "What the cards draw, what that costs, how much of it is burnt doing nothing, and how many tokens a joule buys. Cards alone: hosts, fans of servers, networks and cooling are not in it and often add half as much again.",
		From:        "now-1h",
		Variables:   []Variable{datasource(), cluster(), worker(), {Name: "price", Label: "Price per kWh", Text: "0.20"}},
		Rows: []Row{
			{Panels: powerNow()},
			{Title: "Where the power goes", Panels: powerOverTime()},
			{Title: "Tokens and requests for a joule", Panels: append(tokenEnergy(), powerModels())},
			{Title: "Who uses most in the range", Panels: []Panel{powerInstances(), powerWorkers(), powerCards()}},
		},
	}
}

// watts is what each card draws.
func watts() string { return ofCard(cards("worker_node_gpu_power_used_watts")) }

// tenanted are the cards on which a known instance holds memory, and serving what their instances compute: the running requests of
// the busiest of them. Cards of an instance that does not tell its requests are in the first alone.
func tenanted() string {
	return "group by (" + cardBy + ") (" + cards("model_instance_gpu_memory_used_bytes") + ")"
}

func serving() string {
	return "max by (" + cardBy + ") (group by (" + cardBy + ", model_name, model_instance_name) (" + cards("model_instance_gpu_memory_used_bytes") +
		") * on (worker_name, model_name, model_instance_name) group_left () sum by (worker_name, model_name, model_instance_name) (" + cards("num_requests_running") + "))"
}

// elsewhere are the cards, or their slices, that work though no known instance is there: another program's.
func elsewhere() string {
	return fmt.Sprintf("(%s > 5 or %s > 0.05) unless on (%s) %s",
		ofCard(cards("worker_node_gpu_utilization_rate")), ofCard(cards("gpu_slice_utilization_ratio")), cardBy, tenanted())
}

// Power by what cards do.
func wattsWorking() string { return fmt.Sprintf("%s and on (%s) %s > 0", watts(), cardBy, serving()) }

func wattsWaiting() string { return fmt.Sprintf("%s and on (%s) %s == 0", watts(), cardBy, serving()) }

func wattsEmpty() string {
	return fmt.Sprintf("(%[1]s unless on (%[2]s) %[3]s) unless on (%[2]s) (%[4]s)", watts(), cardBy, tenanted(), elsewhere())
}

func wattsElsewhere() string {
	return fmt.Sprintf("%s and on (%s) (%s)", watts(), cardBy, elsewhere())
}

func wattsUntold() string {
	return fmt.Sprintf("(%s and on (%s) %s) unless on (%s) %s", watts(), cardBy, tenanted(), cardBy, serving())
}

// wattsIdle is the power of all cards that do nothing, 0 where all work and absent without cards.
func wattsIdle() string {
	return fmt.Sprintf("(sum((%s) or (%s)) or 0 * sum(%s))", wattsWaiting(), wattsEmpty(), watts())
}

// energy is what cards used in the range, in kilowatt-hours.
func energy(by string) string {
	sum := "sum"
	if by != "" {
		sum += " by (" + by + ")"
	}
	return sum + " (increase(" + cards("gpu_energy_joules_total") + "[$__range])) / " + kWh
}

func powerNow() []Panel {
	limit := ofCard(cards("worker_node_gpu_power_limit_watts"))
	return []Panel{
		{
			Kind: Stat, Title: "Power now", Unit: "watt", Sparkline: true, NoValue: "not told",
			Description: "What all chosen cards draw together, as they measure it. Plan the rack's supply with the peak of this over weeks, not with the sum of limits.",
			Queries:     []Query{{Expr: "sum(" + watts() + ")"}},
		},
		{
			Kind: Stat, Title: "Of the limit", Unit: "percentunit", Decimals: new(0), NoValue: "not told", Thresholds: limits(0.85, 0.97),
			Description: "Power of those cards that tell their limit, as a share of those limits together. Near 100 % the cards are slowed by their limits: see GPU health, held back by power_cap. Around 10 % they idle.",
			Queries:     []Query{{Expr: fmt.Sprintf("sum(%[1]s and on (%[3]s) %[2]s) / sum(%[2]s and on (%[3]s) %[1]s)", watts(), limit, cardBy)}},
		},
		{
			Kind: Stat, Title: "Energy in range", Unit: "kwatth", Decimals: new(1), NoValue: "not told",
			Description: "What the chosen cards used in the time range by their own energy counters or, where they have none, by their power summed up each second. Time in which nothing was scraped is estimated from its edges.",
			Queries:     []Query{{Expr: energy("")}},
		},
		{
			Kind: Stat, Title: "Cost in range", Unit: "none", Decimals: new(2), NoValue: "not told",
			Description: "Energy of the range times the price for a kilowatt-hour, in the currency of the price typed above. Cards alone: multiply by your building's PUE, and add the hosts.",
			Queries:     []Query{{Expr: energy("") + " * $price"}},
		},
		{
			Kind: Stat, Title: "Burnt idle now", Unit: "watt", Sparkline: true, Interval: "2m", NoValue: "not told", Thresholds: limits(1, 1000),
			Description: "Power of cards that idle without an instance, or whose instances compute no request at this moment. Loaded models keep cards awake: scale idle models down, or put small ones together on a card. Below: which cards.",
			Queries:     []Query{{Expr: wattsIdle()}},
		},
		{
			Kind: Stat, Title: "Idle share", Unit: "percentunit", Decimals: new(0), NoValue: "not told", Thresholds: limits(0.2, 0.5),
			Description: "Share of the range's power that cards drew while they did nothing: no instance, or no request at the moments looked at. That share of the cost buys nothing.",
			Queries:     []Query{{Expr: fmt.Sprintf("avg_over_time(%[1]s[$__range:2m]) / avg_over_time(sum(%[2]s)[$__range:2m]) or %[1]s / sum(%[2]s)", wattsIdle(), watts())}},
		},
	}
}

func powerOverTime() []Panel {
	orNone := func(part string) string { return fmt.Sprintf("sum(%s) or 0 * sum(%s)", part, watts()) }
	attributed := cards("model_instance_gpu_energy_joules_total")
	limit := cards("worker_node_gpu_power_limit_watts")
	return []Panel{
		{
			Kind: TimeSeries, Title: "What it is spent on", Unit: "watt", Interval: "2m", Min: new(0.0), Stacked: true, NoValue: "These cards do not tell their power.",
			Description: "The same power by what the cards do: compute requests; hold an instance that has none; hold no instance and idle; work for a program that is none of the known instances; hold an instance that does not tell how many requests it has, such as the other nodes of one that spans several. The second and third are what could be saved.",
			Queries: []Query{
				{Expr: orNone(wattsWorking()), Legend: "computing requests"},
				{Expr: orNone(wattsWaiting()), Legend: "instance, no request"},
				{Expr: orNone(wattsEmpty()), Legend: "no instance"},
				{Expr: orNone(wattsElsewhere()), Legend: "another program"},
				{Expr: orNone(wattsUntold()), Legend: "instance, requests not told"},
			},
			Overrides: []Override{painted("computing requests", "green"), painted("instance, no request", "orange"), painted("no instance", "red"), painted("another program", "purple"), painted("instance, requests not told", "text")},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "By model", Unit: "watt", Min: new(0.0), Stacked: true, NoValue: "No energy is allocated to instances.",
			Description: "Power allocated to the instances of each model: a card's energy divided among its instances by their share of utilization, or of memory where the driver does not measure that for each process. An allocation, not a measurement. nobody's: what no known instance is charged for, such as empty cards.",
			Queries: []Query{
				{Expr: "sum by (model_name) (rate(" + attributed + "[$__rate_interval]))", Legend: "{{model_name}}"},
				{Expr: "clamp_min(sum(rate(" + cards("gpu_energy_joules_total") + "[$__rate_interval])) - (sum(rate(" + attributed + "[$__rate_interval])) or 0 * sum(rate(" + cards("gpu_energy_joules_total") + "[$__rate_interval]))), 0)", Legend: "nobody's"},
			},
			Overrides: []Override{painted("nobody's", "text")},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "By worker, against the limits", Unit: "watt", Min: new(0.0), Links: lineToWorker(), NoValue: "These cards do not tell their power.",
			Description: "Power of each worker's cards (the 12 that draw most), and dashed what its cards may draw together. A worker whose limits exceed what its supply or rack can give needs lower limits.",
			Queries: []Query{
				{Expr: top(worstCards, "worker_name", "sum by (worker_name) ("+watts()+")", "sum by (worker_name) (max_over_time("+cards("worker_node_gpu_power_used_watts")+"[$__range] @ end()))"), Legend: "{{worker_name}}"},
				{Expr: top(worstCards, "worker_name", "sum by (worker_name) ("+ofCard(limit)+")", "sum by (worker_name) (max_over_time("+cards("worker_node_gpu_power_used_watts")+"[$__range] @ end()))"), Legend: "{{worker_name}} limit"},
			},
			Overrides: []Override{thin(), {Matching: ".* limit", Properties: map[string]any{"custom.lineStyle": object{"fill": "dash", "dash": []int{8, 6}}}}},
		},
		{
			Kind: TimeSeries, Interval: "30s", Title: "By card", Unit: "watt", Min: new(0.0), Links: lineToWorker(), NoValue: "These cards do not tell their power.",
			Description: "The 12 cards that drew most. Cards of one instance should draw alike; one that draws less is held back or starved, one that draws more at equal work is worse silicon or runs hotter.",
			Queries:     []Query{{Expr: highest(cards("worker_node_gpu_power_used_watts")), Legend: cardLegend}},
			Overrides:   []Override{thin()},
		},
	}
}
