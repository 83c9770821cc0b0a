package dashboards

func gpuErrors() []Panel {
	ecc := func(kind string) (expr, score string) {
		series := gpus("gpu_ecc_errors_total", `kind="`+kind+`"`)
		return "sum by (" + gpuBy + ") (" + series + ")", "sum by (" + gpuBy + ") (" + series + " @ end())"
	}
	corrected, correctedScore := ecc("corrected")
	uncorrected, uncorrectedScore := ecc("uncorrected")
	last := byGPU(gpus("gpu_error_last_timestamp_seconds"), "kind", "code")
	return []Panel{
		{
			Kind: Table, Title: "Errors reported by drivers and kernel logs", W: 14, H: 9, SortBy: "Last", NoValue: "No error was reported for these GPUs.",
			Description: "By GPU, kind and code; xid is NVIDIA's error number. Counts survive restarts of the worker. info: mostly a fault of the application; check the instance's log. warning: watch whether it comes again. critical: stop using the GPU and follow the recommended action above.",
			Queries: []Query{
				{Expr: errorsInRange()},
				{Expr: byGPU(gpus("gpu_error_events_total"), "kind", "code", "severity")},
				{Expr: "1000 * " + byGPU(gpus("gpu_error_last_timestamp_seconds"), "kind", "code")},
			},
			Columns: gpuColumns(
				Column{Title: "Kind", Label: "kind"},
				Column{Title: "Code", Label: "code", Width: 90},
				Column{Title: "Severity", Label: "severity", Width: 80},
				Column{Title: "In range", Query: 1, Width: 80, Thresholds: limits(1, 10)},
				Column{Title: "Ever", Query: 2, Width: 60},
				Column{Title: "Last", Query: 3, Unit: "dateTimeFromNow", Width: 120},
			),
		},
		{
			Kind: TimeSeries, Title: "GPUs with an error in the last 10 minutes, over time", W: 10, H: 9, Unit: "none", Min: new(0.0), Stacked: true,
			NoValue:     "No error was reported for these GPUs.",
			Description: "Number of GPUs whose last error of a kind and code was less than 10 minutes ago. A code on many GPUs at once points to an application or driver. A code that repeats on one GPU points to that GPU.",
			Queries: []Query{{
				Expr:   "count by (kind, code) (time() - " + last + " < 600) or 0 * count by (kind, code) (" + last + ")",
				Legend: "{{kind}} {{code}}",
			}},
			Overrides: []Override{{Matching: ".*", Properties: map[string]any{"custom.lineInterpolation": "stepAfter", "custom.axisSoftMax": 4}}},
		},
		{
			Kind: TimeSeries, Title: "Corrected memory errors", W: 7, Unit: "none", Min: new(0.0), Links: lineToWorker(),
			NoValue:     "These GPUs do not report ECC errors, or ECC is off.",
			Description: "Errors since the driver was loaded, for the 12 GPUs with the most. ECC corrected each of them, so no data was lost. A GPU whose count rises faster than its neighbours' has a memory row that will fail: plan a reset, so that it is remapped. A drop to 0 is a reload of the driver.",
			Queries:     []Query{{Expr: worst(corrected, above0(correctedScore)), Legend: gpuLegend}},
			Overrides:   []Override{stairs()},
		},
		{
			Kind: TimeSeries, Title: "Uncorrected memory errors", W: 7, Unit: "none", Min: new(0.0), Thresholds: bad(1), Links: lineToWorker(),
			NoValue:     "These GPUs do not report ECC errors, or ECC is off.",
			Description: "Errors since the driver was loaded, for the 12 GPUs with the most. Data was lost: processes on the GPU may have computed wrong results or were killed. Drain the GPU and reset it; if errors come again, have it replaced.",
			Queries:     []Query{{Expr: worst(uncorrected, above0(uncorrectedScore)), Legend: gpuLegend}},
			Overrides:   []Override{stairs()},
		},
		{
			Kind: Table, Title: "Retired memory rows", W: 10, H: 8, SortBy: "Uncorrected", NoValue: "-",
			Description: "Rows or pages that the GPU retired in its life, after many corrected errors or an uncorrected one. Waiting: remapped at the next reset. Failed: no spare row is left; have the GPU replaced. A dash: the vendor doesn't report it.",
			Queries: []Query{
				{Expr: byGPU(gpus("gpu_remapped_rows", `cause="corrected"`))},
				{Expr: byGPU(gpus("gpu_remapped_rows", `cause="uncorrected"`))},
				{Expr: byGPU(gpus("gpu_row_remap_pending"))},
				{Expr: byGPU(gpus("gpu_row_remap_failed"))},
			},
			Columns: []Column{
				{Title: "Worker", Label: "worker_name", Link: toWorker()},
				{Title: "GPU", Label: "gpu_index", Width: 52},
				{Title: "Chip", Label: "gpu_chip_index", Width: 52},
				{Title: "Corrected", Query: 1, Width: 84},
				{Title: "Uncorrected", Query: 2, Width: 104, Thresholds: limits(1, 8)},
				{Title: "Waiting", Query: 3, Width: 72, Values: yesNo("orange")},
				{Title: "Failed", Query: 4, Width: 62, Values: yesNo("red")},
			},
		},
	}
}

// yesNo maps 0 and 1; yes has the colour.
func yesNo(color string) []Value {
	return []Value{{Value: 0, Text: "no", Color: "green"}, {Value: 1, Text: "yes", Color: color}}
}
