package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/wire"
)

func TestPrintDryRun(t *testing.T) {
	page := func(fed, of, series int) *wire.DryRunPage {
		return &wire.DryRunPage{Coverage: wire.Coverage{Families: fed, Of: of}, Series: series}
	}
	run := wire.MappingDryRun{
		Status: "dry run", Generation: 4, Added: 1, Removed: 300, Changed: 1,
		Workers: []wire.WorkerDryRun{
			{WorkerID: 1, WorkerName: "node-1", State: wire.DryRunAnswered, Instances: []wire.InstanceDryRun{
				{
					Name: "a", Runtime: "vLLM", RuntimeVersion: "0.11.0", Before: page(25, 28, 400), After: page(24, 28, 101), Added: 1, Removed: 300, Changed: 1,
					Families: []wire.FamilyDryRun{
						{Name: "gpustack:x_total", Added: 1, Changed: 1, Type: &wire.TextChange{Before: "gauge", After: "counter"}},
						{Name: "gpustack:y", Removed: 300, Help: &wire.TextChange{Before: "Y.", After: "Why."}},
					},
					Series:        []wire.SeriesDryRun{{Series: `gpustack:x_total{a="1"}`, After: new("3")}, {Series: `gpustack:x_total{a="2"}`, Before: new("1"), After: new("2")}, {Series: "gpustack:y", Before: new("7")}},
					SeriesLeftOut: 299,
				},
				{Name: "b", Error: "connection refused"},
				{Name: "c", Runtime: "SGLang", Before: page(19, 28, 50), After: page(19, 28, 50)},
			}},
			{WorkerID: 2, WorkerName: "node-2", State: wire.DryRunNotConnected, Detail: "it was not asked"},
		},
	}
	const want = `compared with the active generation 4: 1 series added, 300 removed, 1 changed

INSTANCE  WORKER  RUNTIME  VERSION  COVERAGE        SERIES      ADDED  REMOVED  CHANGED  WHY
a         node-1  vLLM     0.11.0   25/28 -> 24/28  400 -> 101  1      300      1
b         node-1  -        -        -               -           -      -        -        connection refused
c         node-1  SGLang   -        19/28           50          0      0        0
-         node-2  -        -        -               -           -      -        -        it was not asked

a
! gpustack:x_total: type gauge -> counter
! gpustack:y: help "Y." -> "Why."
+ gpustack:x_total{a="1"} 3
~ gpustack:x_total{a="2"} 1 -> 2
- gpustack:y 7
and 299 series more; by metric, those added, removed and changed:
  gpustack:x_total  +1  -0    ~1
  gpustack:y        +0  -300  ~0
`
	var out strings.Builder
	if err := printDryRun(&out, &run); err != nil {
		t.Fatal(err)
	}
	var trimmed strings.Builder
	for line := range strings.Lines(out.String()) {
		trimmed.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	if diff := cmp.Diff(want, trimmed.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}
