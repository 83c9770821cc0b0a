package dashboards

func gpuErrors() []Panel {
	ecc := func(kind string) (expr, score string) {
		series := cards("gpu_ecc_errors_total", `kind="`+kind+`"`)
		return "sum by (" + cardBy + ") (" + series + ")", "sum by (" + cardBy + ") (" + series + " @ end())"
	}
	corrected, correctedScore := ecc("corrected")
	uncorrected, uncorrectedScore := ecc("uncorrected")
	last := ofCard(cards("gpu_error_last_timestamp_seconds"), "kind", "code")
	return []Panel{
		{
			Kind: Table, Title: "Errors reported by drivers and kernel logs", W: 14, H: 9, SortBy: "Last", NoValue: "No error was ever reported for these cards.",
			Description: "By card, kind and code; xid is NVIDIA's number. Counts are kept over restarts of the worker. info is mostly an application's fault: look at the instance's log. warning: look whether it comes again. critical: stop using the card and do what the table above says.",
			Queries: []Query{
				{Expr: errorsInRange()},
				{Expr: ofCard(cards("gpu_error_events_total"), "kind", "code", "severity")},
				{Expr: "1000 * " + ofCard(cards("gpu_error_last_timestamp_seconds"), "kind", "code")},
			},
			Columns: cardColumns(
				Column{Title: "Kind", Label: "kind"},
				Column{Title: "Code", Label: "code", Width: 90},
				Column{Title: "Severity", Label: "severity", Width: 80},
				Column{Title: "In range", Query: 1, Width: 80, Thresholds: limits(1, 10)},
				Column{Title: "Ever", Query: 2, Width: 60},
				Column{Title: "Last", Query: 3, Unit: "dateTimeFromNow", Width: 120},
			),
		},
		{
			Kind: TimeSeries, Title: "When: cards with an error in the 10 minutes before", W: 10, H: 9, Unit: "none", Min: new(0.0), Stacked: true,
			NoValue:     "No error was ever reported for these cards.",
			Description: "How many cards had their last error of a kind and code less than 10 minutes before. A code that many cards have at once is an application or a driver; one that one card has again and again is the card.",
			Queries: []Query{{
				Expr:   "count by (kind, code) (time() - " + last + " < 600) or 0 * count by (kind, code) (" + last + ")",
				Legend: "{{kind}} {{code}}",
			}},
			Overrides: []Override{{Matching: ".*", Properties: map[string]any{"custom.lineInterpolation": "stepAfter", "custom.axisSoftMax": 4}}},
		},
		{
			Kind: TimeSeries, Title: "Corrected memory errors", W: 7, Unit: "none", Min: new(0.0), Links: lineToWorker(),
			NoValue:     "These cards do not tell ECC errors, or ECC is off.",
			Description: "Since the driver was loaded, the 12 cards with the most. Each was mended by ECC and did no harm. A line that rises steadily faster than its neighbours' announces a row that will fail: plan a reset so that it can be remapped. A fall to 0 is a reload of the driver.",
			Queries:     []Query{{Expr: worst(corrected, above0(correctedScore)), Legend: cardLegend}},
			Overrides:   []Override{stairs()},
		},
		{
			Kind: TimeSeries, Title: "Uncorrected memory errors", W: 7, Unit: "none", Min: new(0.0), Thresholds: bad(1), Links: lineToWorker(),
			NoValue:     "These cards do not tell ECC errors, or ECC is off.",
			Description: "Since the driver was loaded, the 12 cards with the most. Data was lost: what ran there may have computed nonsense or was ended. Drain the card and reset it; if it comes again, have it replaced.",
			Queries:     []Query{{Expr: worst(uncorrected, above0(uncorrectedScore)), Legend: cardLegend}},
			Overrides:   []Override{stairs()},
		},
		{
			Kind: Table, Title: "Memory rows out of use", W: 10, H: 8, SortBy: "Uncorrected", NoValue: "-",
			Description: "Rows or pages that the card took out of use in its life, after many corrected errors or an uncorrected one. Waiting: they are remapped at the next reset. Failed: there is no spare row left; have the card replaced. A dash: the vendor does not tell it.",
			Queries: []Query{
				{Expr: ofCard(cards("gpu_remapped_rows", `cause="corrected"`))},
				{Expr: ofCard(cards("gpu_remapped_rows", `cause="uncorrected"`))},
				{Expr: ofCard(cards("gpu_row_remap_pending"))},
				{Expr: ofCard(cards("gpu_row_remap_failed"))},
			},
			Columns: []Column{
				{Title: "Worker", Label: "worker_name", Link: toWorker()},
				{Title: "Card", Label: "gpu_index", Width: 52},
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
