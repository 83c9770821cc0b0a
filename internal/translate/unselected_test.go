package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/translate"
)

const unselectedMapping = `
gpustack_metrics:
  gpustack:requests: {type: counter}
  gpustack:failed: {type: counter}
  gpustack:capacity: {type: gauge}
  gpustack:rate: {type: gauge}
  gpustack:seconds: {type: histogram}
runtime_mapping:
  Engine:
    "*":
      e:requests:
        - {to: gpustack:requests, match: {reason: [stop, length]}}
        - {to: gpustack:failed, match: {reason: error}}
      e:info: {to: gpustack:capacity, value_from: [blocks]}
      e:rate: {to: gpustack:rate, ignore: -1}
      e:seconds: {to: gpustack:seconds, match: {stage: prefill}}
`

// What no target takes is told, by native metric and reason, on a page that matches a template as well.
func TestUnselected(t *testing.T) {
	plan := compile(t, unselectedMapping).Plan("Engine", "")
	const page = `e:requests_total{reason="stop"} 5
e:requests_total{reason="tool_calls"} 5
e:requests_total 7
e:requests_total{reason="error"} 1
e:info{blocks="None"} 1
e:rate -1
e:seconds_bucket{stage="decode",le="1"} 1
e:seconds_bucket{stage="decode",le="+Inf"} 1
e:seconds_sum{stage="decode"} 1
e:seconds_count{stage="decode"} 1
e:seconds_bucket{stage="prefill",le="+Inf"} 1
`
	want := []translate.Unselected{
		{Family: "e:seconds", Reason: translate.ReasonMatch, Samples: 4},
		{Family: "e:requests_total", Reason: translate.ReasonMatch, Samples: 2},
		{Family: "e:info", Reason: translate.ReasonValueFrom, Samples: 1},
	}
	var r translate.Result
	for i := range 5 {
		stats := r.Translate([]byte(strings.ReplaceAll(page, "} 5", fmt.Sprint("} ", i))), translate.Text, plan, nil)
		if diff := cmp.Diff(want, r.Unselected()); diff != "" || stats.Unselected != 8 { // the ignored value is one, too
			t.Errorf("page %d: %+v (-want +got):\n%s", i, stats, diff)
		}
	}
	r.Translate([]byte("e:requests{reason=\"stop\"} 5\n"), translate.Text, plan, nil)
	if got := r.Unselected(); len(got) > 0 {
		t.Errorf("a page of which all is taken: %v", got)
	}
}

func TestUnselected_IsBounded(t *testing.T) {
	var document, page strings.Builder
	document.WriteString("gpustack_metrics: {gpustack:x: {type: gauge}}\nruntime_mapping:\n  Engine:\n    \"*\":\n")
	for i := range translate.MaxUnselected + 3 {
		fmt.Fprintf(&document, "      e:m%d: {to: gpustack:x, match: {a: b}}\n", i)
		page.WriteString(strings.Repeat(fmt.Sprintf("e:m%d 1\n", i), i+1))
	}
	var r translate.Result
	r.Translate([]byte(page.String()), translate.Text, compile(t, document.String()).Plan("Engine", ""), nil)
	got := r.Unselected()
	if len(got) != translate.MaxUnselected+1 || got[0].Samples != translate.MaxUnselected+3 {
		t.Fatalf("%v", got)
	}
	if last := got[len(got)-1]; last != (translate.Unselected{Family: translate.OtherFamilies, Reason: translate.ReasonMatch, Samples: 1 + 2 + 3}) {
		t.Errorf("the others: %+v", last)
	}
}
