package dashboards

import "fmt"

const (
	energyBy      = "model_name, runtime"
	modelEnergyOf = "model_instance_gpu_energy_joules_total"
)

// perModel adds up a counter's rate over the instances of a model that energy is allocated to: others would make their tokens look
// free. A request that passes two instances is counted once. The window is Grafana's for rates, or the whole range.
func perModel(family, window string) string {
	return fmt.Sprintf("sum by (%s) (sum by (%s) (rate(%s[%s])) and on (worker_name, model_name, model_instance_name) group by (worker_name, model_name, model_instance_name) (%s))",
		energyBy, engineBy, gpus(family, counting(family)), window, gpus(modelEnergyOf))
}

func modelEnergy(window string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s[%s]))", energyBy, gpus(modelEnergyOf), window)
}

// above0Rate drops models that did nothing, for which there is no price.
func above0Rate(expr string) string { return "(" + expr + " > 0)" }

func totalTokens(window string) string {
	return "(" + perModel("prompt_tokens_total", window) + " + " + perModel("generation_tokens_total", window) + ")"
}

func tokenEnergy() []Panel {
	const window = "$__rate_interval"
	const allocation = " Energy is allocated to instances by share of use, and idle time counts: a model without load looks expensive."
	line := func(title, unit, description, expr string) Panel {
		return Panel{
			Kind: TimeSeries, Interval: "30s", Title: title, Unit: unit, Min: new(0.0), Description: description + allocation, NoValue: "No energy is allocated to these models' instances, or they generate nothing.",
			Links:   []Link{*To("gpustack-model", "Model ${__field.labels.model_name}", varCluster, "$cluster_name", varModel, "${__field.labels.model_name}")},
			Queries: []Query{{Expr: expr, Legend: "{{model_name}} {{runtime}}"}}, Overrides: []Override{thin()},
		}
	}
	output := perModel("generation_tokens_total", window)
	return []Panel{
		line("Energy per output token", "joule", "Joules allocated to a model's instances, divided by the tokens that they generated; the prompts' energy is in it. Compare only models with similar prompt lengths: long prompts with short answers look expensive here and cheap in the next panel.",
			modelEnergy(window)+" / "+above0Rate(output)),
		line("Energy per token, prompt and output", "joule", "The same joules, divided by prompt and output tokens together. Prompt tokens are far cheaper than output tokens, and cached ones nearly free though most engines count them: a better cache makes this number fall without any token being computed cheaper.",
			modelEnergy(window)+" / "+above0Rate(totalTokens(window))),
		line("Output tokens per joule", "none", "The inverse of energy per output token: higher is better. It rises with the batch size up to where the GPUs are full. After a change of engine, version or power limit, compare at the same load.",
			output+" / "+above0Rate(modelEnergy(window))),
		line("Energy per request", "joule", "Joules divided by requests that ended successfully. It follows the length of prompts and answers; requests that failed or were aborted used energy, too, and make the others more expensive.",
			modelEnergy(window)+" / "+above0Rate(perModel("request_success_total", window))),
	}
}

func powerModels() Panel {
	const window = "$__range"
	kwh := "sum by (" + energyBy + ") (increase(" + gpus(modelEnergyOf) + "[$__range])) / " + kWh
	output := perModel("generation_tokens_total", window)
	return Panel{
		Kind: Table, Title: "Models, over the whole range", H: 8, SortBy: "Energy", NoValue: "-",
		Description: "One row per model and runtime. Price per million output tokens is that of the GPUs' energy alone, idle time included: it falls with fewer idle instances, larger batches and lower power limits. Energy is an allocation by share of use.",
		Queries: []Query{
			{Expr: modelEnergy(window)},
			{Expr: kwh},
			{Expr: kwh + " * $price"},
			{Expr: output},
			{Expr: modelEnergy(window) + " / " + above0Rate(output)},
			{Expr: modelEnergy(window) + " / " + above0Rate(totalTokens(window))},
			{Expr: output + " / " + above0Rate(modelEnergy(window))},
			{Expr: modelEnergy(window) + " / " + above0Rate(perModel("request_success_total", window))},
			{Expr: modelEnergy(window) + " / " + above0Rate(output) + " * 1e6 / " + kWh + " * $price"},
		},
		Columns: []Column{
			{Title: "Model", Label: "model_name", Link: toModel(), Width: 150},
			{Title: "Runtime", Label: "runtime", Width: 80},
			{Title: "Mean power", Query: 1, Unit: "watt", Decimals: new(0)},
			{Title: "Energy", Query: 2, Unit: "kwatth", Decimals: new(1)},
			{Title: "Cost", Query: 3, Decimals: new(3)},
			{Title: "Out tokens/s", Query: 4, Decimals: new(0)},
			{Title: "J/out token", Query: 5, Decimals: new(2)},
			{Title: "J/token", Query: 6, Decimals: new(3)},
			{Title: "Tokens/J", Query: 7, Decimals: new(2)},
			{Title: "J/request", Query: 8, Decimals: new(0)},
			{Title: "Cost/M out", Query: 9, Decimals: new(3)},
		},
	}
}

