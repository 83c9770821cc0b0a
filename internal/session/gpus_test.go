package session

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// Reports name the GPUs once they are known. What the server would refuse a report for is left out and logged once.
func TestGPUsAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		var known []fleet.ReportedGPU
		w, log, _ := connect(t, r, func(o *Options) { o.GPUs = func() []fleet.ReportedGPU { return known } })
		w.set(good("a"), good("b"))
		next := func() []wire.GPUReport {
			w.session.Changed()
			time.Sleep(time.Second)
			var gpus []wire.GPUReport
			r.set(func(r *remote) { gpus = r.reports[len(r.reports)-1].GPUs })
			return gpus
		}
		if gpus := next(); gpus != nil {
			t.Errorf("before they are known: %+v", gpus)
		}
		known = []fleet.ReportedGPU{}
		if gpus := next(); gpus == nil || len(gpus) != 0 {
			t.Errorf("of a machine without GPUs: %#v", gpus)
		}
		known = []fleet.ReportedGPU{
			{
				Vendor: "nvidia", Index: 2, Chip: 1, Name: "H\u200b200", UUID: "u", PCI: "p", MemoryTotal: 5, Driver: "d", Firmware: "f", State: fleet.GPUPresent,
				Action: "reset", ActionReason: "xid 79", Instances: "b\nunreported\na", InstancesKnown: true,
			},
			{Vendor: "nvidia", Index: -1, State: fleet.GPUPresent},
			{Vendor: "nvidia", Index: 3, State: fleet.GPUMissing, StateMessage: "gone\n" + strings.Repeat("x", 1000)},
		}
		want := []wire.GPUReport{
			{
				Vendor: "nvidia", Index: 2, Chip: 1, Name: "H<U+200B>200", UUID: "u", PCI: "p", MemoryTotal: 5, Driver: "d", Firmware: "f", State: fleet.GPUPresent,
				Action: "reset", Reason: "xid 79", Instances: []string{"b", "a"},
			},
			{Vendor: "nvidia", Index: 3, State: fleet.GPUMissing, Message: ("gone " + strings.Repeat("x", 1000))[:fleet.MaxGPUReason]},
		}
		for range 2 {
			if diff := cmp.Diff(want, next()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		if n := strings.Count(log.String(), "GPU is left out"); n != 1 {
			t.Errorf("%d lines:\n%s", n, log)
		}
		known = make([]fleet.ReportedGPU, fleet.MaxGPUs+3)
		for i := range known {
			known[i] = fleet.ReportedGPU{Vendor: "nvidia", Index: i, State: fleet.GPUPresent}
		}
		if n := len(next()); n != fleet.MaxGPUs {
			t.Errorf("%d GPUs are reported", n)
		}
	})
}
