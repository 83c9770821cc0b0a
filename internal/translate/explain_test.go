package translate_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

const explainMapping = `
gpustack_metrics:
  gpustack:running: {type: gauge}
  gpustack:waiting: {type: gauge}
  gpustack:tokens: {type: counter}
  gpustack:latency: {type: histogram}
  gpustack:reasons: {type: gauge}
runtime_mapping:
  engine:
    ">=2":
      e:new: gpustack:running
    "*":
      e:running: gpustack:running
      e:old_running: gpustack:running
      e:waiting: [gpustack:waiting, gpustack:reasons]
      e:tokens: gpustack:tokens
      e:latency: [gpustack:latency, gpustack:tokens]
      e:state: {to: gpustack:reasons, match: {reason: [full]}}
`

const explainPage = `# TYPE e:old_running gauge
e:old_running 3
# TYPE e:running gauge
e:running{rank="0"} 1
e:running{rank="1"} 2
# HELP e:latency How long.
# TYPE e:latency histogram
e:latency_bucket{le="1"} 1
e:latency_bucket{le="+Inf"} 2
e:latency_sum 3
e:latency_count 2
# TYPE e:waiting gauge
e:waiting many
# TYPE e:tokens counter
# TYPE e:state gauge
e:state{reason="empty"} 1
# TYPE e:new gauge
e:new 1
e:untyped_created 1
`

