package dashboards

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/stackscope/stackscope/tests/dashboards/viewer"
)

// recipe is a question of docs/cookbook.md with its query.
type recipe struct{ question, query, reading string }

func cookbook(t *testing.T) []recipe {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "cookbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	var recipes []recipe
	for _, m := range regexp.MustCompile("(?m)^### [0-9]+\\. (.+)\n\n```promql\n((?:.+\n)+?)```\n\n((?:.+\n)+)").FindAllStringSubmatch(string(text), -1) {
		recipes = append(recipes, recipe{m[1], m[2], m[3]})
	}
	if blocks := strings.Count(string(text), "```promql\n"); len(recipes) != 20 || blocks != 20 {
		t.Fatalf("docs/cookbook.md has %d questions and %d queries, want 20 of each", len(recipes), blocks)
	}
	return recipes
}

// checkCookbook runs every query of the cookbook: its metrics and labels are exported, and it has data unless the page says
// that it has none on the demo.
func checkCookbook(t *testing.T, prometheus viewer.Prometheus) {
	t.Helper()
	all, p := scraped(t, prometheus), parser.NewParser(parser.Options{})
	for _, r := range cookbook(t) {
		t.Run(r.question, func(t *testing.T) {
			expr, err := p.ParseExpr(r.query)
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range all.check(expr) {
				t.Error(fault)
			}
			answer, err := prometheus.Ask(t.Context(), viewer.Request{Expr: r.query, Instant: true, End: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			if mayBeEmpty := strings.Contains(r.reading, "on the demo"); len(answer.Series) == 0 && !mayBeEmpty {
				t.Errorf("no data, and the page does not say so: %q", r.reading)
			}
		})
	}
}
