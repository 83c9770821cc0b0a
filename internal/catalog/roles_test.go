package catalog_test

import (
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/stackscope/stackscope/internal/catalog"
)

func TestEveryMetricOfEnginesHasACountingRole(t *testing.T) {
	rows := map[string]int{}
	for _, row := range catalog.RoleTable() {
		if row.Why == "" {
			t.Errorf("%v have no reason", row.Metrics)
		}
		for _, m := range row.Metrics {
			rows[catalog.Prefix+m]++
		}
	}
	for _, m := range slices.Concat(catalog.Runtime, catalog.RuntimeExtra) {
		if rows[m.Name] != 1 {
			t.Errorf("%s is in %d rows of the table of counting roles, want 1", m.Name, rows[m.Name])
		}
		for _, sample := range m.SampleNames() {
			if _, ok := catalog.CountingOf(sample); !ok {
				t.Errorf("the sample %s has no counting role", sample)
			}
		}
	}
	for name, n := range rows {
		if n != 1 {
			t.Errorf("%s is in %d rows", name, n)
		}
	}
	for _, name := range []string{"up", "gpustack:model_instance_gpu_memory_used_bytes", "gpustack:gateway_requests_total", "gpustack:_total"} {
		if c, ok := catalog.CountingOf(name); ok {
			t.Errorf("%s counts on %s, want no row", name, c)
		}
	}
}

// Instances without a role count everywhere; a role counts where the table says so.
func TestMatchers(t *testing.T) {
	for _, c := range []struct {
		counts catalog.Counting
		want   []string
	}{
		{catalog.CountsDecode, []string{"", "decode"}},
		{catalog.CountsPrefill, []string{"", "prefill"}},
		{catalog.CountsEngines, []string{"", "prefill", "decode"}},
		{catalog.CountsRouter, []string{"", "router"}},
	} {
		matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector("{x=\"\", " + c.counts.Matcher() + "}")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, role := range []string{"", "prefill", "decode", "router"} {
			if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return m.Name == catalog.LabelRole && !m.Matches(role) }) {
				got = append(got, role)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s selects the roles %q, want %q", c.counts.Matcher(), got, c.want)
		}
	}
}
