package session

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/wire"
)

// Whatever there is to say, an answer has a bounded length, and its counts are right.
func TestDryRunAnswerIsBounded(t *testing.T) {
	const most = 64 << 10
	left := byteBudget(most)
	var result wire.DryRunResult
	for i := range 100 {
		trial := exporter.DryRunResult{Instance: exporter.Instance{Name: fmt.Sprint("instance-", i), Runtime: "vLLM", Version: "0.11.0"}}
		d := &trial.Difference
		d.Added = 100_000
		for n := range 1000 {
			d.Families = append(d.Families, translate.FamilyDifference{Name: fmt.Sprint("gpustack:family_", n), Added: 100, HelpBefore: strings.Repeat("\x01", 1000), HelpAfter: "x"})
		}
		for n := range 200 {
			d.Series = append(d.Series, translate.SeriesDifference{Series: fmt.Sprintf("gpustack:family{n=\"%d\",x=\"%s\"}", n, strings.Repeat("<", 100)), After: "1"})
		}
		result.Instances = append(result.Instances, left.instance(&trial))
	}
	data, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	if perInstance := 400; len(data) > most+100*perInstance {
		t.Errorf("the answer has %d bytes", len(data))
	}
	for _, in := range result.Instances {
		if in.Added != 100_000 || len(in.Families)+in.FamiliesLeftOut != 1000 || len(in.Series)+in.SeriesLeftOut != 100_000 {
			t.Fatalf("%d added, %d families and %d more, %d series and %d more", in.Added, len(in.Families), in.FamiliesLeftOut, len(in.Series), in.SeriesLeftOut)
		}
	}
	if first := result.Instances[0]; len(first.Families) == 0 {
		t.Error("the first instance has no list")
	}
}

func TestFamiliesOfADryRunAreBounded(t *testing.T) {
	for n, want := range map[int]int{maxFamilies - 1: 0, maxFamilies: 0, maxFamilies + 1: 1, 3 * maxFamilies: 2 * maxFamilies} {
		trial := exporter.DryRunResult{}
		for i := range n {
			trial.Difference.Families = append(trial.Difference.Families, translate.FamilyDifference{Name: fmt.Sprint("gpustack:f", i), Added: 1})
		}
		left := byteBudget(1 << 20)
		if in := left.instance(&trial); len(in.Families) != n-want || in.FamiliesLeftOut != want {
			t.Errorf("%d families: %d are listed and %d left out, want %d left out", n, len(in.Families), in.FamiliesLeftOut, want)
		}
	}
}

// An instance whose name the server would refuse costs the others' answer nothing.
func TestNamesInADryRunAreShort(t *testing.T) {
	r := byteBudget(1 << 20)
	long := strings.Repeat("ü", 400)
	in := r.instance(&exporter.DryRunResult{Instance: exporter.Instance{Name: long, Runtime: long, Version: long}})
	for field, most := range map[string]int{in.Name: fleet.MaxName, in.Runtime: fleet.MaxKind, in.RuntimeVersion: fleet.MaxVersion} {
		if len(field) > most || len(field) < most-1 || !strings.HasPrefix(long, field) {
			t.Errorf("%d bytes, at most %d are allowed: %q", len(field), most, field)
		}
	}
}
