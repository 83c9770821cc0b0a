package translate_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
)

// changedPage has a sample for each kind of target of testdata/mapping.yaml.
func changedPage() []byte {
	var page bytes.Buffer
	for engine := range 8 {
		fmt.Fprintf(&page, "engine:ended_total{a=\"x\",engine=\"%d\"} %d\n", engine, engine)
		fmt.Fprintf(&page, "engine:ended_total{a=\"y\",engine=\"%d\"} %d\n", engine, engine)
		for _, le := range []string{"1", "10", "250.0", "+Inf"} {
			fmt.Fprintf(&page, "engine:wait_ms_bucket{engine=\"%d\",le=%q} 7\n", engine, le)
		}
		fmt.Fprintf(&page, "engine:wait_ms_sum{engine=\"%d\"} 1234.5\nengine:wait_ms_count{engine=\"%d\"} 7\n", engine, engine)
		fmt.Fprintf(&page, "engine:rate{engine=\"%d\"} 12.5\nengine:rate{b=\"%d\"} -1\n", engine, engine)
		fmt.Fprintf(&page, "engine:info{a=\"16\",engine=\"%d\",b=\"%d\"} 1\n", engine, engine)
		fmt.Fprintf(&page, "engine:stage{a=\"queue\",engine=\"%d\"} 3\n", engine)
		fmt.Fprintf(&page, "engine:input_length_sum{a=\"%d\"} 10\nengine:input_length_count{a=\"%d\"} 2\n", engine, engine)
		fmt.Fprintf(&page, "old_engine:running{engine=\"%d\"} 1\n", engine)
		fmt.Fprintf(&page, "unmapped_bucket{engine=\"%d\",le=\"1\"} 1\nunmapped_count 1\nother 1\nengine:running_created 1\n", engine)
	}
	return page.Bytes()
}

// A mapping may add the label role, as it could before instances had roles. The role of an instance comes first.
func TestAddedRole(t *testing.T) {
	plan := compile(t, `
gpustack_metrics: {u: {type: gauge}}
runtime_mapping: {e: {"*": {n: {to: u, add: {role: mine}}}}}`).Plan("e", "1")
	for _, c := range []struct {
		source []translate.Label
		want   string
	}{
		{[]translate.Label{{Name: "worker_id", Value: "1"}}, `u{worker_id="1",role="mine"} 2`},
		{[]translate.Label{{Name: "role", Value: "decode"}}, `u{role="decode",exported_role="mine"} 2`},
	} {
		var r translate.Result
		r.Translate([]byte("n 2\n"), translate.Text, plan, translate.NewSource(c.source))
		if got := strings.TrimSpace(string(r.Lines("u"))); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestChangesAllocateNothing(t *testing.T) {
	page, plan := changedPage(), testMapping(t).Plan("Test", "")
	compare(t, page, translate.Text, plan, instanceLabels("1"))
	source := translate.NewSource(instanceLabels("1"))
	var result translate.Result
	var w exposition.Writer
	run := func() {
		w.Reset()
		result.Translate(page, translate.Text, plan, source)
		translate.Merge(&w, plan.Families(), &result)
	}
	run()
	if n := testing.AllocsPerRun(20, run); n != 0 {
		t.Errorf("%v allocations a page", n)
	}
}

func TestUnmapped(t *testing.T) {
	page, plan := changedPage(), testMapping(t).Plan("Test", "")
	var result translate.Result
	for range 2 {
		if stats := result.Translate(page, translate.Text, plan, nil); stats.UnmappedFamilies != 2 {
			t.Errorf("%d families are unmapped, want the histogram and the other", stats.UnmappedFamilies)
		}
	}
	var raw translate.Raw
	raw.CollectUnmapped(page, translate.Text, nil, plan)
	var names []string
	for line := range strings.Lines(string(mergeRaw(&raw))) {
		if name := refName.FindString(line); len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	if diff := cmp.Diff([]string{"unmapped_bucket", "unmapped_count", "other"}, names); diff != "" {
		t.Errorf("unmapped names (-want +got):\n%s", diff)
	}
}

func TestFeeds(t *testing.T) {
	plan := testMapping(t).Plan("Test", "")
	var result translate.Result
	result.Translate([]byte("engine:running 1\nengine:rate -1\n"), translate.Text, plan, nil)
	var fed []string
	for i, f := range plan.Families() {
		if result.Feeds(i) {
			fed = append(fed, f.Name)
		}
	}
	if diff := cmp.Diff([]string{"gpustack:running"}, fed); diff != "" {
		t.Errorf("families (-want +got):\n%s", diff)
	}
	if result.Feeds(len(plan.Families())) {
		t.Error("a family that the mapping does not have is fed")
	}
}

func TestMaxSamplesOfAResult(t *testing.T) {
	plan := testMapping(t).Plan("Test", "")
	page := []byte("engine:running{a=\"1\"} 1\nengine:running{a=\"2\"} 1\nengine:tokens 1\nengine:ended{a=\"1\"} 1\nengine:ended{a=\"2\"} 1\n")
	result := translate.Result{MaxSamples: 3}
	if stats := result.Translate(page, translate.Text, plan, nil); stats.Samples != 3 || stats.OverLimit != 4 {
		t.Errorf("%+v, want 3 samples and 4 over the limit: two ends feed two families", stats)
	}
	result.MaxSamples = 2 * translate.MaxSamples
	if stats := result.Translate(page, translate.Text, plan, nil); stats.OverLimit != 0 {
		t.Errorf("%+v, want all samples", stats)
	}
}
