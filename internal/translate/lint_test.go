package translate_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/stackscope/stackscope/internal/translate"
)

// TestPagesPassLint runs the checks of "promtool check metrics" on the unified pages of engines. All names have the colon
// that the specification asks for.
func TestPagesPassLint(t *testing.T) {
	for _, p := range pageFiles(t) {
		if p.settings["runtime"] == "" {
			continue
		}
		var result translate.Result
		result.Translate(p.page, p.format, p.plan, translate.NewSource(p.labels))
		problems, err := promlint.New(bytes.NewReader(merge(&result, p))).Lint()
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		for _, problem := range problems {
			if !strings.Contains(problem.Text, "':'") {
				t.Errorf("%s: %s: %s", p.name, problem.Metric, problem.Text)
			}
		}
	}
}
