package dashboards

import "fmt"

func gpuHealth() Dashboard {
	return Dashboard{
		UID: "stackscope-gpus", Title: "GPU health",
		Description: "Which GPUs are faulty, which are throttled, and which only look busy. A value that a vendor doesn't report is absent, never 0. The last row shows which metrics each vendor reports.",
		Variables:   []Variable{datasource(), cluster(), worker()},
		Rows: []Row{
			{Panels: append(gpuNow(), gpuToDo(), gpuNodes(), allGPUs())},
			{Title: "Errors and memory", Panels: gpuErrors()},
			{Title: "Temperature, power, clocks and throttling", Panels: gpuSpeed()},
			{Title: "Utilization compared with real activity", Panels: gpuBusy()},
			{Title: "PCIe and links between GPUs", Collapsed: true, Panels: gpuLinks()},
			{Title: "Slices, and which metrics each vendor reports", Panels: []Panel{gpuSlices(), gpuCoverage()}},
		},
	}
}

// errorsInRange counts the errors of the range. A series begins with a GPU's first error of its kind, which increase() would
// not see, so counts are compared with those at the range's start, if there were any.
func errorsInRange(matchers ...string) string {
	now := byGPU(gpus("gpu_error_events_total", matchers...), "kind", "code", "severity")
	then := byGPU(gpus("gpu_error_events_total", matchers...)+" offset $__range", "kind", "code", "severity")
	late := byGPU(gpus("gpu_error_last_timestamp_seconds"), "kind", "code") + " > time() - $__range_s"
	return fmt.Sprintf("(clamp_min(%[1]s - %[2]s, 0) or (%[1]s and on (%[3]s, kind, code) %[4]s) or 0 * %[1]s)", now, then, gpuBy, late)
}

// actions maps the recommended actions' ranks, as actionRank gives them, to their names.
func actions() []Value {
	return []Value{
		{Value: 0, Text: "none", Color: "green"},
		{Value: 1, Text: "restart app", Color: "dark-yellow"},
		{Value: 2, Text: "reset", Color: "orange"},
		{Value: 3, Text: "drain", Color: "orange"},
		{Value: 4, Text: "reboot", Color: "red"},
		{Value: 5, Text: "replace", Color: "dark-red"},
	}
}

// actionRank is the recommended action of GPUs as a number that grows with its severity.
func actionRank(atLeast int, labels ...string) string {
	expr := ""
	for rank, action := range []string{"none", "restart_app", "reset", "drain", "reboot", "replace"} {
		if rank < atLeast {
			continue
		}
		if expr != "" {
			expr += " or "
		}
		expr += fmt.Sprintf("%d * %s", rank, byGPU(gpus("gpu_recommended_action", fmt.Sprintf("action=%q", action)), labels...))
	}
	return expr
}

func gpuNow() []Panel {
	up := gpus("gpu_up")
	orZero := func(expr string) string { return fmt.Sprintf("%s or 0 * sum(%s)", expr, up) }
	return []Panel{
		{
			Kind: Stat, Unit: "none", Title: "GPUs present", NoValue: "no GPUs", Sparkline: true,
			Description: "GPUs that can be read now. A step down means that a GPU was lost or that a worker does not report. The table on the right shows where.",
			Queries:     []Query{{Expr: fmt.Sprintf("sum(max by (worker_name, vendor) (%s))", gpus("gpu_present"))}},
		},
		{
			Kind: Stat, Unit: "none", Title: "GPUs missing", NoValue: "no GPUs", Thresholds: bad(1),
			Description: "GPUs that are expected but not present. A worker expects --expected-gpus, or the GPUs that it has seen before. Check the worker's kernel log for XID 79 or a PCIe error. Replace a GPU that does not come back after a reboot.",
			Queries: []Query{{Expr: fmt.Sprintf("sum(clamp_min(max by (worker_name, vendor) (%s) - (max by (worker_name, vendor) (%s)), 0))",
				gpus("gpu_expected"), gpus("gpu_present"))}},
		},
		{
			Kind: Stat, Unit: "none", Title: "Hung GPU drivers", NoValue: "no GPUs", Thresholds: bad(1),
			Description: "Drivers or vendor tools that do not return from a call, counted by worker and vendor. The metrics of their GPUs are stale. Usually only a reboot of the worker helps; drain it first.",
			Queries:     []Query{{Expr: fmt.Sprintf("sum(1 - max by (worker_name, vendor) (%s))", gpus("gpu_driver_responsive"))}},
		},
		{
			Kind: Stat, Unit: "none", Title: "GPUs to act on", NoValue: "no GPUs", Thresholds: limits(1, 8),
			Description: "GPUs whose recommended action is not none. The table below names each GPU, the action, the reason and the instances that run on it.",
			Queries:     []Query{{Expr: orZero(fmt.Sprintf("count(%s)", byGPU(gpus("gpu_recommended_action", `action!="none"`))))}},
		},
		{
			Kind: Stat, Unit: "none", Title: "Critical GPU errors", NoValue: "no GPUs", Thresholds: bad(1),
			Description: "Critical errors that drivers and kernel logs reported in the time range. A GPU with one must not be used until it is reset or replaced; the table of errors names it. A worker that cannot read /dev/kmsg misses errors that only the kernel logs.",
			Queries:     []Query{{Expr: orZero(fmt.Sprintf("sum(%s)", errorsInRange(`severity="critical"`)))}},
		},
		{
			Kind: Stat, Unit: "none", Title: "GPUs throttled now", NoValue: "not reported", Thresholds: limits(1, 8),
			Description: "GPUs that were throttled for more than 5 % of the last minutes, for any reason. Only GPUs that report throttling are counted (see the last row). Thermal: check fans, air flow and neighbouring GPUs. Power cap: raise the limit or accept it.",
			Queries: []Query{{Expr: fmt.Sprintf("count(%[1]s > 0.05) or 0 * count(%[1]s)",
				byGPU("rate("+gpus("gpu_throttled_seconds_total")+"[$__rate_interval])"))}},
		},
	}
}

