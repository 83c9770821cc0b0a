package dashboards

import (
	"fmt"
	"strings"
)

// mostLines is how many lines a time series panel shows at most; more cannot be told apart.
const mostLines = 20

// top keeps of the series of a panel the n whose rank is highest over the whole time range, so that lines neither come nor go while
// time passes. Both expressions must have the labels in by.
func top(n int, by, shown, rank string) string {
	return fmt.Sprintf("%s and on (%s) topk(%d, %s)", shown, by, n, rank)
}

// topRate is [top] for an expression over counters: its rank is itself over the whole time range.
func topRate(n int, by, expr string) string {
	return top(n, by, expr, overRange(expr))
}

// topGauge is [top] for a gauge, aggregated (max, sum ...) by labels and ranked by its maximum over the time range.
func topGauge(n int, by, aggregation, family, selector string) string {
	return top(n, by,
		fmt.Sprintf("%s by (%s) (%s{%s})", aggregation, by, family, selector),
		fmt.Sprintf("%s by (%s) (max_over_time(%s{%s}[$__range] @ end()))", aggregation, by, family, selector))
}

// overRange turns rates per step into one rate over the whole time range.
func overRange(expr string) string {
	return strings.ReplaceAll(expr, "[$__rate_interval]", "[$__range] @ end()")
}

// states colours a table's label state by what it says: words, and the colour of them all, in turns.
func states(colors ...string) Override {
	options := object{}
	for i := 0; i+1 < len(colors); i += 2 {
		for word := range strings.FieldsSeq(colors[i]) {
			options[word] = object{"text": strings.ReplaceAll(word, "_", " "), "color": colors[i+1], "index": len(options)}
		}
	}
	return Override{
		Matching: "[Ss]tate",
		Properties: map[string]any{
			"mappings":           []object{{"type": "value", "options": options}},
			"custom.cellOptions": object{"type": "color-text"},
		},
	}
}

// totalLine draws the series with the legend "total" as a line above the stacked ones.
func totalLine() Override {
	return Override{Matching: "total", Properties: map[string]any{
		"custom.stacking": object{"mode": "none", "group": "A"}, "custom.fillOpacity": 0,
		"color": object{"mode": "fixed", "fixedColor": "text"},
	}}
}

// aggregateLine draws the series whose legend matches, which stand for all instances, in the text's colour and thicker.
func aggregateLine(legend string) Override {
	return Override{Matching: legend, Properties: map[string]any{"custom.lineWidth": 2, "color": object{"mode": "fixed", "fixedColor": "text"}}}
}

// painted gives the series with that legend a colour of its own.
func painted(legend, color string) Override {
	return Override{Matching: legend, Properties: map[string]any{"color": object{"mode": "fixed", "fixedColor": color}}}
}
