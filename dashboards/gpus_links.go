package dashboards

import "strings"

func gpuLinks() []Panel {
	by := func(series string) string { return "sum by (" + cardBy + ", link_type) (" + series + ")" }
	linkUp := ofCard(cards("gpu_link_up"), "link_type", "link")
	linkErrors := cards("gpu_link_errors_total")
	replays := cards("gpu_pcie_replays_total")
	// A card tells either counters or rates.
	fabric := func(counter, gauge string) (expr, score string) {
		expr = by("rate("+cards(counter)+"[$__rate_interval])") + " or " + by(cards(gauge))
		score = "(" + by("increase("+cards(counter)+"[$__range] @ end())") + " or " + by("max_over_time("+cards(gauge)+"[$__range] @ end())") + ")"
		return expr, score
	}
	received, receivedScore := fabric("gpu_link_received_bytes_total", "gpu_link_receive_bytes_per_second")
	sent, sentScore := fabric("gpu_link_transmitted_bytes_total", "gpu_link_transmit_bytes_per_second")
	return []Panel{
		{
			Kind: Table, Title: "PCIe links", W: 12, H: 8, SortBy: "Missing", NoValue: "-",
			Description: "The link as it runs and as it could. Missing: the share of its bandwidth that it leaves out. Fewer lanes than possible is always wrong: reseat the card, look at the riser. A lower generation is normal while a card idles (to save power) and wrong while it is busy. A dash: the card does not tell its maximum, so nothing can be said.",
			Queries: []Query{
				{Expr: ofCard(cards("gpu_pcie_link_generation"))},
				{Expr: ofCard(cards("gpu_pcie_link_generation_max"))},
				{Expr: ofCard(cards("gpu_pcie_link_width"))},
				{Expr: ofCard(cards("gpu_pcie_link_width_max"))},
				{Expr: pcieMissing()},
				{Expr: ofCard(cards("worker_node_gpu_utilization_rate"))},
			},
			Columns: cardColumns(
				Column{Title: "Gen", Query: 1, Width: 52},
				Column{Title: "of", Query: 2, Width: 50},
				Column{Title: "Lanes", Query: 3, Width: 60},
				Column{Title: "of ", Query: 4, Width: 50},
				Column{Title: "Missing", Query: 5, Unit: "percentunit", Decimals: new(0), Width: 76, Thresholds: limits(0.01, 0.6)},
				Column{Title: "Busy", Query: 6, Unit: "percent", Decimals: new(0), Width: 62},
			),
		},
		{
			Kind: Table, Title: "Links between cards", W: 12, H: 8, SortBy: "Down", NoValue: "-",
			Description: "NVLink, xGMI, HCCS and the like. A link that is down makes its peers talk over PCIe: tensor-parallel models get many times slower on that pair. Errors that are not replays: reseat the bridge or cable, then have it replaced. A dash: the vendor does not count errors.",
			Queries: []Query{
				{Expr: "sum by (" + cardBy + ", link_type) (" + linkUp + ")"},
				{Expr: "sum by (" + cardBy + ", link_type) (1 - " + linkUp + ")"},
				{Expr: "round(" + by("increase("+linkErrors+"[$__range])") + ")"},
			},
			Columns: cardColumns(
				Column{Title: "Type", Label: "link_type"},
				Column{Title: "Up", Query: 1, Width: 60},
				Column{Title: "Down", Query: 2, Width: 66, Thresholds: bad(1)},
				Column{Title: "Errors in range", Query: 3, Width: 130, Thresholds: limits(1, 1000)},
			),
		},
		{
			Kind: TimeSeries, Title: "PCIe: received", H: 7, Unit: "binBps", Min: new(0.0), Links: lineToWorker(),
			NoValue:     "These cards do not measure their PCIe traffic.",
			Description: "What the 12 cards with the most traffic receive. A generation 5 link with 16 lanes carries about 60 GiB/s each way. Much of it while a model decodes: its cache is offloaded to the host, or the cards talk over PCIe in place of their links.",
			Queries:     []Query{{Expr: highest(cards("gpu_pcie_receive_bytes_per_second")), Legend: cardLegend}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Title: "PCIe: sent", H: 7, Unit: "binBps", Min: new(0.0), Links: lineToWorker(),
			NoValue:     "These cards do not measure their PCIe traffic.",
			Description: "What the 12 cards with the most traffic send. Compare it with what they receive: a card that sends much more than its neighbours pushes its cache out to the host.",
			Queries:     []Query{{Expr: highest(cards("gpu_pcie_transmit_bytes_per_second")), Legend: cardLegend}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Title: "Links between cards: received", H: 7, Unit: "binBps", Min: new(0.0), Links: lineToWorker(),
			NoValue:     "These cards have no links between them, or do not count what goes over them.",
			Description: "All links of a card together, for the 12 cards with the most traffic. The tensor-parallel cards of one instance move in step: look at one that lags.",
			Queries:     []Query{{Expr: worst(received, receivedScore, "link_type"), Legend: cardLegend + " {{link_type}}"}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Title: "Links between cards: sent", H: 7, Unit: "binBps", Min: new(0.0), Links: lineToWorker(),
			NoValue:     "These cards have no links between them, or do not count what goes over them.",
			Description: "All links of a card together, for the 12 cards with the most traffic. No traffic where a model spans several cards: they talk over PCIe, which the panels above show.",
			Queries:     []Query{{Expr: worst(sent, sentScore, "link_type"), Legend: cardLegend + " {{link_type}}"}},
			Overrides:   []Override{thin()},
		},
		{
			Kind: TimeSeries, Title: "PCIe replays", Unit: "cps", Min: new(0.0), Links: lineToWorker(), Thresholds: limits(0.1, 10),
			NoValue:     "These cards do not count PCIe replays.",
			Description: "Packets that had to be sent again, for the 12 cards with the most. Some after a start are normal; a steady rate is a bad contact, riser or cable, and costs bandwidth before it costs the card.",
			Queries: []Query{{
				Expr:   worst(ofCard("rate("+replays+"[$__rate_interval])"), above0(ofCard("increase("+replays+"[$__range] @ end())"))),
				Legend: cardLegend,
			}},
			Overrides: []Override{rare()},
		},
		{
			Kind: TimeSeries, Title: "Link errors", Unit: "cps", Min: new(0.0), Links: lineToWorker(), Thresholds: limits(0.1, 10),
			NoValue:     "These cards do not count errors of their links.",
			Description: "Errors by kind, all links of a card together, for the 12 worst. Replays and corrected errors cost bandwidth; others end what runs on the cards that share the link.",
			Queries: []Query{{
				Expr: worst("sum by ("+cardBy+", link_type, error) (rate("+linkErrors+"[$__rate_interval]))",
					above0("sum by ("+cardBy+", link_type, error) (increase("+linkErrors+"[$__range] @ end()))"), "link_type", "error"),
				Legend: cardLegend + " {{link_type}} {{error}}",
			}},
			Overrides: []Override{rare()},
		},
	}
}

func gpuSlices() Panel {
	return Panel{
		Kind: Table, Title: "Slices: MIG instances, vGPUs, vNPUs", W: 12, H: 12, SortBy: "Used", NoValue: "No card is sliced, or its vendor does not tell.",
		Description: "Parts of cards that stand alone, with numbers of the slice alone. A full slice beside an empty one: the model belongs on a larger profile. Values of a whole card say little about its slices.",
		Queries: []Query{
			{Expr: ofCard(cards("gpu_slice_info"), "slice", "profile")},
			{Expr: ofCard(cards("gpu_slice_memory_total_bytes"), "slice")},
			{Expr: ofCard(cards("gpu_slice_memory_used_bytes"), "slice")},
			{Expr: ofCard(cards("gpu_slice_utilization_ratio"), "slice")},
		},
		Columns: cardColumns(
			Column{Title: "Slice", Label: "slice", Width: 60},
			Column{Title: "Profile", Label: "profile"},
			Column{Title: "Info", Query: 1, Hidden: true},
			Column{Title: "Memory", Query: 2, Unit: "bytes", Width: 90},
			Column{Title: "Used", Query: 3, Unit: "bytes", Width: 90},
			Column{Title: "Worked", Query: 4, Unit: "percentunit", Width: 80},
		),
	}
}

// toldByCards are the families that not every vendor offers.
func toldByCards() []string {
	return []string{
		"worker_node_gpu_utilization_rate", "worker_node_gpu_temperature_celsius", "worker_node_gpu_power_used_watts", "worker_node_gpu_power_limit_watts",
		"gpu_energy_joules_total", "gpu_sm_active_ratio", "gpu_sm_occupancy_ratio", "gpu_tensor_active_ratio", "gpu_dram_active_ratio",
		"gpu_memory_temperature_celsius", "gpu_clock_hertz", "gpu_clock_max_hertz", "gpu_throttled_seconds_total", "gpu_fan_speed_ratio",
		"gpu_ecc_errors_total", "gpu_remapped_rows", "gpu_row_remap_pending", "gpu_row_remap_failed", "gpu_pcie_replays_total",
		"gpu_pcie_receive_bytes_per_second", "gpu_pcie_link_generation_max", "gpu_pcie_link_width_max", "gpu_link_up", "gpu_link_errors_total",
		"gpu_link_received_bytes_total", "gpu_link_receive_bytes_per_second", "gpu_slice_info", "gpu_slice_utilization_ratio",
	}
}

func gpuCoverage() Panel {
	info := ofCard(cards("worker_node_gpu_info"), "vendor")
	told := "group by (__name__, " + cardBy + ") ({__name__=~\"gpustack:(" + strings.Join(toldByCards(), "|") + ")\", " + cardSelector + "})"
	named := `label_replace(` + told + `, "family", "$1", "__name__", "gpustack:(.+)")`
	return Panel{
		Kind: Table, Title: "Who tells what", W: 12, H: 12, Unit: "percentunit", Decimals: new(0), Thresholds: []Threshold{{Color: "orange"}, {Color: "green", From: 1}}, NoValue: "not told",
		Description: "Share of a vendor's cards that export a family now. What no card tells is not in the list; docs/gpus.md has the whole table. Panels about a family say nothing about cards that do not tell it: that is not the same as healthy. Below 100 %: some cards are older, sliced, lost, or their driver hangs.",
		Queries: []Query{{Expr: "count by (family, vendor) (" + named + " * on (" + cardBy + ") group_left (vendor) " + info + ")" +
			" / on (vendor) group_left () count by (vendor) (" + info + ")"}},
		Matrix:    &Matrix{Across: "vendor", Down: "family", Title: "Family", Width: 330},
		Overrides: []Override{matrixCells()},
	}
}