func powerInstances() Panel {
	by := "model_name, worker_name, model_instance_name"
	joules := "sum by (" + by + ") (increase(" + gpus(modelEnergyOf) + "[$__range]))"
	return Panel{
		Kind: Table, Title: "Instances", W: 14, H: 8, SortBy: "Energy", NoValue: "-",
		Description: "Energy allocated to each instance in the range, and how many requests it computes now. Scale down an instance that uses much energy and has no requests.",
		Queries: []Query{
			{Expr: joules + " / " + kWh},
			{Expr: joules + " / " + kWh + " * $price"},
			{Expr: "sum by (" + by + ") (increase(" + gpus("generation_tokens_total") + "[$__range])) / (" + joules + " > 0)"},
			{Expr: "sum by (" + by + ") (" + gpus("num_requests_running") + ")"},
		},
		Columns: []Column{
			{Title: "Instance", Label: "model_instance_name", Link: toInstance()},
			{Title: "Model", Label: "model_name", Link: toModel()},
			{Title: "Worker", Label: "worker_name", Link: toWorker()},
			{Title: "Energy", Query: 1, Unit: "kwatth", Decimals: new(1), Width: 86},
			{Title: "Cost", Query: 2, Decimals: new(3), Width: 60},
			{Title: "Tokens/J", Query: 3, Decimals: new(2), Width: 76},
			{Title: "Running", Query: 4, Decimals: new(0), Width: 72},
		},
	}
}

func powerWorkers() Panel {
	idle := "sum by (worker_name) ((" + wattsWaiting() + ") or (" + wattsEmpty() + ")) or 0 * sum by (worker_name) (" + watts() + ")"
	return Panel{
		Kind: Table, Title: "Workers", W: 10, H: 8, SortBy: "Energy", NoValue: "-",
		Description: "Energy of each worker's GPUs in the range and their power now. Idle: power of its GPUs without requests. Switch off an idle worker, or move models together.",
		Queries: []Query{
			{Expr: energy("worker_name")},
			{Expr: energy("worker_name") + " * $price"},
			{Expr: "sum by (worker_name) (" + watts() + ")"},
			{Expr: "sum by (worker_name) (" + byGPU(gpus("worker_node_gpu_power_limit_watts")) + ")"},
			{Expr: idle},
		},
		Columns: []Column{
			{Title: "Worker", Label: "worker_name", Link: toWorker()},
			{Title: "Energy", Query: 1, Unit: "kwatth", Decimals: new(1), Width: 86},
			{Title: "Cost", Query: 2, Decimals: new(3), Width: 60},
			{Title: "Power", Query: 3, Unit: "watt", Decimals: new(1), Width: 82},
			{Title: "Limit", Query: 4, Unit: "watt", Decimals: new(1), Width: 82},
			{Title: "Idle", Query: 5, Unit: "watt", Decimals: new(0), Width: 76, Thresholds: limits(1, 1000)},
		},
	}
}

func powerGPUs() Panel {
	state := fmt.Sprintf("0 * (%s) or 1 + 0 * (%s) or 2 + 0 * (%s) or 3 + 0 * (%s) or 4 + 0 * (%s)", wattsWorking(), wattsWaiting(), wattsEmpty(), wattsUntold(), wattsElsewhere())
	return Panel{
		Kind: Table, Title: "GPUs", H: 10, SortBy: "Energy", NoValue: "-",
		Description: "Energy of each GPU in the time range, its power now as a share of its limit, and its activity now. A dash: the GPU doesn't report it.",
		Queries: []Query{
			{Expr: byGPU("increase("+gpus("gpu_energy_joules_total")+"[$__range])", "gpu_name") + " / " + kWh},
			{Expr: byGPU("increase("+gpus("gpu_energy_joules_total")+"[$__range])") + " / " + kWh + " * $price"},
			{Expr: byGPU("avg_over_time(" + gpus("worker_node_gpu_power_used_watts") + "[$__range])")},
			{Expr: watts()},
			{Expr: byGPU(gpus("worker_node_gpu_power_limit_watts"))},
			{Expr: watts() + " / " + byGPU(gpus("worker_node_gpu_power_limit_watts"))},
			{Expr: state},
		},
		Columns: gpuColumns(
			Column{Title: "Type", Label: "gpu_name"},
			Column{Title: "Energy", Query: 1, Unit: "kwatth", Decimals: new(1), Width: 110},
			Column{Title: "Cost", Query: 2, Decimals: new(3), Width: 80},
			Column{Title: "Mean power", Query: 3, Unit: "watt", Decimals: new(0), Width: 110},
			Column{Title: "Power", Query: 4, Unit: "watt", Decimals: new(0), Width: 90},
			Column{Title: "Limit", Query: 5, Unit: "watt", Decimals: new(0), Width: 90},
			Column{Title: "GPU power as a share of the limit", Query: 6, Unit: "percentunit", Decimals: new(0), Bar: true, Max: 1, Width: 160},
			Column{Title: "Does", Query: 7, Width: 170, Values: []Value{
				{Value: 0, Text: "computes requests", Color: "green"},
				{Value: 1, Text: "instance, no request", Color: "orange"},
				{Value: 2, Text: "no instance", Color: "red"},
				{Value: 3, Text: "not reported", Color: "text"},
				{Value: 4, Text: "another program", Color: "purple"},
			}},
		),
	}
}
