package dashboards

import "slices"

// fleet chooses one cluster or all of them. What belongs to no cluster, such as the server, is shown in any case.
func fleet() Variable {
	v := cluster()
	v.All = true
	return v
}

func fleetOverview() Dashboard {
	return Dashboard{
		UID: "stackscope-fleet", Title: "Fleet overview",
		Description: "Active problems, and the state of models, workers and GPUs. Each row links to the dashboard with the details.",
		Variables:   []Variable{datasource(), fleet()},
		Annotations: events(`cluster_name=~"$cluster_name"`, `cluster_name=~"$cluster_name"`),
		Rows: []Row{
			{Panels: slices.Concat([]Panel{problemTable()}, fleetNumbers(), []Panel{modelTable(), workerFleetTable()})},
			{Title: "Over time", Panels: fleetOverTime()},
		},
	}
}

func problemTable() Panel {
	return Panel{
		Kind: Table, H: 9, Title: "Active problems", SortBy: "Severity", NoValue: "No active problems.",
		Description: "All problems that stackscope detects, the most severe first. Critical: something does not work. Warning: it will fail soon or slows others down. Notice: not urgent. Click a problem to see its dashboard. An empty table means no problem: a missing inventory is listed as one.",
		Queries:     []Query{{Expr: problemsExpr()}},
		Columns: []Column{
			{Title: "Severity", Query: 1, Width: 80, Background: true, Values: []Value{
				{Value: critical, Text: "critical", Color: "red"}, {Value: warning, Text: "warning", Color: "orange"}, {Value: notice, Text: "notice", Color: "blue"},
			}},
			{Title: "Problem", Label: "problem", Width: 184, Link: &Link{Title: "Show it", URL: "/d/${__data.fields.uid}/?var-" + varCluster + "=${__data.fields.at}&${__url_time_range}"}},
			{Title: "Cluster", Label: "cluster_name", Width: 86},
			{Title: "Worker", Label: "worker_name", Width: 110},
			{Title: "What", Label: "what", Width: 150},
			{Title: "How much", Label: "how", Width: 130},
			{Title: "What to do", Label: "todo"},
			{Title: "uid", Label: "uid", Hidden: true},
			{Title: "at", Label: "at", Hidden: true},
		},
		Overrides: []Override{{Matching: "^(Value|Severity)$", Properties: map[string]any{"custom.align": "center"}}},
	}
}

// plainly takes the colour from the stat with the given legend, which is there to compare with.
func plainly(legend string) Override {
	return Override{Matching: "^" + legend + "$", Properties: map[string]any{"thresholds": thresholds([]Threshold{{Color: "text"}})}}
}

// countedInFleet selects a metric of engines in the chosen clusters, for expressions that add up instances: those whose role counts it.
func countedInFleet(family string, matchers ...string) string {
	return inFleet(family, append([]string{counting(family)}, matchers...)...)
}

// waitingInFleet selects the requests that wait for an engine.
func waitingInFleet() string {
	return `{` + waitingFamilies + `, cluster_name=~"$cluster_name", ` + counting("num_requests_waiting") + `}`
}

// per writes an aggregation by identity in the chosen clusters.
func per(op, by, expr string) string { return op + " by (cluster_name, " + by + ") (" + expr + ")" }

const (
	perGPU      = "worker_name, gpu_index, gpu_chip_index"
	perInstance = "worker_name, model_name, model_instance_name"
)

