package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/wire"
)

func TestVanishing(t *testing.T) {
	family := func(name string, removed int) wire.FamilyDryRun {
		return wire.FamilyDryRun{Name: name, Removed: removed, Added: 1}
	}
	v := vanishingOf(&wire.MappingDryRun{
		Removed: 20,
		Workers: []wire.WorkerDryRun{
			{WorkerName: "node-1", State: wire.DryRunAnswered, Instances: []wire.InstanceDryRun{
				{Name: "a", Runtime: "vLLM", Removed: 12, Families: []wire.FamilyDryRun{family("gpustack:x", 4), family("gpustack:y", 6), family("gpustack:z", 0)}},
				{Name: "b", Runtime: "SGLang", Removed: 8, Families: []wire.FamilyDryRun{family("gpustack:x", 8)}},
				{Name: "c", Error: "connection refused"},
			}},
			{WorkerName: "node-2", State: wire.DryRunNotConnected, Detail: "it was not asked"},
		},
		Vanishing: &wire.Vanishing{Metrics: []wire.VanishingMetric{
			{Metric: "gpustack:x", Runtimes: []string{"VLLM", "SGLang", "MindIE"}},
			{Metric: "gpustack:y", Runtimes: []string{"vLLM"}},
			{Metric: "gpustack:gone", Runtimes: []string{"one", "two", "three", "four", "five"}},
		}},
	})
	var b strings.Builder
	if err := v.print(&b, false); err != nil {
		t.Fatal(err)
	}
	const want = `20 series of 2 metrics vanish:

METRIC      SERIES  RUNTIMES
gpustack:x  12      vLLM, SGLang
gpustack:y  6       vLLM

2 series of them are of further metrics, which the workers did not list.
By the documents alone these vanish; no engine that was read has them now:

METRIC         RUNTIMES
gpustack:gone  one, two, three and 2 more
gpustack:x     MindIE

Nothing is known of:
  instance c: connection refused
  worker node-2: it was not asked
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"a", "b"} {
		v.Documents = append(v.Documents, wire.VanishingMetric{Metric: "gpustack:" + name, Runtimes: []string{"mindie", "vLLM"}})
	}
	b.Reset()
	const sentence = "\nBy the documents alone 4 metrics of one, two, three and 4 more vanish, too; no engine that was read has them now. --verbose lists them.\nNothing is known of:\n"
	if err := v.print(&b, false); err != nil || !strings.Contains(b.String(), sentence) {
		t.Errorf("%v, %s", err, b.String())
	}
	b.Reset()
	if err := v.print(&b, true); err != nil || !strings.Contains(b.String(), "\ngpustack:b     mindie, vLLM\n") {
		t.Errorf("%v, %s", err, b.String())
	}
	if v.would() != "20 series of 2 metrics would vanish" {
		t.Error(v.would())
	}
}

func TestVanishingInWords(t *testing.T) {
	one := []vanishedLine{{Metric: "x"}}
	documents := func(n int) []wire.VanishingMetric { return make([]wire.VanishingMetric, n) }
	for want, v := range map[string]vanishing{
		"1 series of 1 metric vanishes":        {Series: 1, Metrics: one},
		"449 series of 1 metric vanish":        {Series: 449, Metrics: one},
		"3 series vanish":                      {Series: 3},
		"No live series but 1 metric vanishes": {Documents: documents(1)},
		"No live series but 2 metrics vanish":  {Documents: documents(2)},
	} {
		if v.String() != want {
			t.Errorf("%q, want %q", v.String(), want)
		}
	}
	// What is cut is counted, and not cut with --verbose.
	v := vanishing{Series: 30}
	for i := range 30 {
		v.Metrics = append(v.Metrics, vanishedLine{Metric: "m" + strings.Repeat("x", i), Series: 1})
	}
	for verbose, want := range map[bool]string{false: "and 10 more metrics; --verbose lists them\n", true: "m" + strings.Repeat("x", 29)} {
		var b strings.Builder
		if err := v.print(&b, verbose); err != nil || !strings.Contains(b.String(), want) || strings.Contains(b.String(), " more ") == verbose {
			t.Errorf("%v, %s", err, b.String())
		}
	}
}
