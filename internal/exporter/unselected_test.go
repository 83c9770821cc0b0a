package exporter

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/mapping"
)

// Samples that a match leaves out are a metric, and a line in the log that comes once.
func TestUnselectedIsTold(t *testing.T) {
	document, err := mapping.Decode([]byte(`
gpustack_metrics: {gpustack:requests: {type: counter}}
runtime_mapping: {vLLM: {"*": {e:requests: {to: gpustack:requests, match: {reason: stop}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := mapping.Compile(document)
	if err != nil {
		t.Fatal(err)
	}
	a, b := newEngine("a"), newEngine("b")
	e, log := newExporter(t, a, b)
	e.mapping = &fakeMapping{compiled, 5}
	b.set("e:requests_total{reason=\"stop\"} 1\n", nil)
	for range 4 {
		a.set("e:requests_total{reason=\"stop\"} 1\ne:requests_total{reason=\"tool_calls\"} 5\ne:requests_total 7\n", nil)
		page := get(t, e.Handler(), "/metrics")
		got := series(page, "gpustack:runtime_unselected_samples")
		want := []string{"gpustack:runtime_unselected_samples{" + cluster + worker + "," + strings.ReplaceAll(instance, "%s", "a") + `,family="e:requests_total",reason="match"} 2`}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	const said = `msg="samples of an engine are in no unified metric`
	if n := strings.Count(log.String(), said); n != 1 || !strings.Contains(log.String(), "instance=a family=e:requests_total reason=match samples=2") {
		t.Errorf("said %d times, want once: %s", n, log)
	}
	a.set("e:requests_total{reason=\"stop\"} 1\n", nil)
	if got := series(get(t, e.Handler(), "/metrics"), "gpustack:runtime_unselected_samples"); got != nil {
		t.Errorf("all samples are taken: %q", got)
	}
}
