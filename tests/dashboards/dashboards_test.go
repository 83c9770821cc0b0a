package dashboards

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/stackscope/stackscope/internal/demo"
	"github.com/stackscope/stackscope/tests/dashboards/viewer"
)

// TestDashboards opens every dashboard on a demo fleet, rows that are folded included, with All chosen and with each single
// value: each expression is right, each panel has data, shows what it names and is fed by what our jobs scrape.
func TestDashboards(t *testing.T) {
	began := time.Now()
	prometheus := startFleet(t, demo.ScenarioEngines)
	all := viewer.OnDemo(load(t))
	list := panels(all, emptyOnDemo())
	untilFull(t, prometheus, list, began.Add(fullWithin))
	t.Logf("%d panels were looked at until %.0f s after the start", len(list), time.Since(began).Seconds())

	checkPanels(t, list, emptyOnDemo())
	t.Run("annotations are right", func(t *testing.T) { checkAnnotations(t, prometheus, all) })
	t.Run("faults are seen", func(t *testing.T) { testFaults(t, prometheus) })
	t.Run("every metric is exported", func(t *testing.T) { checkMetrics(t, prometheus, list) })
	t.Run("cookbook", func(t *testing.T) { checkCookbook(t, prometheus) })
}

// TestPrefillDecode opens the dashboards about models on a demo with separate prefill and decode instances, in the same way.
func TestPrefillDecode(t *testing.T) {
	began := time.Now()
	prometheus := startFleet(t, demo.ScenarioPD)
	// Where transfers are measured, which the dashboard's variable needs, comes with a scrape of the server.
	for {
		series, err := prometheus.SeriesOf(t.Context(), "gpustack:pd_mode_info", began, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(series) > 0 {
			break
		}
		if time.Since(began) > readyWithin {
			t.Fatal("the server does not say where transfers are measured")
		}
		time.Sleep(pollEvery)
	}
	all := slices.DeleteFunc(load(t), func(d viewer.Dashboard) bool { return d.UID != "gpustack-pd" })
	list := panels(all, emptyOnPD())
	untilFull(t, prometheus, list, began.Add(fullWithin))
	checkPanels(t, list, emptyOnPD())
	t.Run("annotations are right", func(t *testing.T) { checkAnnotations(t, prometheus, all) })
	t.Run("every metric is exported", func(t *testing.T) { checkMetrics(t, prometheus, list) })
}

// checkPanels holds what panels show against what they should.
func checkPanels(t *testing.T, list []*shown, rightlyEmpty []empty) {
	t.Helper()
	check := func(title string, faults func(*shown) []string) {
		t.Run(title, func(t *testing.T) {
			told := map[string]bool{} // what is wrong with one chosen is mostly wrong with All
			for _, s := range list {
				for _, f := range faults(s) {
					if key := s.dashboard.UID + s.panel.Title + f[:min(30, len(f))]; !told[key] {
						told[key] = true
						t.Errorf("%s: %s", s.name(), f)
					}
				}
			}
		})
	}
	check("every expression is right", (*shown).expressionFaults)
	check("every panel has data", (*shown).dataFaults)
	check("columns and legends exist", (*shown).shapeFaults)
	t.Run("the list of empty panels is true", func(t *testing.T) {
		for _, e := range unusedEmpty(list, rightlyEmpty) {
			t.Errorf("no panel is meant by %+v", e)
		}
	})
}

// untilFull looks at all panels, and again at those with a fault, until none has one or the time is over.
func untilFull(t *testing.T, prometheus viewer.Prometheus, list []*shown, end time.Time) {
	t.Helper()
	list = slices.Clone(list)
	for {
		ask(t, prometheus, list)
		list = slices.DeleteFunc(list, func(s *shown) bool { return len(s.dataFaults())+len(s.shapeFaults()) == 0 })
		if t.Failed() || len(list) == 0 || time.Now().After(end) {
			return
		}
		t.Logf("%d panels are waited for, among them %s", len(list), list[0].name())
		time.Sleep(pollEvery)
	}
}

// checkAnnotations runs the expressions of the dashboards' annotations over their time range.
func checkAnnotations(t *testing.T, prometheus viewer.Prometheus, all []viewer.Dashboard) {
	t.Helper()
	exports, p, checked := scraped(t, prometheus), parser.NewParser(parser.Options{}), 0
	for _, d := range all {
		view := look(d)
		values, err := prometheus.Default(t.Context(), d, view)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, a := range d.Annotations {
			expr := viewer.Fill(a.Expr, values)
			parsed, err := p.ParseExpr(expr)
			if err != nil {
				t.Errorf("%s, annotation %s: %v", d.UID, a.Name, err)
				continue
			}
			for _, fault := range exports.check(parsed) {
				t.Errorf("%s, annotation %s: %s", d.UID, a.Name, fault)
			}
			request := viewer.Request{Expr: expr, Start: view.Now.Add(-view.Range), End: view.Now, Step: a.Step}
			if answer, err := prometheus.Ask(t.Context(), request); err != nil || len(answer.Warnings)+len(answer.Infos) > 0 {
				t.Errorf("%s, annotation %s: %v, %q, %q\n    %s", d.UID, a.Name, err, answer.Warnings, answer.Infos, expr)
			}
			checked++
		}
	}
	if checked < 2 {
		t.Errorf("only %d annotations were looked at", checked)
	}
}
