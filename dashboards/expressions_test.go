package dashboards

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/stackscope/stackscope/internal/catalog"
)

const (
	// What stands for variables while an expression is parsed.
	clusterPlaceholder = "the cluster"
	ratePlaceholder    = "433s" // of $__rate_interval: a window that nobody would write
	rangePlaceholder   = "3607s"

	nameLabel      = "__name__"
	shortestWindow = 2 * time.Minute
)

// filled returns the expression with variables replaced so that it parses.
func filled(expr string) string {
	return variableReference.ReplaceAllStringFunc(expr, func(ref string) string {
		m := variableReference.FindStringSubmatch(ref)
		switch name := m[1] + m[3]; {
		case strings.Trim(name, "0123456789") == "":
			return ref // a group of label_replace
		case name == varCluster:
			return clusterPlaceholder
		case name == "__rate_interval":
			return ratePlaceholder
		case name == "__range":
			return rangePlaceholder
		case name == "__interval":
			return "61s"
		default:
			return "1"
		}
	})
}

// expression is a parsed query.
type expression struct {
	dashboard Dashboard
	panel     Panel
	text      string
	root      parser.Expr
}

// expressions returns all queries of all dashboards, parsed.
func expressions(t *testing.T) (all []expression) {
	t.Helper()
	eachPanel(t, func(t *testing.T, d Dashboard, row []Panel, i int) {
		t.Helper()
		for _, q := range row[i].Queries {
			root, err := parser.NewParser(parser.Options{}).ParseExpr(filled(q.Expr))
			if err != nil {
				t.Errorf("%q: %v\n\t%s", row[i].Title, err, q.Expr)
				continue
			}
			all = append(all, expression{d, row[i], q.Expr, root})
		}
	})
	for _, d := range All() {
		for _, a := range d.Annotations {
			root, err := parser.NewParser(parser.Options{}).ParseExpr(filled(a.Expr))
			if err != nil {
				t.Errorf("%s, annotation %q: %v\n\t%s", d.UID, a.Name, err, a.Expr)
				continue
			}
			all = append(all, expression{d, Panel{Title: "annotation " + a.Name}, a.Expr, root})
		}
	}
	return all
}

func (e expression) errorf(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Errorf("%s, %q: %s\n\tin %.200s", e.dashboard.UID, e.panel.Title, fmt.Sprintf(format, args...), e.text)
}

// selectors calls yield for each series selector with the nodes that it stands in, from the outermost on.
func (e expression) selectors(yield func(s *parser.VectorSelector, name string, path []parser.Node)) {
	parser.Inspect(e.root, func(node parser.Node, path []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			for _, name := range namesOf(s) {
				yield(s, name, path)
			}
		}
		return nil
	})
}

// namesOf returns the metric names that a selector asks for: its name, or the alternatives of its regular expression.
func namesOf(s *parser.VectorSelector) []string {
	for _, m := range s.LabelMatchers {
		if m.Name != nameLabel {
			continue
		}
		switch m.Type {
		case labels.MatchEqual:
			return []string{m.Value}
		case labels.MatchRegexp:
			return m.SetMatches()
		}
	}
	return nil
}

// clusterless matches families that have no cluster: they are the server's, which serves all clusters.
var clusterless = regexp.MustCompile(`^gpustack:(bus_\w+|metrics_config_generation)$`)

func TestSelectorsNameTheCluster(t *testing.T) {
	for _, e := range expressions(t) {
		e.selectors(func(s *parser.VectorSelector, name string, _ []parser.Node) {
			if !strings.HasPrefix(name, catalog.Prefix) || clusterless.MatchString(name) {
				return
			}
			if !slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool {
				return m.Name == varCluster && strings.Contains(m.Value, clusterPlaceholder)
			}) {
				e.errorf(t, "%s is asked for in all clusters", name)
			}
		})
	}
}

// foreignFamily matches the families that Prometheus, Go's client library and LMCache export.
var foreignFamily = regexp.MustCompile(`^(up|scrape_\w+|process_\w+|go_\w+|prometheus_\w+|lmcache_mp_\w+|ALERTS)$`)

