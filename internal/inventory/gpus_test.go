package inventory_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
	"github.com/stackscope/stackscope/internal/store"
)

// someGPUs is what a report may say of GPUs, also nothing.
func someGPUs(rnd *rand.Rand) []fleet.ReportedGPU {
	n := rnd.IntN(4) - 1
	if n < 0 {
		return nil
	}
	gpus := make([]fleet.ReportedGPU, n)
	for k := range gpus {
		gpus[k] = card(k)
		gpus[k].Instances = fmt.Sprint("e", rnd.IntN(3))
	}
	return gpus
}

func card(index int) fleet.ReportedGPU {
	return fleet.ReportedGPU{Vendor: "nvidia", Index: index, Name: "H200", UUID: fmt.Sprint("GPU-", index), MemoryTotal: 141 << 30, State: fleet.GPUPresent, InstancesKnown: true}
}

func reportGPUs(t *testing.T, inv *inventory.Inventory, id int64, gpus []fleet.ReportedGPU, instances ...fleet.ReportedInstance) error {
	t.Helper()
	_, err := inv.Report(t.Context(), id, fleet.Report{Instances: instances, GPUs: gpus})
	return err
}

func gpuLines(inv *inventory.Inventory) []string {
	var lines []string
	for _, g := range inv.Snapshot().GPUs {
		lines = append(lines, fmt.Sprintf("%s %s %s %v", g.ID, g.WorkerName, g.State, g.Holders))
	}
	return lines
}

// The last report that says anything of GPUs is the truth.
func TestGPUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		inv := newWith(t, inventory.Options{Store: s, HeartbeatGrace: time.Minute})
		a, old := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("old")).Worker.ID
		want := func(step string, lines ...string) {
			t.Helper()
			if diff := cmp.Diff(lines, gpuLines(inv)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		both := []fleet.ReportedGPU{card(0), card(1)}
		both[0].Instances = "e0\nelsewhere"
		for range 2 { // the second brings no news
			if err := reportGPUs(t, inv, a, both, engine("e0", "m")); err != nil {
				t.Fatal(err)
			}
		}
		report(t, inv, old, engine("e0", "m"))
		want("reported", "1:nvidia:0 a present [{1 e0}]", "1:nvidia:1 a present []")
		writes := s.written()
		if err := reportGPUs(t, inv, a, both, engine("e0", "m")); err != nil || s.written() != writes {
			t.Errorf("a report without news was stored: %v", err)
		}
		if err := reportGPUs(t, inv, a, nil, engine("e0", "m")); err != nil {
			t.Fatal(err)
		}
		want("a report that says nothing of them", "1:nvidia:0 a present [{1 e0}]", "1:nvidia:1 a present []")

		lost := []fleet.ReportedGPU{card(0), card(0), card(1)} // what was at 0 is missing, and another is there
		lost[0].State, lost[0].UUID, lost[0].StateMessage = fleet.GPUMissing, "GPU-x", "gone"
		s.setFail(errFull)
		for range 2 {
			wantError(t, reportGPUs(t, inv, a, lost, engine("e0", "m")), fleet.ErrNotStored)
		}
		want("shown though it is not stored", "1:nvidia:0:GPU-x a missing []", "1:nvidia:0 a present []", "1:nvidia:1 a present []")
		s.setFail(nil)
		if err := reportGPUs(t, inv, a, lost, engine("e0", "m")); err != nil {
			t.Fatal(err)
		}
		inv = newWith(t, inventory.Options{Store: s, HeartbeatGrace: time.Minute}) // the server starts again
		want("after a restart", "1:nvidia:0:GPU-x a missing []", "1:nvidia:0 a present []", "1:nvidia:1 a present []")

		r := registration("a")
		join(t, inv, r)
		want("registered again", "1:nvidia:0:GPU-x a missing []", "1:nvidia:0 a present []", "1:nvidia:1 a present []")
		r.Version = "0.1.0"
		join(t, inv, r)
		want("registered with another version")
		if err := reportGPUs(t, inv, a, both); err != nil {
			t.Fatal(err)
		}
		if err := reportGPUs(t, inv, a, []fleet.ReportedGPU{}); err != nil {
			t.Fatal(err)
		}
		want("none")
		if err := reportGPUs(t, inv, a, both); err != nil {
			t.Fatal(err)
		}
		if err := inv.RemoveWorker(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		want("removed")
		if len(s.gpus) != 0 {
			t.Errorf("stored are %v", s.gpus)
		}
	})
}

