package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
)

// run runs inv until the returned function is called, which returns when Run has.
func run(t *testing.T, inv *inventory.Inventory) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- inv.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// whileRunning calls test in a synctest bubble, with an inventory that runs on a store in memory.
func whileRunning(t *testing.T, test func(t *testing.T, s *memory, inv *inventory.Inventory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		inv := newInventory(t, s)
		stop := run(t, inv)
		defer stop()
		test(t, s, inv)
	})
}

// pass lets time pass and everything happen that is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func stateOf(inv *inventory.Inventory, id int64) fleet.WorkerState {
	for _, w := range inv.Snapshot().Workers {
		if w.ID == id {
			return w.State
		}
	}
	return "gone"
}

func TestSilentWorkerIsNotReady(t *testing.T) {
	whileRunning(t, func(t *testing.T, s *memory, inv *inventory.Inventory) { //nolint:thelper // the body of a test: its own lines are wanted
		a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
		report(t, inv, a, engine("e", "m"))
		report(t, inv, b, engine("e", "m"))
		for range 20 { // b goes on, a does not
			pass(7 * time.Second)
			report(t, inv, b, engine("e", "m"))
		}
		pass(10*time.Second - time.Nanosecond)
		if got := stateOf(inv, a); got != fleet.WorkerReady {
			t.Errorf("state within the grace period = %s", got)
		}
		pass(time.Nanosecond) // 150 s
		want := `
			cluster 1 default Docker ready
			worker 1 c1 a uuid-a not_ready
			worker 2 c1 b uuid-b ready
			model 1 c1 m vLLM 0.11.0 desired=2
			instance 1 m1 w1 e unreachable
			instance 2 m1 w2 e running
		`
		wantSummary(t, inv, want)
		wantSummary(t, newInventory(t, s), want) // it is stored
		page := writeMetrics(inv)
		for _, line := range []string{
			`gpustack:worker_status{cluster_id="1",cluster_name="default",worker_id="1",worker_name="a",state="not_ready"} 1`,
			`gpustack:worker_heartbeat_age_seconds{cluster_id="1",cluster_name="default",worker_id="1",worker_name="a"} 150`,
			`gpustack:worker_heartbeat_age_seconds{cluster_id="1",cluster_name="default",worker_id="2",worker_name="b"} 10`,
			`gpustack:model_desired_instances{cluster_id="1",cluster_name="default",model_id="1",model_name="m"} 2`,
			`gpustack:model_running_instances{cluster_id="1",cluster_name="default",model_id="1",model_name="m"} 1`,
			`model_instance_name="e",state="unreachable"} 1`,
		} {
			if !strings.Contains(page, line+"\n") {
				t.Errorf("the page lacks %s:\n%s", line, page)
			}
		}
		pass(24 * time.Hour) // a silent worker stays
		if got := stateOf(inv, a); got != fleet.WorkerNotReady {
			t.Errorf("state after a day = %s", got)
		}
		report(t, inv, a, engine("e", "m"))
		if got := summary(inv.Snapshot()); !strings.Contains(got, "worker 1 c1 a uuid-a ready") || !strings.Contains(got, "instance 1 m1 w1 e running") {
			t.Errorf("after a report:\n%s", got)
		}
	})
}

// What a report says that breaks a rule is not believed, not even that its worker lives.
func TestRefusedReportIsNoSignOfLife(t *testing.T) {
	whileRunning(t, func(t *testing.T, s *memory, inv *inventory.Inventory) { //nolint:thelper // the body of a test: its own lines are wanted
		a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
		report(t, inv, a)
		before, page := s.written(), writeMetrics(inv)
		bad := []fleet.Report{
			{AppliedGeneration: 3, Instances: make([]fleet.ReportedInstance, 1)},
			{AppliedGeneration: -1},
			{Instances: []fleet.ReportedInstance{engine("e", "m"), engine("e", "n")}},
		}
		for _, r := range bad {
			for _, id := range []int64{a, b} {
				if _, err := inv.Report(t.Context(), id, r); !errors.Is(err, fleet.ErrInvalid) {
					t.Fatalf("%+v: %v", r, err)
				}
			}
		}
		if got := writeMetrics(inv); got != page {
			t.Errorf("the page changed to\n%s\nfrom\n%s", got, page)
		}
		if s.written() != before {
			t.Error("a refused report was written")
		}
		for range 15 {
			pass(10 * time.Second)
			if _, err := inv.Report(t.Context(), a, bad[0]); err == nil {
				t.Fatal("an empty instance was accepted")
			}
		}
		if got := stateOf(inv, a); got != fleet.WorkerNotReady {
			t.Errorf("state = %s", got)
		}
	})
}

// When the server comes back, workers get one grace period to say so, however long it was away.
func TestRestartGivesAGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		first := newInventory(t, s)
		stop := run(t, first)
		a, b := join(t, first, registration("a")), join(t, first, registration("b"))
		report(t, first, a.Worker.ID, engine("e", "m"))
		report(t, first, b.Worker.ID)
		pass(5 * time.Second)
		report(t, first, b.Worker.ID)
		stop()

		time.Sleep(time.Hour)
		second := newInventory(t, s)
		stop = run(t, second)
		defer stop()
		if !second.Authenticate(a.Worker.ID, a.Credential) {
			t.Error("the credential does not hold after a restart")
		}
		page := writeMetrics(second)
		for _, want := range []string{`worker_id="1",worker_name="a"} 3605`, `worker_id="2",worker_name="b"} 3600`} {
			if !strings.Contains(page, "worker_heartbeat_age_seconds{cluster_id=\"1\",cluster_name=\"default\","+want+"\n") {
				t.Errorf("the page lacks the age of heartbeats before the restart, %s:\n%s", want, page)
			}
		}
		pass(149 * time.Second)
		report(t, second, b.Worker.ID)
		if got := stateOf(second, a.Worker.ID); got != fleet.WorkerReady {
			t.Errorf("state before the grace period ended = %s", got)
		}
		pass(time.Second)
		if a, b := stateOf(second, a.Worker.ID), stateOf(second, b.Worker.ID); a != fleet.WorkerNotReady || b != fleet.WorkerReady {
			t.Errorf("states after the grace period = %s, %s", a, b)
		}
	})
}

func TestModelIsKeptForADayWithoutInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		inv := newInventory(t, s)
		stop := run(t, inv)
		id := join(t, inv, registration("a")).Worker.ID
		report(t, inv, id, engine("e", "m"), engine("f", "kept"))
		pass(time.Hour)
		report(t, inv, id, engine("f", "kept"))
		pass(12 * time.Hour)
		stop()

		inv = newInventory(t, s) // the retention goes on over a restart
		stop = run(t, inv)
		defer stop()
		pass(12*time.Hour - time.Minute)
		if got := summary(inv.Snapshot()); !strings.Contains(got, "model 1 c1 m vLLM 0.11.0 desired=0") {
			t.Errorf("the model is gone too early:\n%s", got)
		}
		pass(time.Minute)
		want := `
			cluster 1 default Docker ready
			worker 1 c1 a uuid-a not_ready
			model 2 c1 kept vLLM 0.11.0 desired=1
			instance 2 m2 w1 f unreachable
		`
		wantSummary(t, inv, want)
		wantSummary(t, newInventory(t, s), want)
		if ids := report(t, inv, id, engine("e", "m")); ids[0].ModelID != 3 {
			t.Errorf("model id = %d; an id must not be given twice", ids[0].ModelID)
		}
		pass(25 * time.Hour) // silent, but its instance is declared: the model stays
		if got := summary(inv.Snapshot()); !strings.Contains(got, "model 3 c1 m") || strings.Contains(got, "kept") {
			t.Errorf("after a day:\n%s", got)
		}
	})
}

func TestHeartbeatsAreWrittenOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		inv := newInventory(t, s)
		stop := run(t, inv)
		const workers = 50
		var ids []int64
		for n := range workers {
			ids = append(ids, join(t, inv, registration(fmt.Sprint("w", n))).Worker.ID)
			report(t, inv, ids[n], engine("e", "m"))
		}
		synctest.Wait()
		before := s.written()
		for range 60 { // ten minutes
			pass(10 * time.Second)
			for _, id := range ids {
				report(t, inv, id, engine("e", "m"))
			}
		}
		if got := s.written() - before; got < 9 || got > 10 {
			t.Errorf("%d writes in ten minutes of heartbeats of %d workers, want one a minute", got, workers)
		}
		pass(time.Second)
		last := time.Now().Add(-time.Second)
		stop() // the last heartbeats are written when the server ends
		for _, w := range newInventory(t, s).Snapshot().Workers {
			if !w.LastReportAt.Equal(last) {
				t.Fatalf("last report of %s = %s, want %s", w.Name, w.LastReportAt, last)
			}
		}
	})
}

func TestStoringIsTriedAgain(t *testing.T) {
	whileRunning(t, func(t *testing.T, s *memory, inv *inventory.Inventory) { //nolint:thelper // the body of a test: its own lines are wanted
		id := join(t, inv, registration("a")).Worker.ID
		report(t, inv, id, engine("e", "m"))
		s.setFail(errors.New("disk is full"))
		pass(150 * time.Second)
		if got := stateOf(inv, id); got != fleet.WorkerNotReady {
			t.Errorf("state = %s; a full disk must not hide a silent worker", got)
		}
		if inv.Err() == nil {
			t.Error("Err = nil while the store fails")
		}
		s.setFail(nil)
		pass(11 * time.Second)
		if err := inv.Err(); err != nil {
			t.Errorf("Err = %v after the store recovered", err)
		}
		if got := stateOf(newInventory(t, s), id); got != fleet.WorkerNotReady {
			t.Errorf("stored state = %s", got)
		}
	})
}

func TestChangedIsSignalledAndCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := newInventory(t, newMemory())
		pass(time.Second)
		changed, unsubscribe := inv.Changed()
		signals := 0
		drain := func() {
			synctest.Wait()
			select {
			case <-changed:
				signals++
			default:
			}
		}
		drain()
		if signals != 0 {
			t.Fatal("signalled before anything changed")
		}
		id := join(t, inv, registration("a")).Worker.ID
		drain()
		if signals != 1 {
			t.Fatalf("%d signals at once after a change, want 1", signals)
		}
		for g := range int64(1000) { // a change each millisecond
			if _, err := inv.Report(t.Context(), id, fleet.Report{AppliedGeneration: g + 1}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
			drain()
		}
		if signals < 10 || signals > 12 {
			t.Errorf("%d signals for a second of changes, want ten", signals)
		}
		pass(time.Second)
		drain()
		before := signals
		report(t, inv, id) // the generation goes back to 0
		drain()
		if signals != before+1 {
			t.Error("a change after quiet times is not signalled at once")
		}
		report(t, inv, id)
		pass(time.Second)
		drain()
		if signals != before+1 {
			t.Error("a heartbeat is signalled")
		}
		unsubscribe()
		join(t, inv, registration("b"))
		pass(time.Second)
		drain()
		if signals != before+1 {
			t.Error("signalled after the subscription ended")
		}
	})
}