// gpustackOwn are metrics of GPUStack's server that ours does not have.
var gpustackOwn = []catalog.Metric{{
	Name: catalog.Prefix + "cache_service_attached_model", Type: catalog.Gauge,
	Labels: []string{catalog.LabelClusterID, catalog.LabelClusterName, "cache_service_id", "cache_service_name", catalog.LabelModelID, catalog.LabelModelName},
}}

// wireNames returns the names of all samples in the catalog, and of GPUStack's own.
func wireNames() map[string]catalog.Metric {
	names := map[string]catalog.Metric{}
	for _, list := range [][]catalog.Metric{catalog.Server, catalog.ServerOwn, catalog.WorkerNode, catalog.WorkerOwn, catalog.GPU, catalog.Instance, catalog.Runtime, catalog.RuntimeExtra, catalog.Gateway, gpustackOwn} {
		for _, m := range list {
			if m.Type != catalog.Histogram {
				names[m.WireName()] = m
				continue
			}
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				names[m.Name+suffix] = m
			}
		}
	}
	return names
}

func TestMetricsExist(t *testing.T) {
	known := wireNames()
	for _, e := range expressions(t) {
		asked := 0
		e.selectors(func(_ *parser.VectorSelector, name string, _ []parser.Node) {
			asked++
			if _, ok := known[name]; !ok && !foreignFamily.MatchString(name) {
				e.errorf(t, "nothing exports %q", name)
			}
		})
		if asked == 0 {
			e.errorf(t, "it asks for no metric by name")
		}
	}
	for _, d := range All() {
		for _, v := range d.Variables {
			for _, name := range regexp.MustCompile(`gpustack:\w+`).FindAllString(v.Query, -1) {
				if _, ok := known[name]; !ok {
					t.Errorf("%s: variable %s asks for %s, which nothing exports", d.UID, v.Name, name)
				}
			}
		}
	}
}

// A counter needs enough samples in its window.
func TestRateWindows(t *testing.T) {
	known := wireNames()
	rates := []string{"rate", "irate", "increase"}
	for _, e := range expressions(t) {
		parser.Inspect(e.root, func(node parser.Node, path []parser.Node) error {
			m, ok := node.(*parser.MatrixSelector)
			if !ok {
				return nil
			}
			call, _ := path[len(path)-1].(*parser.Call)
			if call == nil || !slices.Contains(rates, call.Func.Name) {
				return nil
			}
			if call.Func.Name == "irate" {
				e.errorf(t, "irate sees two samples alone; use rate")
			}
			if m.Range < shortestWindow {
				e.errorf(t, "a window of %v; use $__rate_interval", m.Range)
			}
			for _, name := range namesOf(m.VectorSelector.(*parser.VectorSelector)) {
				if k, ok := known[name]; ok && k.Type == catalog.Gauge {
					e.errorf(t, "%s of the gauge %s", call.Func.Name, name)
				}
			}
			return nil
		})
		e.selectors(func(_ *parser.VectorSelector, name string, path []parser.Node) {
			k := known[name]
			if k.Type == catalog.Gauge || k.Type == "" {
				return
			}
			raw := !slices.ContainsFunc(path, func(n parser.Node) bool {
				call, ok := n.(*parser.Call)
				return ok && slices.Contains(append(rates, "resets", "changes"), call.Func.Name)
			})
			if raw && !tellsOfPresence(path) && e.panel.Kind != Table && e.panel.Kind != Stat {
				e.errorf(t, "%s is a counter and taken as it is; take its rate", name)
			}
		})
	}
}

// tellsOfPresence reports whether what stands in the path is only asked whether it is there.
func tellsOfPresence(path []parser.Node) bool {
	return slices.ContainsFunc(path, func(n parser.Node) bool {
		switch n := n.(type) {
		case *parser.AggregateExpr:
			return n.Op == parser.GROUP || n.Op == parser.COUNT
		case *parser.Call:
			return n.Func.Name == "absent"
		case *parser.BinaryExpr:
			return n.Op == parser.LAND || n.Op == parser.LUNLESS
		}
		return false
	})
}

