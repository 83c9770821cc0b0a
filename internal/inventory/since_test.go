package inventory_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// An engine that never answered is an instance without model and runtime. When its model becomes known, it is the same instance.
func TestModelThatBecomesKnown(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	id := join(t, inv, registration("a")).Worker.ID
	broken := engine("e", "")
	broken.Runtime, broken.RuntimeVersion, broken.State, broken.StateMessage = "unknown", "", fleet.InstanceError, "answered HTML"
	report(t, inv, id, broken)
	got := inv.Snapshot()
	if len(got.Models) != 0 || len(got.Instances) != 1 {
		t.Fatalf("got %+v", got)
	}
	if in := got.Instances[0]; in.ModelID != 0 || in.Runtime != "" || in.State != fleet.InstanceError || in.StateMessage != "answered HTML" {
		t.Errorf("got %+v", in)
	}
	var w exposition.Writer
	inv.WriteMetrics(&w)
	for _, line := range []string{
		`gpustack:model_instance_status{cluster_id="1",cluster_name="default",worker_id="1",worker_name="a",model_instance_name="e",state="error"} 1`,
		`gpustack:model_instance_info{cluster_id="1",cluster_name="default",worker_id="1",worker_name="a",model_instance_name="e",runtime="unknown",runtime_version="unknown"} 1`,
	} {
		if !strings.Contains(string(w.Bytes()), line) {
			t.Errorf("the page has no line %s:\n%s", line, w.Bytes())
		}
	}
	for range 2 { // also after a restart of the server
		if got := report(t, inv, id, engine("e", "qwen")); len(got) != 1 || got[0].InstanceID != 1 || got[0].ModelID != 1 {
			t.Errorf("got %+v", got)
		}
		if in := inv.Snapshot().Instances; len(in) != 1 || in[0].RestartCount != 0 {
			t.Errorf("got %+v", in)
		}
		inv = newInventory(t, s)
	}
}

// Since is when a state began: of a worker as the server saw it, of an instance as its worker says, or as the server saw it if that doesn't.
func TestSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		inv := newInventory(t, s)
		began := time.Now().UTC()
		at := func(n int) time.Time { return began.Add(time.Duration(n) * time.Minute) }
		want := func(worker fleet.WorkerState, since time.Time, instances ...time.Time) {
			t.Helper()
			got := inv.Snapshot()
			if w := got.Workers[0]; w.State != worker || !w.Since.Equal(since) {
				t.Errorf("worker is %s since minute %s, want %s since %s", w.State, w.Since.Sub(began), worker, since.Sub(began))
			}
			for k, since := range instances {
				if in := got.Instances[k]; !in.Since.Equal(since) {
					t.Errorf("%s is %s since %s, want %s", in.Name, in.State, in.Since.Sub(began), since.Sub(began))
				}
			}
		}
		id := join(t, inv, registration("a")).Worker.ID
		want(fleet.WorkerNotReady, at(0))
		time.Sleep(time.Minute)
		old, told := engine("old", "m"), engine("told", "m")
		told.Since = at(-60)
		report(t, inv, id, old, told)
		want(fleet.WorkerReady, at(1), at(1), at(-60))
		time.Sleep(time.Minute)
		writes := s.written()
		report(t, inv, id, old, told)
		if s.written() != writes {
			t.Error("a report that says nothing new is stored")
		}
		want(fleet.WorkerReady, at(1), at(1), at(-60))
		old.StateMessage = "another message, the same state"
		report(t, inv, id, old, told)
		want(fleet.WorkerReady, at(1), at(1), at(-60))
		old.State = fleet.InstanceError
		report(t, inv, id, old, told)
		want(fleet.WorkerReady, at(1), at(2), at(-60))

		inv = newInventory(t, s) // the server is started again
		want(fleet.WorkerReady, at(1), at(2), at(-60))
		time.Sleep(time.Minute)
		if _, err := inv.Report(t.Context(), id, fleet.Report{Stopping: true, Instances: []fleet.ReportedInstance{old, told}}); err != nil {
			t.Fatal(err)
		}
		want(fleet.WorkerNotReady, at(3), at(3), at(3))
		join(t, inv, registration("a"))
		time.Sleep(time.Minute)
		report(t, inv, id, old, told)
		want(fleet.WorkerReady, at(4), at(2), at(-60))
		told.State, told.Since = fleet.InstanceError, at(60) // the worker's clock is ahead
		report(t, inv, id, old, told)
		time.Sleep(time.Minute)
		report(t, inv, id, old, told)
		want(fleet.WorkerReady, at(4), at(2), at(4))
	})
}
