package dashboards

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/stackscope/stackscope/tests/dashboards/viewer"
)

// testFaults proves that the checks see what they are for.
func testFaults(t *testing.T, prometheus viewer.Prometheus) {
	t.Helper()
	dashboard := viewer.Dashboard{UID: "faulty", From: 15 * 60 * 1e9}
	for _, c := range []struct {
		title  string
		panel  viewer.Panel
		expr   string
		legend string
		want   string
	}{
		{"right", viewer.Panel{}, `sum by (job) (up)`, "{{job}}", ""},
		{"no PromQL", viewer.Panel{}, `sum by (job`, "", "parse error"},
		{"remark", viewer.Panel{}, `rate(gpustack:num_requests_running[1m])`, "{{model_instance_name}}", "might not be a counter"},
		{"empty", viewer.Panel{}, `up == 7`, "", "has no data"},
		{"no number", viewer.Panel{}, `sum(up) * NaN`, "", "has no data"},
		{"infinite", viewer.Panel{}, `sum(up) / 0`, "", "infinite"},
		{"nobody's metric", viewer.Panel{}, `sum(up) or sum(gpustack:never_heard_of)`, "", "nothing that is scraped exports gpustack:never_heard_of"},
		{"nobody's label", viewer.Panel{}, `sum(up{flavour=""})`, "", "up has no label flavour"},
		{"group", viewer.Panel{}, `sum by (flavour) (up)`, "", "which none of the series has"},
		{"legend's label", viewer.Panel{}, `sum by (job) (up)`, "{{job}} {{flavour}}", "the legend's label flavour is on no series"},
		{"same legend", viewer.Panel{}, `gpustack:num_requests_running`, "{{cluster_name}}", "two series have the same legend"},
		{"column", viewer.Panel{Type: "table", Columns: []string{"job", "flavour", "Value"}}, `sum by (job) (up)`, "", `column "flavour"`},
		{"override", viewer.Panel{Type: "table", Columns: []string{"job", "Value"}, Overridden: []string{"Value #A"}}, `sum by (job) (up)`, "", `column "Value #A"`},
		{"link", viewer.Panel{Links: []string{"/d/x?var-a=${__field.labels.flavour}"}}, `sum by (job) (up)`, "{{job}}", "a link uses the label flavour"},
		{"link of a table", viewer.Panel{Type: "table", Columns: []string{"job"}, Links: []string{"/d/x?var-a=${__data.fields.Value}"}}, `sum by (job) (up)`, "", "a link uses the field Value"},
	} {
		t.Run(c.title, func(t *testing.T) {
			p := c.panel
			p.Title, p.Width = c.title, 12
			if p.Type == "" {
				p.Type = "timeseries"
			}
			p.Targets = []viewer.Target{{RefID: "A", Expr: c.expr, Legend: c.legend, Instant: p.Type == "table"}}
			dashboard.Panels = []viewer.Panel{p}
			list := panels([]viewer.Dashboard{dashboard}, nil)
			ask(t, prometheus, list)
			faults := append(list[0].expressionFaults(), append(list[0].dataFaults(), list[0].shapeFaults()...)...)
			if expr, err := parser.NewParser(parser.Options{}).ParseExpr(c.expr); err == nil {
				faults = append(faults, scraped(t, prometheus).check(expr)...)
			}
			if got := strings.Join(faults, "\n"); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("faults: %q, want %q", got, c.want)
			}
		})
	}
}
