package dashboards

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/tests/dashboards/viewer"
)

// exported says which labels each metric has that one of our jobs scrapes.
type exported map[string]map[string]bool

func (e exported) add(name string, labels ...string) {
	if e[name] == nil {
		e[name] = map[string]bool{}
	}
	for _, l := range labels {
		e[name][l] = true
	}
}

// scraped returns what the fleet's Prometheus has from its two jobs, and what the catalog says about families that this fleet
// lacks.
func scraped(t *testing.T, prometheus viewer.Prometheus) exported {
	t.Helper()
	all := exported{}
	series, err := prometheus.SeriesOf(t.Context(), `{__name__!=""}`, time.Now().Add(-time.Hour), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range series {
		all.add(s[model.MetricNameLabel], slices.Collect(maps.Keys(s))...)
	}
	if len(all) < 150 {
		t.Fatalf("only %d metrics were scraped", len(all))
	}
	target := []string{"job", "instance"}
	worker := append(target, catalog.LabelClusterID, catalog.LabelClusterName, catalog.LabelWorkerID, catalog.LabelWorkerName)
	instance := append(slices.Clone(worker), catalog.LabelModelID, catalog.LabelModelName, catalog.LabelModelInstanceID, catalog.LabelModelInstanceName, catalog.LabelRuntime, catalog.LabelRole)
	for _, group := range []struct {
		metrics  []catalog.Metric
		identity []string
	}{
		// Engines' own labels stand behind the identity: these are on engines with ranks.
		{slices.Concat(catalog.Runtime, catalog.RuntimeExtra), append(slices.Clone(instance), "engine", "dp_rank")},
		{catalog.Gateway, instance},
		{catalog.Instance, instance},
		{catalog.WorkerNode, worker},
		{catalog.GPU, worker},
		{catalog.WorkerOwn, instance},
		{catalog.Server, instance},
		{catalog.ServerOwn, target},
	} {
		for _, m := range group.metrics {
			names := []string{m.WireName()}
			more := m.Labels
			if m.Type == catalog.Histogram {
				names = []string{m.Name + "_bucket", m.Name + "_sum", m.Name + "_count"}
				more = append(slices.Clone(more), "le")
			}
			for _, n := range names {
				all.add(n, slices.Concat(group.identity, more)...)
			}
		}
	}
	return all
}

// checkMetrics proves that something exports what expressions name, with the labels by which they select and group.
func checkMetrics(t *testing.T, prometheus viewer.Prometheus, list []*shown) {
	t.Helper()
	all := scraped(t, prometheus)
	p := parser.NewParser(parser.Options{})
	checked, told := 0, map[string]bool{}
	for _, shown := range list {
		for _, a := range shown.targets {
			if len(a.answers) == 0 || shown.mode != viewer.ChooseAll {
				continue
			}
			expr, err := p.ParseExpr(a.answers[0].request.Expr)
			if err != nil {
				continue // it was asked, too, and that told
			}
			for _, fault := range all.check(expr) {
				if told[shown.dashboard.UID+fault] {
					continue
				}
				told[shown.dashboard.UID+fault] = true
				t.Errorf("%s, query %s: %s:\n    %s", shown.name(), a.RefID, fault, a.Expr)
			}
			checked++
		}
	}
	dashboards := map[string]viewer.Dashboard{}
	for _, s := range list {
		dashboards[s.dashboard.UID] = s.dashboard
	}
	for uid, d := range dashboards {
		for _, v := range d.Variables {
			if v.Match() == "" {
				continue
			}
			expr, err := p.ParseExpr("group by (" + v.Of() + ") (" + v.Match() + ")")
			if err != nil {
				t.Errorf("%s, variable %s: %v", uid, v.Name, err)
				continue
			}
			for _, fault := range all.check(expr) {
				t.Errorf("%s, variable %s: %s", uid, v.Name, fault)
			}
		}
	}
	if checked == 0 {
		t.Error("no expression was checked")
	}
}

// check returns what is wrong with the metrics and labels of an expression.
func (e exported) check(expr parser.Expr) (faults []string) {
	made := map[string]bool{} // labels that functions make
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.Call:
			if slices.Contains([]string{"label_replace", "label_join"}, n.Func.Name) {
				made[n.Args[1].(*parser.StringLiteral).Val] = true
			}
		case *parser.AggregateExpr:
			if n.Op == parser.COUNT_VALUES {
				made[n.Param.(*parser.StringLiteral).Val] = true
			}
		}
		return nil
	})
	missing := func(where string, names []string, below parser.Expr) {
		for _, name := range names {
			if !made[name] && !e.anyHas(below, name) {
				faults = append(faults, fmt.Sprintf("%s names the label %s, which none of the series has of %s", where, name, below))
			}
		}
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			faults = append(faults, e.checkSelector(n)...)
		case *parser.AggregateExpr:
			if !n.Without {
				missing(n.Op.String()+" by", n.Grouping, n.Expr)
			}
		case *parser.BinaryExpr:
			if m := n.VectorMatching; m != nil && m.On {
				missing("on()", m.MatchingLabels, n.LHS)
				missing("on()", m.MatchingLabels, n.RHS)
			}
		}
		return nil
	})
	return faults
}

// checkSelector returns what is wrong with a selector: names that nothing exports, labels that none of them has.
func (e exported) checkSelector(s *parser.VectorSelector) (faults []string) {
	names := e.names(s)
	for _, name := range names {
		if e[name] == nil {
			faults = append(faults, "nothing that is scraped exports "+name)
		}
	}
	if len(names) == 0 {
		faults = append(faults, "nothing that is scraped is selected by "+s.String())
	}
	for _, m := range s.LabelMatchers {
		if m.Name != model.MetricNameLabel && !e.anyHas(s, m.Name) {
			faults = append(faults, fmt.Sprintf("%s has no label %s", strings.Join(names, ", "), m.Name))
		}
	}
	return faults
}

// names returns the metrics that a selector selects: what it names, or what is exported and matches.
func (e exported) names(s *parser.VectorSelector) []string {
	if s.Name != "" {
		return []string{s.Name}
	}
	for _, m := range s.LabelMatchers {
		if m.Name != model.MetricNameLabel {
			continue
		}
		if m.Type == labels.MatchEqual {
			return []string{m.Value}
		}
		// A list of names is one of names, each of which must be exported.
		if m.Type == labels.MatchRegexp && regexp.MustCompile(`^[\w:|]+$`).MatchString(m.Value) {
			return strings.Split(m.Value, "|")
		}
		return slices.Sorted(func(yield func(string) bool) {
			for name := range e {
				if m.Matches(name) && !yield(name) {
					return
				}
			}
		})
	}
	return nil
}

// anyHas says whether a metric that is selected below a node has a label.
func (e exported) anyHas(node parser.Node, label string) (has bool) {
	parser.Inspect(node, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			for _, name := range e.names(s) {
				has = has || e[name][label]
			}
		}
		return nil
	})
	return has
}