// What a worker that stopped said of its GPUs is not known to hold.
func TestGPUsOfAWorkerThatStopped(t *testing.T) {
	inv := newInventory(t, nil)
	a := join(t, inv, registration("a")).Worker.ID
	_, err := inv.Report(t.Context(), a, fleet.Report{GPUs: []fleet.ReportedGPU{card(0)}, Stopping: true})
	if err != nil {
		t.Fatal(err)
	}
	if g := inv.Snapshot().GPUs[0]; g.State != fleet.GPUUnreachable || g.StateMessage != "worker stopped" || g.MemoryTotal != 141<<30 {
		t.Errorf("%+v", g)
	}
}

func TestBadGPUsAreExplained(t *testing.T) {
	inv := newInventory(t, nil)
	a := join(t, inv, registration("a")).Worker.ID
	if err := reportGPUs(t, inv, a, []fleet.ReportedGPU{card(0)}); err != nil {
		t.Fatal(err)
	}
	bad := func(change func(*fleet.ReportedGPU)) []fleet.ReportedGPU {
		g := card(1)
		change(&g)
		return []fleet.ReportedGPU{card(0), g}
	}
	for _, c := range []struct {
		gpus  []fleet.ReportedGPU
		parts []string
	}{
		{make([]fleet.ReportedGPU, fleet.MaxGPUs+1), []string{"257 GPUs", "256"}},
		{bad(func(g *fleet.ReportedGPU) { g.Vendor = "" }), []string{"gpus[1]: vendor is empty"}},
		{bad(func(g *fleet.ReportedGPU) { g.Vendor = "a:b" }), []string{"gpus[1]: vendor", "colon"}},
		{bad(func(g *fleet.ReportedGPU) { g.Index = -1 }), []string{"index is -1"}},
		{bad(func(g *fleet.ReportedGPU) { g.MemoryTotal = -1 }), []string{"memory_total is -1"}},
		{bad(func(g *fleet.ReportedGPU) { g.State = "ok" }), []string{`state is "ok"`, "present"}},
		{bad(func(g *fleet.ReportedGPU) { g.UUID = "\xff" }), []string{"uuid", "UTF-8"}},
	} {
		wantError(t, reportGPUs(t, inv, a, c.gpus), fleet.ErrInvalid, c.parts...)
	}
	if lines := gpuLines(inv); len(lines) != 1 {
		t.Errorf("a report that was refused changed the GPUs to %v", lines)
	}
}

// With the real database, what is known of GPUs is known after a restart.
func TestGPUsComeBackFromTheDatabase(t *testing.T) {
	dir := t.TempDir()
	var before []fleet.GPU
	for start := range 2 {
		s, err := store.Open(t.Context(), store.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		inv := newInventory(t, s)
		if start == 0 {
			a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
			g := card(0)
			g.PCI, g.Driver, g.Firmware, g.Action, g.ActionReason, g.Instances, g.Chip = "0000:3b:00.0", "570.1", "96.0", "reset", "xid 79", "e0", 1
			for _, id := range []int64{a, b} {
				if err := reportGPUs(t, inv, id, []fleet.ReportedGPU{g, card(1)}, engine("e0", "m")); err != nil {
					t.Fatal(err)
				}
			}
			report(t, inv, a, engine("e0", "m"), engine("e1", "m")) // replaces the worker's other rows
			if err := inv.RemoveWorker(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			before = inv.Snapshot().GPUs
		} else if diff := cmp.Diff(before, inv.Snapshot().GPUs); diff != "" || len(before) != 2 {
			t.Errorf("(-before +after):\n%s", diff)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
