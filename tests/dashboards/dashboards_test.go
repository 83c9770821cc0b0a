package dashboards

import (
	"slices"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/dashboards/viewer"
)

// TestDashboards opens every dashboard on a demo fleet, rows that are folded included, with All chosen and with each single
// value: each expression is right, each panel has data, shows what it names and is fed by what our jobs scrape.
func TestDashboards(t *testing.T) {
	began := time.Now()
	prometheus := startFleet(t)
	list := panels(load(t))
	untilFull(t, prometheus, list, began.Add(fullWithin))
	t.Logf("%d panels were looked at until %.0f s after the start", len(list), time.Since(began).Seconds())

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
		for _, e := range unusedEmpty(list) {
			t.Errorf("no panel is meant by %+v", e)
		}
	})
	t.Run("faults are seen", func(t *testing.T) { testFaults(t, prometheus) })
	t.Run("every metric is exported", func(t *testing.T) { checkMetrics(t, prometheus, list) })
	t.Run("cookbook", func(t *testing.T) { checkCookbook(t, prometheus) })
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
