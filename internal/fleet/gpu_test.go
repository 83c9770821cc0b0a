package fleet

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGPUIDs(t *testing.T) {
	gpu := func(index, chip int, uuid string, state GPUState) ReportedGPU {
		return ReportedGPU{Vendor: "nvidia", Index: index, Chip: chip, UUID: uuid, State: state}
	}
	got := GPUIDs(7, []ReportedGPU{
		gpu(0, 0, "was", GPUMissing), gpu(0, 0, "is", GPUPresent), gpu(0, 1, "is", GPUPresent), gpu(0, 0, "", GPUMissing), gpu(1, 0, "", GPUMissing), gpu(0, 0, "was", GPUMissing),
	})
	want := []string{"7:nvidia:0:was", "7:nvidia:0", "7:nvidia:0:1", "7:nvidia:0:0#2", "7:nvidia:1", "7:nvidia:0:0#3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCheckGPU(t *testing.T) {
	g := ReportedGPU{
		Vendor: "nvidia", Name: "H\u200b200", State: GPUMissing, StateMessage: " not\nhere  since " + strings.Repeat("x", MaxGPUReason), Instances: "b\na\nb",
	}
	if fault := CheckGPU(&g); fault != nil {
		t.Fatal(fault)
	}
	if g.Name != "H<U+200B>200" || !strings.HasPrefix(g.StateMessage, "not here since x") || len(g.StateMessage) != MaxGPUReason || g.Instances != "a\nb" || !g.InstancesKnown {
		t.Errorf("%+v", g)
	}
	again := g
	if fault := CheckGPU(&again); fault != nil || again != g {
		t.Errorf("the normal form changed: %v, %+v", fault, again)
	}
	names := make([]string, MaxGPUInstances+1)
	for i := range names {
		names[i] = "a"
	}
	for what, change := range map[string]func(*ReportedGPU){
		"vendor":    func(g *ReportedGPU) { g.Vendor = strings.Repeat("v", MaxKind+1) },
		"chip":      func(g *ReportedGPU) { g.Chip = MaxGPUIndex + 1 },
		"memory":    func(g *ReportedGPU) { g.MemoryTotal = maxGPUMemory + 1 },
		"instances": func(g *ReportedGPU) { g.Instances = strings.Join(names, "\n") },
		"instance":  func(g *ReportedGPU) { g.Instances = "a\n\nb" },
	} {
		bad := g
		change(&bad)
		if fault := CheckGPU(&bad); fault == nil || !strings.HasPrefix(fault.Field, strings.TrimSuffix(what, "s")) {
			t.Errorf("%s: %v", what, fault)
		}
	}
}
