package dashboards

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/stackscope/stackscope/internal/catalog"
)

// adders are the aggregations in which a request that is counted twice changes the result.
var adders = []parser.ItemType{parser.SUM, parser.AVG, parser.STDDEV, parser.STDVAR, parser.QUANTILE}

// roleFaults returns the series of an expression that are added up over the instances of a model without the matcher of the metric's
// counting role. Aggregations that keep the instance or the role add up no two sides of a request. A selector of one single role, or of
// the roles that a viewer chose, says itself what it counts.
func roleFaults(root parser.Expr) (faults []string) {
	parser.Inspect(root, func(node parser.Node, path []parser.Node) error {
		s, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for _, name := range namesOf(s) {
			counts, ok := catalog.CountingOf(name)
			if !ok || !slices.ContainsFunc(path, mixesRoles) || hasNoValue(s, path) {
				continue
			}
			if !selects(s, counts) {
				faults = append(faults, name+" is added up over instances without "+counts.Matcher())
			}
		}
		return nil
	})
	return faults
}

// hasNoValue reports whether a selector's values are not in the result: it is counted, or on the right side of and or unless.
func hasNoValue(s parser.Node, path []parser.Node) bool {
	for i, n := range path {
		b, ok := n.(*parser.BinaryExpr)
		if !ok || b.Op != parser.LAND && b.Op != parser.LUNLESS {
			if tellsOfPresence(path[i : i+1]) {
				return true
			}
			continue
		}
		if below := append(slices.Clone(path[i+1:]), s); below[0] == b.RHS {
			return true
		}
	}
	return false
}

// mixesRoles reports whether a node adds up several instances of a model, whatever their roles.
func mixesRoles(n parser.Node) bool {
	a, ok := n.(*parser.AggregateExpr)
	if !ok || !slices.Contains(adders, a.Op) {
		return false
	}
	keeps := func(label string) bool { return slices.Contains(a.Grouping, label) != a.Without }
	return !keeps(catalog.LabelModelInstanceName) && !keeps(catalog.LabelRole)
}

// selects reports whether a selector has the matcher of a counting role, or names roles itself.
func selects(s *parser.VectorSelector, counts catalog.Counting) bool {
	return slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool {
		if m.Name != catalog.LabelRole {
			return false
		}
		if counts == catalog.CountsRouter || m.String() == counts.Matcher() {
			return true
		}
		return m.Type == labels.MatchEqual && m.Value != ""
	})
}

func TestRequestsAreCountedOnce(t *testing.T) {
	for _, e := range expressions(t) {
		for _, fault := range roleFaults(e.root) {
			e.errorf(t, "%s", fault)
		}
	}
}

func TestRoleFaults(t *testing.T) {
	for _, c := range []struct {
		expr string
		want int
	}{
		{`sum(gpustack:generation_tokens_total)`, 1},
		{`sum(gpustack:generation_tokens_total{role!~"prefill|router"})`, 0},
		{`sum(gpustack:generation_tokens_total{role!~"decode|router"})`, 1},
		{`sum(gpustack:generation_tokens_total{role!="router"})`, 1},
		{`sum(gpustack:generation_tokens_total{role="decode"})`, 0},
		{`sum(gpustack:generation_tokens_total{role=""})`, 1},
		{`sum by (model_name) (rate(gpustack:prompt_tokens_total[5m]))`, 1},
		{`sum by (model_name) (rate(gpustack:prompt_tokens_total{role!~"decode|router"}[5m]))`, 0},
		{`sum by (model_name) (sum by (model_instance_name) (rate(gpustack:prompt_tokens_total[5m])))`, 1},
		{`sum by (model_instance_name) (rate(gpustack:prompt_tokens_total[5m]))`, 0},
		{`sum by (model_name, role) (rate(gpustack:prompt_tokens_total[5m]))`, 0},
		{`sum by (le) (rate(gpustack:request_prompt_tokens_bucket[5m])) and on (le) count by (le) (gpustack:request_prompt_tokens_bucket)`, 1},
		{`gpustack:model_info and on (model_name) sum by (model_name) (gpustack:num_requests_running)`, 0},
		{`sum(gpustack:model_running_instances unless on (model_name) gpustack:num_requests_running)`, 0},
		{`sum without (role) (gpustack:num_requests_running)`, 0}, // every instance is still there
		{`sum without (model_instance_name, role) (gpustack:num_requests_running)`, 1},
		{`sum(gpustack:num_requests_running{role!="router"})`, 0},
		{`max(gpustack:num_requests_running)`, 0},
		{`count(gpustack:num_requests_running)`, 0},
		{`avg by (model_name) (gpustack:prefix_cache_hit_rate)`, 1},
		{`histogram_quantile(0.9, sum by (le, model_name) (rate(gpustack:e2e_request_latency_seconds_bucket[5m])))`, 1},
		{`histogram_quantile(0.9, sum by (le, model_name) (rate(gpustack:e2e_request_latency_seconds_bucket{role!~"prefill|router"}[5m])))`, 0},
		{`sum({__name__=~"gpustack:prompt_tokens_total|gpustack:generation_tokens_total"})`, 2},
		{`sum(rate(gpustack:gateway_requests_total[5m])) + sum(gpustack:model_instance_gpu_memory_used_bytes)`, 0},
		{`sum(gpustack:prompt_tokens_total{role!~"decode|router"}) + sum(gpustack:generation_tokens_total)`, 1},
	} {
		root, err := parser.NewParser(parser.Options{}).ParseExpr(c.expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := roleFaults(root); len(got) != c.want {
			t.Errorf("%s: %q, want %d", c.expr, got, c.want)
		}
	}
}

var promqlBlock = regexp.MustCompile("(?s)```promql\n(.*?)```")

// What pages teach, and what programs ask, counts requests once as well.
func TestRequestsAreCountedOnceElsewhere(t *testing.T) {
	root, found := "..", map[string]int{}
	check := func(path, expr string) {
		if !strings.Contains(expr, catalog.Prefix) || !strings.Contains(expr, "(") {
			return
		}
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(filled(expr))
		if err != nil {
			return // a text that names metrics
		}
		found[filepath.Ext(path)]++
		for _, fault := range roleFaults(parsed) {
			t.Errorf("%s: %s\n\tin %s", path, fault, expr)
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "node_modules", "testdata", "dashboards", "web", "tests"}, d.Name()):
			return filepath.SkipDir
		case d.IsDir() || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		switch filepath.Ext(path) {
		case ".md":
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range promqlBlock.FindAllStringSubmatch(string(text), -1) {
				check(path, m[1])
			}
		case ".go":
			return eachLiteral(path, func(text string) { check(path, text) })
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found[".md"] < 18 || found[".go"] < 5 {
		t.Errorf("only these expressions were found: %v", found)
	}
}

// eachLiteral calls yield with each string literal of a Go file.
func eachLiteral(path string, yield func(text string)) error {
	file, err := goparser.ParseFile(token.NewFileSet(), path, nil, goparser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				yield(text)
			}
		}
		return true
	})
	return nil
}