// shareFamily matches families whose values are shares, which cannot be added.
var shareFamily = regexp.MustCompile(`(_ratio|_rate)$`)

func TestNoAveragesOfAverages(t *testing.T) {
	for _, e := range expressions(t) {
		parser.Inspect(e.root, func(node parser.Node, path []parser.Node) error {
			switch n := node.(type) {
			case *parser.Call:
				if n.Func.Name == "histogram_quantile" && slices.ContainsFunc(path, isOp(parser.SUM, parser.AVG)) {
					e.errorf(t, "quantiles can be neither added nor averaged; add the buckets first")
				}
			case *parser.VectorSelector:
				for _, name := range namesOf(n) {
					inner := nearestAggregate(path)
					if shareFamily.MatchString(name) && inner != nil && inner.Op == parser.SUM && !weighed(path) {
						e.errorf(t, "%s is a share and cannot be added", name)
					}
				}
			}
			return nil
		})
	}
}

func isOp(ops ...parser.ItemType) func(parser.Node) bool {
	return func(n parser.Node) bool {
		a, ok := n.(*parser.AggregateExpr)
		return ok && slices.Contains(ops, a.Op)
	}
}

func nearestAggregate(path []parser.Node) *parser.AggregateExpr {
	for _, n := range slices.Backward(path) {
		if a, ok := n.(*parser.AggregateExpr); ok {
			return a
		}
	}
	return nil
}

// weighed reports whether a share is multiplied by, or compared with, something before it is added.
func weighed(path []parser.Node) bool {
	for _, n := range slices.Backward(path) {
		switch n := n.(type) {
		case *parser.AggregateExpr:
			return false
		case *parser.BinaryExpr:
			if n.Op == parser.MUL || n.Op.IsComparisonOperator() {
				return true
			}
		}
	}
	return false
}

// inventoryFamily matches the families that each of several servers exports.
var inventoryFamily = regexp.MustCompile(`^gpustack:(cluster_\w+|worker_(info|status|heartbeat_age_seconds|metrics_config_applied_generation)|metrics_config_generation|model_(info|desired_instances|running_instances)|model_instance_(info|status|restart_count|latest_restart_time))$`)

func TestInventoryIsCountedOnce(t *testing.T) {
	for _, e := range expressions(t) {
		e.selectors(func(_ *parser.VectorSelector, name string, path []parser.Node) {
			if !inventoryFamily.MatchString(name) || tellsOfPresence(path) {
				return
			}
			if inner := nearestAggregate(path); inner == nil || !slices.Contains([]parser.ItemType{parser.MAX, parser.MIN, parser.GROUP}, inner.Op) {
				e.errorf(t, "%s exists once for each server: take max, min or group by its identity first", name)
			}
		})
	}
}

// Where a quantile lies above the highest finite bucket it is that bucket's bound, whatever the truth is.
func TestQuantilesShowTheirOverflow(t *testing.T) {
	eachPanel(t, func(t *testing.T, _ Dashboard, row []Panel, i int) {
		t.Helper()
		near := row[i].Queries
		if i+1 < len(row) {
			near = slices.Concat(near, row[i+1].Queries)
		}
		for _, q := range row[i].Queries {
			if !strings.Contains(q.Expr, "histogram_quantile") {
				continue
			}
			for _, family := range regexp.MustCompile(`([\w:]+)_bucket`).FindAllStringSubmatch(q.Expr, -1) {
				if !slices.ContainsFunc(near, func(o Query) bool {
					return strings.Contains(o.Expr, family[1]+"_bucket{") && strings.Contains(o.Expr, `le!="+Inf"`)
				}) {
					t.Errorf("%q shows quantiles of %s, and nothing beside it which share is above the top bucket: use quantiles()", row[i].Title, family[1])
				}
			}
		}
	})
}
