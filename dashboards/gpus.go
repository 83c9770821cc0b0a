package dashboards

import "fmt"

func gpuHealth() Dashboard {
	return Dashboard{
		UID: "stackscope-gpus", Title: "GPU health",
		Description: "Which cards are sick, which are held back, and which only look busy. What a vendor's cards do not tell is absent, never 0: the last row says who tells what.",
		Variables:   []Variable{datasource(), cluster(), worker()},
		Rows: []Row{
			{Panels: append(gpuNow(), gpuToDo(), gpuNodes(), gpuCards())},
			{Title: "Errors and memory", Panels: gpuErrors()},
			{Title: "Heat, power and speed: what holds cards back", Panels: gpuSpeed()},
			{Title: "Busy is not busy: what utilization hides", Panels: gpuBusy()},
			{Title: "PCIe and links between cards", Collapsed: true, Panels: gpuLinks()},
			{Title: "Slices and what the cards tell", Panels: []Panel{gpuSlices(), gpuCoverage()}},
		},
	}
}

// errorsInRange counts the errors of the range. A series begins with a card's first error of its kind, which increase() would
// not see, so counts are compared with those at the range's start, if there were any.
func errorsInRange(matchers ...string) string {
	now := ofCard(cards("gpu_error_events_total", matchers...), "kind", "code", "severity")
	then := ofCard(cards("gpu_error_events_total", matchers...)+" offset $__range", "kind", "code", "severity")
	late := ofCard(cards("gpu_error_last_timestamp_seconds"), "kind", "code") + " > time() - $__range_s"
	return fmt.Sprintf("(clamp_min(%[1]s - %[2]s, 0) or (%[1]s and on (%[3]s, kind, code) %[4]s) or 0 * %[1]s)", now, then, cardBy, late)
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

// actionRank is the recommended action of cards as a number that grows with its severity.
func actionRank(atLeast int, labels ...string) string {
	expr := ""
	for rank, action := range []string{"none", "restart_app", "reset", "drain", "reboot", "replace"} {
		if rank < atLeast {
			continue
		}
		if expr != "" {
			expr += " or "
		}
		expr += fmt.Sprintf("%d * %s", rank, ofCard(cards("gpu_recommended_action", fmt.Sprintf("action=%q", action)), labels...))
	}
	return expr
}

func gpuNow() []Panel {
	up := cards("gpu_up")
	orZero := func(expr string) string { return fmt.Sprintf("%s or 0 * sum(%s)", expr, up) }
	return []Panel{
		{
			Kind: Stat, Unit: "none", Title: "Cards present", NoValue: "no cards", Sparkline: true,
			Description: "Cards that can be read now. A step down is a card that was lost or a worker that does not report: the table on the right says where.",
			Queries:     []Query{{Expr: fmt.Sprintf("sum(max by (worker_name, vendor) (%s))", cards("gpu_present"))}},
		},
		{
			Kind: Stat, Unit: "none", Title: "Cards missing", NoValue: "no cards", Thresholds: bad(1),
			Description: "Cards expected but not present. Expected are those that a worker was told of (--expected-gpus) or has once seen. Look at the kernel log of the worker for XID 79 or a PCIe error; a card that does not come back after a reboot is to be replaced.",
			Queries: []Query{{Expr: fmt.Sprintf("sum(clamp_min(max by (worker_name, vendor) (%s) - (max by (worker_name, vendor) (%s)), 0))",
				cards("gpu_expected"), cards("gpu_present"))}},
		},
		{
			Kind: Stat, Unit: "none", Title: "Drivers that hang", NoValue: "no cards", Thresholds: bad(1),
			Description: "Vendors' drivers or tools, by worker, that do not return from a call. All that such a driver would say is stale: cards look as they did when it stopped. Usually only a reboot of the worker helps; drain it first.",
			Queries:     []Query{{Expr: fmt.Sprintf("sum(1 - max by (worker_name, vendor) (%s))", cards("gpu_driver_responsive"))}},
		},
		{
			Kind: Stat, Unit: "none", Title: "Need something", NoValue: "no cards", Thresholds: limits(1, 8),
			Description: "Cards with a recommended action other than none. The table below names them, the action, the reason and who runs there.",
			Queries:     []Query{{Expr: orZero(fmt.Sprintf("count(%s)", ofCard(cards("gpu_recommended_action", `action!="none"`))))}},
		},
		{
			Kind: Stat, Unit: "none", Title: "Critical errors", NoValue: "no cards", Thresholds: bad(1),
			Description: "Errors of severity critical that drivers and kernel logs reported in the time range: the card must not be used as it is. See the table of errors. A worker that may not read /dev/kmsg misses those that the kernel alone logs.",
			Queries:     []Query{{Expr: orZero(fmt.Sprintf("sum(%s)", errorsInRange(`severity="critical"`)))}},
		},
		{
			Kind: Stat, Unit: "none", Title: "Held back now", NoValue: "not told", Thresholds: limits(1, 8),
			Description: "Cards that spent more than 5 % of the last moments throttled for any reason. Counts only cards that tell it (see the last row). Heat: look at fans, air flow and the neighbours. Power cap: raise the limit or live with it.",
			Queries: []Query{{Expr: fmt.Sprintf("count(%[1]s > 0.05) or 0 * count(%[1]s)",
				ofCard("rate("+cards("gpu_throttled_seconds_total")+"[$__rate_interval])"))}},
		},
	}
}

func gpuToDo() Panel {
	users := "max by (" + cardBy + ", model_name, model_instance_name) (" + cards("model_instance_gpu_memory_used_bytes") + ")"
	advised := "(" + actionRank(1, "gpu_name", "reason") + ")"
	return Panel{
		Kind: Table, Title: "What to do now", W: 15, H: 8, SortBy: "Do", NoValue: "No card asks for anything.",
		Description: "The most drastic thing that anything speaks for on a card, why, and which model instance is there now. restart app: the instance saw an error that a new start mends. reset: free the card, then reset it. drain: let the instances end and start none. reboot: the worker. replace: the card is to be sent back.",
		Queries: []Query{{Expr: fmt.Sprintf("%[1]s * on (%[2]s) group_right (reason, gpu_name) (%[3]s > bool -1) or on (%[2]s) %[1]s",
			advised, cardBy, users)}},
		Columns: cardColumns(
			Column{Title: "Do", Query: 1, Values: actions(), Width: 100},
			Column{Title: "Because", Label: "reason", Width: 215},
			Column{Title: "Model", Label: "model_name", Link: To("gpustack-model", "Model ${__data.fields.model_name}", varCluster, "${cluster_name}", varModel, "${__data.fields.model_name}")},
			Column{Title: "Instance", Label: "model_instance_name"},
		),
		Overrides: []Override{{Matching: ".*", Properties: map[string]any{"noValue": "-"}}},
	}
}

func gpuNodes() Panel {
	by := func(series string) string { return "max by (worker_name, vendor) (" + series + ")" }
	return Panel{
		Kind: Table, Title: "Expected and present", W: 9, H: 8, SortBy: "Missing", NoValue: "No worker of the choice has cards.",
		Description: "Cards by worker and vendor. Missing: expected but not there. Lost: how often in the range a card went away, also if it came back: a card that comes and goes sits badly or is dying. A driver that hangs answers nothing: its other values are stale.",
		Queries: []Query{
			{Expr: by(cards("gpu_expected"))},
			{Expr: by(cards("gpu_expected")) + " - " + by(cards("gpu_present"))},
			{Expr: "round(" + by("increase("+cards("gpu_lost_total")+"[$__range])") + ")"},
			{Expr: by(cards("gpu_driver_responsive"))},
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

// pcieMissing is the share of a card's PCIe bandwidth that its link leaves out. Each generation doubles the rate of a lane.
func pcieMissing() string {
	return fmt.Sprintf("1 - (2 ^ %s * %s) / (2 ^ %s * %s)",
		ofCard(cards("gpu_pcie_link_generation")), ofCard(cards("gpu_pcie_link_width")),
		ofCard(cards("gpu_pcie_link_generation_max")), ofCard(cards("gpu_pcie_link_width_max")))
}

func gpuCards() Panel {
	return Panel{
		Kind: Table, Title: "All cards, those that need something first", H: 10, SortBy: "Do", NoValue: "-",
		Description: "One line a card. A dash is something that the card or its vendor's driver does not tell, which is not the same as healthy. Held back: share of the range, of the strongest reason. Slow: how far the clock is below its maximum while the card is busy. PCIe loss: share of the link's bandwidth, where idle cards may save power by a lower generation. Nobody's: memory that no known instance holds.",
		Queries: []Query{
			{Expr: ofCard(cards("gpu_up"), "gpu_name")},
			{Expr: actionRank(0)},
			{Expr: ofCard(cards("worker_node_gpu_temperature_celsius"))},
			{Expr: ofCard(cards("gpu_memory_temperature_celsius"))},
			{Expr: ofCard("rate(" + cards("gpu_throttled_seconds_total") + "[$__range])")},
			{Expr: ofCard(cards("gpu_clock_deficit_ratio", `clock!="memory"`)) + " and on (" + cardBy + ") " + ofCard(cards("worker_node_gpu_utilization_rate")) + " > 50"},
			{Expr: "sum by (" + cardBy + ") (" + errorsInRange() + ") or 0 * " + ofCard(cards("gpu_up"))},
			{Expr: "sum by (" + cardBy + ") (" + cards("gpu_ecc_errors_total", `kind="uncorrected"`) + ")"},
			{Expr: ofCard(cards("gpu_row_remap_pending")) + " + 2 * " + ofCard(cards("gpu_row_remap_failed")) + " or " + ofCard(cards("gpu_row_remap_pending"))},
			{Expr: pcieMissing()},
			{Expr: "sum by (" + cardBy + ") (1 - " + ofCard(cards("gpu_link_up"), "link_type", "link") + ")"},
			{Expr: ofCard(cards("gpu_memory_unaccounted_bytes"))},
		},
		Columns: []Column{
			{Title: "Worker", Label: "worker_name", Link: toWorker()},
			{Title: "Card", Label: "gpu_index", Width: 52},
			{Title: "Chip", Label: "gpu_chip_index", Width: 52},
			{Title: "Type", Label: "gpu_name"},
			{Title: "Readable", Query: 1, Width: 80, Values: []Value{{Value: 1, Text: "yes", Color: "green"}, {Value: 0, Text: "lost", Color: "red"}}},
			{Title: "Do", Query: 2, Width: 90, Values: actions()},
			{Title: "Core", Query: 3, Unit: "celsius", Width: 66, Thresholds: limits(80, 90)},
			{Title: "Memory", Query: 4, Unit: "celsius", Width: 74, Thresholds: limits(95, 105)},
			{Title: "Held back", Query: 5, Unit: "percentunit", Decimals: new(0), Width: 86, Thresholds: limits(0.05, 0.3)},
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
			{Title: "Nobody's", Query: 12, Unit: "bytes", Decimals: new(0), Width: 84, Thresholds: limits(2<<30, 8<<30)},
		},
	}
}