func compile(t *testing.T, document string) *mapping.Compiled {
	t.Helper()
	doc, err := mapping.Decode([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := mapping.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestExplain(t *testing.T) {
	compiled := compile(t, explainMapping)
	type outcomes = []translate.Outcome
	const elsewhere = "unmapped: the mapping does not name it for this version"
	want := []translate.NativeReport{
		{Name: "e:old_running", Type: "gauge", Samples: 1, Outcomes: outcomes{{Family: "gpustack:running", Why: "another native metric, e:running, comes first in the mapping"}}},
		{Name: "e:running", Type: "gauge", Samples: 2, Outcomes: outcomes{{Family: "gpustack:running", Samples: 2}}},
		{Name: "e:latency", Type: "histogram", Samples: 4, Outcomes: outcomes{
			{Family: "gpustack:latency", Samples: 4},
			{Family: "gpustack:tokens_total", Why: "the page declares a histogram, the mapping a counter"},
		}},
		{Name: "e:waiting", Type: "gauge", Samples: 1, Unreadable: 1, Outcomes: outcomes{
			{Family: "gpustack:waiting", Why: `lines that cannot be read: value is not a number: "e:waiting many"`},
			{Family: "gpustack:reasons", Why: `lines that cannot be read: value is not a number: "e:waiting many"`},
		}},
		{Name: "e:tokens", Type: "counter", Outcomes: outcomes{{Family: "gpustack:tokens_total", Why: "the page has no sample of it"}}},
		{Name: "e:state", Type: "gauge", Samples: 1, Outcomes: outcomes{{Family: "gpustack:reasons", Why: "no sample passes match"}}},
		{Name: "e:new", Type: "gauge", Samples: 1, Why: elsewhere},
		{Name: "e:untyped_created", Samples: 1, Why: elsewhere},
	}
	if diff := cmp.Diff(want, translate.Explain([]byte(explainPage), translate.Text, compiled.Plan("engine", "1.0"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	newer := translate.Explain([]byte(explainPage), translate.Text, compiled.Plan("engine", "2.1"))
	if got := newer[1].Outcomes[0].Why; got != "another native metric, e:new, comes first in the mapping" {
		t.Errorf("in the newer version e:running is left out because of %q", got)
	}
	for _, r := range translate.Explain([]byte(explainPage), translate.Text, nil) {
		if r.Why != elsewhere {
			t.Errorf("%s without a mapping: %+v", r.Name, r)
		}
	}
}

// A page without TYPE lines is read by the names that the mapping knows.
func TestExplainWithoutTypes(t *testing.T) {
	plan := compile(t, explainMapping).Plan("engine", "")
	page := "e:latency_bucket{le=\"+Inf\"} 2\ne:latency_sum 3\ne:latency_count 2\ne:tokens_total 5\n"
	want := []translate.NativeReport{
		{Name: "e:latency", Samples: 3, Outcomes: []translate.Outcome{
			{Family: "gpustack:latency", Samples: 3},
			{Family: "gpustack:tokens_total", Why: "none of its samples is one that the mapping's counter takes"},
		}},
		{Name: "e:tokens_total", Samples: 1, Outcomes: []translate.Outcome{{Family: "gpustack:tokens_total", Samples: 1}}},
	}
	if diff := cmp.Diff(want, translate.Explain([]byte(page), translate.Text, plan)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What the natives of a page contributed adds up to the page that Merge writes.
func TestExplainAddsUp(t *testing.T) {
	for _, p := range pageFiles(t) {
		t.Run(p.name, func(t *testing.T) {
			var result translate.Result
			stats := result.Translate(p.page, p.format, p.plan, nil)
			sum := 0
			for _, r := range translate.Explain(p.page, p.format, p.plan) {
				for _, o := range r.Outcomes {
					sum += o.Samples
					if (o.Samples == 0) != (o.Why != "" && !strings.Contains(o.Why, "replicas")) {
						t.Errorf("%s: %+v", r.Name, o)
					}
				}
			}
			if sum != stats.Samples {
				var w exposition.Writer
				translate.Merge(&w, p.plan.Families(), &result)
				t.Errorf("%d samples are explained, the page has %d:\n%s", sum, stats.Samples, w.Bytes())
			}
		})
	}
}

func TestWork(t *testing.T) {
	plan := compile(t, explainMapping).Plan("engine", "")
	for page, want := range map[string]int{
		"": 0, "# TYPE e:waiting gauge\n": 0, "x 1\n": 1, "e:waiting 1\ne:waiting{a=\"b\"} 2\n": 6, "e:latency_sum 1\n": 3,
	} {
		if got := translate.Work([]byte(page), translate.Text, plan); got != want {
			t.Errorf("%q: %d, want %d", page, got, want)
		}
	}
}

func TestExplainIsBounded(t *testing.T) {
	var page bytes.Buffer
	for i := range translate.MaxNatives + 10 {
		fmt.Fprintf(&page, "# TYPE x%d gauge\nx%d 1\n", i, i)
	}
	reports := translate.Explain(page.Bytes(), translate.Text, compile(t, explainMapping).Plan("engine", ""))
	if len(reports) != translate.MaxNatives || !strings.HasPrefix(reports[0].Why, "unmapped") {
		t.Errorf("%d reports, the first %+v", len(reports), reports[0])
	}
}

// Replicas, and targets whose version the page does not show, are explained.
func TestExplain_ReplicasAndUnshown(t *testing.T) {
	plan := compile(t, `
gpustack_metrics: {gpustack:running: {type: gauge}, gpustack:rate: {type: gauge}}
runtime_mapping:
  engine:
    "*":
      e:running: {to: gpustack:running, max_over: [tp_rank, pp_rank]}
      e:rate: {to: gpustack:rate, since: {version: "2", shown_by: e:sign}}`).Plan("engine", "")
	page := "e:running{tp_rank=\"0\"} 1\ne:running{tp_rank=\"1\"} 1\ne:running{tp_rank=\"2\"} 1\ne:rate 0.5\n"
	reports := translate.Explain([]byte(page), translate.Text, plan)
	want := []translate.NativeReport{
		{Name: "e:running", Samples: 3, Outcomes: []translate.Outcome{
			{Family: "gpustack:running", Samples: 1, Why: "2 of its samples are replicas of the others: max_over tp_rank, pp_rank"},
		}},
		{Name: "e:rate", Samples: 1, Outcomes: []translate.Outcome{
			{Family: "gpustack:rate", Why: "the engine's version is unknown, and the page has no metric of since.shown_by"},
		}},
	}
	if diff := cmp.Diff(want, reports); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if reports := translate.Explain([]byte(page+"e:sign_total 0\n"), translate.Text, plan); reports[1].Outcomes[0].Samples != 1 {
		t.Errorf("with the sign: %+v", reports[1])
	}
}
