package inventory_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
)

var errFull = errors.New("disk is full")

func writeStoring(inv *inventory.Inventory) string {
	var w exposition.Writer
	inv.WriteStoring(&w)
	return string(w.Bytes())
}

// shown is a summary of what memory holds.
func shown(inv *inventory.Inventory) string {
	inv.Outdate()
	return summary(inv.Snapshot())
}

// timeless is the metrics page without what changes with time alone.
func timeless(inv *inventory.Inventory) string {
	inv.Outdate()
	var kept strings.Builder
	for line := range strings.Lines(writeMetrics(inv)) {
		if !strings.HasPrefix(line, "gpustack:worker_heartbeat_age_seconds{") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func tryReport(t *testing.T, inv *inventory.Inventory, id int64, instances ...fleet.ReportedInstance) error {
	t.Helper()
	_, err := inv.Report(t.Context(), id, fleet.Report{Instances: instances})
	return err
}

// What workers see is shown also while it cannot be stored, and is not acknowledged before it is.
func TestReportThatCannotBeStored(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
	report(t, inv, a, engine("e0", "m"), engine("e1", "m"))
	report(t, inv, b, engine("e0", "m"))
	s.setFail(errFull)

	stopped := engine("e0", "m")
	stopped.State = fleet.InstanceError
	for range 3 { // the second and third bring no news
		err := tryReport(t, inv, a, stopped)
		wantError(t, err, fleet.ErrNotStored, "disk is full")
	}
	if err := tryReport(t, inv, b, engine("e0", "m")); err != nil {
		t.Errorf("a heartbeat of another worker: %v", err)
	}
	want := `
		cluster 1 default Docker ready
		worker 1 c1 a uuid-a ready
		worker 2 c1 b uuid-b ready
		model 1 c1 m vLLM 0.11.0 desired=2
		instance 1 m1 w1 e0 error
		instance 3 m1 w2 e0 running
	`
	wantSummary(t, inv, want)
	if !errors.Is(inv.Err(), errFull) {
		t.Errorf("Err = %v", inv.Err())
	}
	for _, line := range []string{"stackscope_inventory_stored 0\n", "stackscope_inventory_unsaved_rows 2\n", "stackscope_inventory_store_failures_total 3\n"} {
		if page := writeStoring(inv); !strings.Contains(page, line) {
			t.Errorf("the page lacks %s:\n%s", line, page)
		}
	}
	// A new id must be safe before it is given. What needs none is shown.
	running := engine("e0", "m")
	wantError(t, tryReport(t, inv, a, running, engine("new", "m"), engine("other", "n")), fleet.ErrNotStored, "disk is full")
	wantSummary(t, inv, strings.Replace(want, "e0 error", "e0 running", 1))
	moved := engine("e0", "new")
	moved.State = fleet.InstanceError
	wantError(t, tryReport(t, inv, a, moved), fleet.ErrNotStored)
	wantSummary(t, inv, want)

	s.setFail(nil)
	if err := tryReport(t, inv, a, stopped); err != nil {
		t.Fatal(err)
	}
	if err := inv.Err(); err != nil {
		t.Errorf("Err = %v after storing worked again", err)
	}
	if page := writeStoring(inv); !strings.Contains(page, "stackscope_inventory_stored 1\n") || !strings.Contains(page, "unsaved_rows 0\n") {
		t.Errorf("page:\n%s", page)
	}
	wantSummary(t, newInventory(t, s), want)
}

// A worker that becomes ready is news. All workers go on being ready on a full disk.
func TestHeartbeatsGoOnOnAFullDisk(t *testing.T) {
	whileRunning(t, func(t *testing.T, s *memory, inv *inventory.Inventory) { //nolint:thelper // the body of a test: its own lines are wanted
		a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
		report(t, inv, a, engine("e", "m"))
		s.setFail(errFull)
		wantError(t, tryReport(t, inv, b), fleet.ErrNotStored)
		for range 100 {
			pass(10 * time.Second)
			if err := tryReport(t, inv, a, engine("e", "m")); err != nil {
				t.Fatalf("heartbeat: %v", err)
			}
			wantError(t, tryReport(t, inv, b), fleet.ErrNotStored)
		}
		if a, b := stateOf(inv, a), stateOf(inv, b); a != fleet.WorkerReady || b != fleet.WorkerReady {
			t.Errorf("states = %s, %s", a, b)
		}
		s.setFail(nil)
		pass(11 * time.Second)
		if err := tryReport(t, inv, b); err != nil {
			t.Errorf("after storing worked again: %v", err)
		}
		if got := stateOf(newInventory(t, s), b); got != fleet.WorkerReady {
			t.Errorf("stored state = %s", got)
		}
	})
}

// A credential that a restart would lose is not handed out, and a registration that is refused changes nothing.
func TestRegistrationThatCannotBeStored(t *testing.T) {
	for _, c := range []struct {
		name string
		r    func() fleet.Registration
	}{
		{"new", func() fleet.Registration { return registration("new") }},
		{"new in a new cluster", func() fleet.Registration { r := registration("new"); r.Cluster = "new"; return r }},
		{"again", func() fleet.Registration { r := registration("a"); r.Address = "10.9.9.9"; return r }},
		{"renamed", func() fleet.Registration { r := registration("new"); r.UUID, r.Run = "uuid-a", "run-a"; return r }},
		{"another cluster", func() fleet.Registration { r := registration("a"); r.Cluster = "new"; return r }},
		{"takes over", func() fleet.Registration { r := registration("idle"); r.UUID = "uuid-new"; return r }},
		{"replaces", func() fleet.Registration { r := registration("idle"); r.UUID, r.Run = "uuid-a", "run-a"; return r }},
		{"replaces elsewhere", func() fleet.Registration {
			r := registration("idle")
			r.UUID, r.Run, r.Cluster = "uuid-a", "run-a", "second"
			return r
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newMemory()
			inv := newInventory(t, s)
			inSecond := registration("idle")
			inSecond.UUID, inSecond.Cluster = "second", "second"
			idle, second, a := join(t, inv, registration("idle")), join(t, inv, inSecond), join(t, inv, registration("a"))
			other := engine("e2", "m")
			other.RuntimeVersion = "0.12.0"
			report(t, inv, a.Worker.ID, engine("e0", "m"), other, engine("gateway", ""))
			before, page := shown(inv), timeless(inv)
			for _, fail := range []func(error){s.setFail, s.setFailApply} {
				fail(errFull)
				_, err := inv.Register(t.Context(), c.r())
				wantError(t, err, fleet.ErrNotStored, "disk is full")
				if got := shown(inv); got != before {
					t.Fatalf("the inventory changed to\n%s", got)
				}
				if diff := cmp.Diff(page, timeless(inv)); diff != "" {
					t.Errorf("the page changed (-before +after):\n%s", diff)
				}
				for _, j := range []fleet.Joined{idle, second, a} {
					if !inv.Authenticate(j.Worker.ID, j.Credential) {
						t.Errorf("the credential of worker %d does not hold any more", j.Worker.ID)
					}
				}
				fail(nil)
				if got := summary(newInventory(t, s).Snapshot()); got != before {
					t.Fatalf("stored is\n%s", got)
				}
			}
			got := join(t, inv, c.r())
			if !newInventory(t, s).Authenticate(got.Worker.ID, got.Credential) {
				t.Error("the credential that was given at last is not stored")
			}
			wantSummary(t, newInventory(t, s), summary(inv.Snapshot()))
			for k, w := range newInventory(t, s).Snapshot().Workers {
				if shown := inv.Snapshot().Workers[k].RegisteredAt; !w.RegisteredAt.Equal(shown) {
					t.Errorf("worker %d registered at %s, and %s is stored", w.ID, shown, w.RegisteredAt)
				}
			}
		})
	}
}

// A worker whose removal could not be stored is still there.
func TestRemovalThatCannotBeStored(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	a, b, last := join(t, inv, registration("a")), join(t, inv, registration("b")), join(t, inv, registration("c"))
	fresh := engine("e0", "shared")
	fresh.RuntimeVersion = "0.12.0"
	report(t, inv, b.Worker.ID, engine("e0", "shared"))
	report(t, inv, a.Worker.ID, fresh, engine("e1", "own"), engine("e2", "own"), engine("gateway", ""))
	report(t, inv, last.Worker.ID)
	before := shown(inv)
	s.setFail(errFull)
	for range 2 {
		snapshot := inv.Snapshot()
		wantError(t, inv.RemoveWorker(t.Context(), a.Worker.ID), fleet.ErrNotStored, "disk is full")
		if inv.Snapshot() != snapshot {
			t.Error("the snapshot was made anew, and nothing has changed")
		}
		if got := shown(inv); got != before {
			t.Fatalf("the inventory changed to\n%s", got)
		}
		if !inv.Authenticate(a.Worker.ID, a.Credential) {
			t.Error("the worker may not report any more")
		}
	}
	if err := tryReport(t, inv, a.Worker.ID, fresh, engine("e1", "own"), engine("e2", "own"), engine("gateway", "")); err != nil {
		t.Errorf("its heartbeat: %v", err)
	}
	s.setFail(nil)
	if got := summary(newInventory(t, s).Snapshot()); got != before {
		t.Errorf("stored is\n%s", got)
	}
	if err := inv.RemoveWorker(t.Context(), a.Worker.ID); err != nil {
		t.Fatal(err)
	}
	want := `
		cluster 1 default Docker ready
		worker 2 c1 b uuid-b ready
		worker 3 c1 c uuid-c ready
		model 1 c1 shared vLLM 0.11.0 desired=1
		instance 1 m1 w2 e0 running
	`
	wantSummary(t, inv, want)
	wantSummary(t, newInventory(t, s), want)
}

// TestStoredNamesThatAreRefusedNow: a worker that was stored under a name that is no longer taken is loaded and may report; when it registers
// again it must have another.
func TestStoredNamesThatAreRefusedNow(t *testing.T) {
	s := newMemory()
	joined := join(t, newInventory(t, s), registration("gpu-1"))
	row := s.workers[joined.Worker.ID]
	row.Name, row.Labels = "gpu-\u202e1", map[string]string{"job": "training"}
	s.workers[row.ID] = row
	inv := newInventory(t, s)
	if !inv.Authenticate(row.ID, joined.Credential) {
		t.Error("its credential isn't taken")
	}
	report(t, inv, row.ID)
	if got := inv.Snapshot().Workers[0]; got.State != fleet.WorkerReady || got.Name != row.Name {
		t.Errorf("%+v", got)
	}
	again := registration("gpu-1")
	again.Name = row.Name
	_, err := inv.Register(t.Context(), again)
	wantError(t, err, fleet.ErrInvalid, "name", "character 5 is U+202E")
	again.Name, again.Labels = "gpu-1", row.Labels
	_, err = inv.Register(t.Context(), again)
	wantError(t, err, fleet.ErrInvalid, `label "job" is reserved`)
	again.Labels = nil
	if id := join(t, inv, again).Worker.ID; id != row.ID {
		t.Errorf("under another name it is worker %d", id)
	}
}