func gpuToDo() Panel {
	users := "max by (" + gpuBy + ", model_name, model_instance_name) (" + gpus("model_instance_gpu_memory_used_bytes") + ")"
	advised := "(" + actionRank(1, "gpu_name", "reason") + ")"
	return Panel{
		Kind: Table, Title: "Recommended actions", W: 15, H: 8, SortBy: "Action", NoValue: "No GPU needs action.",
		Description: "The most drastic action that an error or the driver asks for, its reason, and the instances on the GPU now. restart app: an error hit the instance; restart it. reset: stop what runs on the GPU, then reset it. drain: let instances finish, start no new ones. reboot: reboot the node. replace: have the GPU replaced.",
		Queries: []Query{{Expr: fmt.Sprintf("%[1]s * on (%[2]s) group_right (reason, gpu_name) (%[3]s > bool -1) or on (%[2]s) %[1]s",
			advised, gpuBy, users)}},
		Columns: gpuColumns(
			Column{Title: "Action", Query: 1, Values: actions(), Width: 100},
			Column{Title: "Reason", Label: "reason", Width: 215},
			Column{Title: "Model", Label: "model_name", Link: To("gpustack-model", "Model ${__data.fields.model_name}", varCluster, "${cluster_name}", varModel, "${__data.fields.model_name}")},
			Column{Title: "Instance", Label: "model_instance_name"},
		),
		Overrides: []Override{{Matching: ".*", Properties: map[string]any{"noValue": "-"}}},
	}
}

func gpuNodes() Panel {
	by := func(series string) string { return "max by (worker_name, vendor) (" + series + ")" }
	return Panel{
		Kind: Table, Title: "Expected and missing GPUs by worker", W: 9, H: 8, SortBy: "Missing", NoValue: "The chosen workers have no GPUs.",
		Description: "GPUs by worker and vendor. Missing: expected but not present. Lost: how often a GPU disappeared in the time range, even if it came back; a GPU that comes and goes is badly seated or failing. If the driver hangs, its other values are stale.",
		Queries: []Query{
			{Expr: by(gpus("gpu_expected"))},
			{Expr: by(gpus("gpu_expected")) + " - " + by(gpus("gpu_present"))},
			{Expr: "round(" + by("increase("+gpus("gpu_lost_total")+"[$__range])") + ")"},
			{Expr: by(gpus("gpu_driver_responsive"))},
		},
		Columns: []Column{
			{Title: "Worker", Label: "worker_name", Link: toWorker()},
			{Title: "Vendor", Label: "vendor"},
			{Title: "Expected", Query: 1, Width: 84},
			{Title: "Missing", Query: 2, Width: 70, Thresholds: bad(1)},
			{Title: "Lost", Query: 3, Width: 60, Thresholds: bad(1)},
			{Title: "Driver", Query: 4, Width: 80, Values: []Value{{Value: 1, Text: "answers", Color: "green"}, {Value: 0, Text: "hangs", Color: "red"}}},
		},
	}
}