func fleetNumbers() []Panel {
	states := func(title, description string, queries ...Query) Panel {
		return Panel{Kind: Stat, W: 3, H: 4, Title: title, Description: description, Unit: "short", NoValue: "none", Thresholds: []Threshold{{Color: "text"}}, Queries: queries}
	}
	flow := func(title, description, unit, expr string) Panel {
		return Panel{Kind: Stat, W: 4, H: 4, Title: title, Description: description, Unit: unit, NoValue: "none", Thresholds: []Threshold{{Color: "text"}}, Links: []Link{*To("stackscope-power", "Power and tokens per joule")}, Queries: []Query{{Expr: expr, Legend: title}}}
	}
	return []Panel{
		states("Workers", "Workers in state ready, of all that the server knows. The list above names the others.",
			Query{Expr: "count(" + per("max", "worker_name", inFleet("worker_status", `state="ready"`)) + ") or 0 * count(" + per("max", "worker_name", inFleet("worker_info")) + ")", Legend: "ready"},
			Query{Expr: "count(" + per("max", "worker_name", inFleet("worker_info")) + ")", Legend: "of"}),
		states("GPUs", "GPUs that can be read now, of the expected ones (--expected-gpus or seen before). The dashboard GPU health names the missing ones.",
			Query{Expr: "sum(" + per("max", "worker_name, vendor", inFleet("gpu_present")) + ")", Legend: "present"},
			Query{Expr: "sum(" + per("max", "worker_name, vendor", inFleet("gpu_expected")) + ")", Legend: "of"}),
		states("Instances", "Model instances that run, of the desired ones. The list above names those that are missing or not ready.",
			Query{Expr: "sum(" + per("max", "model_name", inFleet("model_running_instances")) + ")", Legend: "running"},
			Query{Expr: "sum(" + per("max", "model_name", inFleet("model_desired_instances")) + ")", Legend: "of"}),
		states("Requests", "Requests that engines compute, and requests in their queues. More waiting than running for long: add instances; the table below names the models.",
			Query{Expr: "sum(" + countedInFleet("num_requests_running") + ")", Legend: "running"},
			Query{Expr: "sum(" + waitingInFleet() + ")", Legend: "waiting"}),
		flow("Generated tokens", "Tokens that all models generate each second, counted on the decode side where prefill and decode are separate. A fall while requests wait means that engines are in trouble: see the tables below.", "count:tok/s",
			"sum(rate("+countedInFleet("generation_tokens_total")+"[$__rate_interval]))"),
		flow("Power", "Power that all GPUs draw. Compare it with what racks and power supplies allow; the power dashboard has each GPU's limit.", "watt",
			"sum("+per("max", perGPU, inFleet("worker_node_gpu_power_used_watts"))+")"),
		flow("Tokens per joule", "Generated tokens for each joule that the GPUs use, idle ones included. It falls when GPUs are idle: move models together, or switch GPUs off.", "none",
			"sum(rate("+countedInFleet("generation_tokens_total")+"[$__rate_interval])) / (sum(rate("+inFleet("gpu_energy_joules_total")+"[$__rate_interval])) > 0)"),
	}
}

func fleetOverTime() []Panel {
	byModel := func(title, description, unit, expr string) Panel {
		return Panel{Kind: TimeSeries, W: 12, Title: title, Description: description, Unit: unit, Min: new(0.0), Queries: []Query{{Expr: expr, Legend: "{{model_name}}"}}}
	}
	rate := func(family string) string {
		return per("sum", "model_name", "rate("+countedInFleet(family)+"[$__rate_interval])")
	}
	running := byModel("Requests running by model", "Requests that the engines of each model compute concurrently. A flat top is the engine's limit: check whether requests wait.", "short",
		per("sum", "model_name", countedInFleet("num_requests_running")))
	running.Stacked = true
	tokens := byModel("Generated tokens by model", "Tokens that each model generates each second. A model that falls to zero while its requests run is stalled: restart its instance.", "count:tok/s",
		rate("generation_tokens_total"))
	tokens.Stacked = true
	busy := Panel{
		Kind: TimeSeries, W: 12, Title: "GPU busy by worker, the ten busiest", Unit: "percent", Min: new(0.0), Max: new(100.0),
		Description: "Mean utilization of a worker's GPUs. High while no request waits is fine. Low while requests wait: something else is the limit, such as CPU, network or the engine's configuration.",
		Queries: []Query{{
			Expr:   top(10, "cluster_name, worker_name", per("avg", "worker_name", inFleet("worker_node_gpu_utilization_rate")), per("avg", "worker_name", "avg_over_time("+inFleet("worker_node_gpu_utilization_rate")+"[$__range] @ end())")),
			Legend: "{{worker_name}}",
		}},
	}
	return []Panel{
		running, tokens,
		byModel("Requests waiting by model", "Requests in the queues of each model's engines. A queue that stays or grows adds to everybody's time to the first token: add instances or limit the load.", "short",
			per("sum", "model_name", waitingInFleet())),
		busy,
	}
}