// pcieMissing is the share of a GPU's PCIe bandwidth that its link leaves out. Each generation doubles the rate of a lane.
func pcieMissing() string {
	return fmt.Sprintf("1 - (2 ^ %s * %s) / (2 ^ %s * %s)",
		byGPU(gpus("gpu_pcie_link_generation")), byGPU(gpus("gpu_pcie_link_width")),
		byGPU(gpus("gpu_pcie_link_generation_max")), byGPU(gpus("gpu_pcie_link_width_max")))
}

func allGPUs() Panel {
	return Panel{
		Kind: Table, Title: "All GPUs, those that need action first", H: 10, SortBy: "Action", NoValue: "-",
		Description: "One row per GPU. A dash means that the GPU or its driver doesn't report the value; that does not mean healthy. Throttled: share of the time range, for the strongest reason. Slow: how far the clock is below its maximum while the GPU is busy. PCIe loss: missing share of the link's bandwidth; idle GPUs may lower the generation to save power. Unattributed: memory that no known instance uses.",
		Queries: []Query{
			{Expr: byGPU(gpus("gpu_up"), "gpu_name")},
			{Expr: actionRank(0)},
			{Expr: byGPU(gpus("worker_node_gpu_temperature_celsius"))},
			{Expr: byGPU(gpus("gpu_memory_temperature_celsius"))},
			{Expr: byGPU("rate(" + gpus("gpu_throttled_seconds_total") + "[$__range])")},
			{Expr: byGPU(gpus("gpu_clock_deficit_ratio", `clock!="memory"`)) + " and on (" + gpuBy + ") " + byGPU(gpus("worker_node_gpu_utilization_rate")) + " > 50"},
			{Expr: "sum by (" + gpuBy + ") (" + errorsInRange() + ") or 0 * " + byGPU(gpus("gpu_up"))},
			{Expr: "sum by (" + gpuBy + ") (" + gpus("gpu_ecc_errors_total", `kind="uncorrected"`) + ")"},
			{Expr: byGPU(gpus("gpu_row_remap_pending")) + " + 2 * " + byGPU(gpus("gpu_row_remap_failed")) + " or " + byGPU(gpus("gpu_row_remap_pending"))},
			{Expr: pcieMissing()},
			{Expr: "sum by (" + gpuBy + ") (1 - " + byGPU(gpus("gpu_link_up"), "link_type", "link") + ")"},
			{Expr: byGPU(gpus("gpu_memory_unaccounted_bytes"))},
		},
		Columns: []Column{
			{Title: "Worker", Label: "worker_name", Link: toWorker()},
			{Title: "GPU", Label: "gpu_index", Width: 52},
			{Title: "Chip", Label: "gpu_chip_index", Width: 52},
			{Title: "Type", Label: "gpu_name"},
			{Title: "Readable", Query: 1, Width: 80, Values: []Value{{Value: 1, Text: "yes", Color: "green"}, {Value: 0, Text: "lost", Color: "red"}}},
			{Title: "Action", Query: 2, Width: 90, Values: actions()},
			{Title: "Core", Query: 3, Unit: "celsius", Width: 66, Thresholds: limits(80, 90)},
			{Title: "Memory", Query: 4, Unit: "celsius", Width: 74, Thresholds: limits(95, 105)},
			{Title: "Throttled", Query: 5, Unit: "percentunit", Decimals: new(0), Width: 86, Thresholds: limits(0.05, 0.3)},
			{Title: "Slow", Query: 6, Unit: "percentunit", Decimals: new(0), Width: 60, Thresholds: limits(0.1, 0.3)},
			{Title: "Errors", Query: 7, Width: 66, Thresholds: limits(1, 10)},
			{Title: "ECC", Query: 8, Width: 52, Thresholds: bad(1)},
			{Title: "Rows", Query: 9, Width: 70, Values: []Value{
				{Value: 0, Text: "fine", Color: "green"},
				{Value: 1, Text: "reset", Color: "orange"},
				{Value: 2, Text: "failed", Color: "red"},
				{Value: 3, Text: "failed", Color: "red"},
			}},
			{Title: "PCIe loss", Query: 10, Unit: "percentunit", Decimals: new(0), Width: 84, Thresholds: limits(0.01, 0.6)},
			{Title: "Links down", Query: 11, Width: 92, Thresholds: bad(1)},
			{Title: "Unattributed", Query: 12, Unit: "bytes", Decimals: new(0), Width: 84, Thresholds: limits(2<<30, 8<<30)},
		},
	}
}
