package inventory_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
)

// ofRun is worker a's registration by another process of its identity.
func ofRun(run, address string) fleet.Registration {
	r := registration("a")
	r.Run, r.Address = run, address
	return r
}

func stop(tb testing.TB, inv *inventory.Inventory, id int64, instances ...fleet.ReportedInstance) {
	tb.Helper()
	if _, err := inv.Report(tb.Context(), id, fleet.Report{Instances: instances, Stopping: true}); err != nil {
		tb.Fatal(err)
	}
}

// Of two live workers with one identity the second is refused as long as the first lives, and the first notices nothing.
func TestSecondWorkerOfAnIdentityIsRefused(t *testing.T) {
	for name, copied := range map[string]fleet.Registration{
		"another address":               ofRun("copy", "10.0.0.2"),
		"another port":                  func() fleet.Registration { r := ofRun("copy", "10.0.0.1"); r.MetricsPort++; return r }(),
		"an older version":              ofRun("", "10.0.0.2"),
		"another name and cluster":      func() fleet.Registration { r := ofRun("copy", "10.0.0.2"); r.Name, r.Cluster = "n", "c"; return r }(),
		"an address that is no address": ofRun("copy", "copy.example"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				inv := newWith(t, inventory.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				first := join(t, inv, ofRun("first", "10.0.0.1"))
				before := ""
				for k := range 40 {
					after := "taken 30s after"
					if k > 1 { // the first one has reported since the second was refused
						after = "taken 2m30s after"
					}
					_, err := inv.Register(t.Context(), copied)
					wantError(t, err, fleet.ErrTwoWorkers, `"a"`, "10.0.0.1:10151", hostPort(copied), "worker.json", "stop one of the two", after)
					if !inv.Authenticate(first.Worker.ID, first.Credential) {
						t.Fatal("the first one's credential does not hold any more")
					}
					report(t, inv, first.Worker.ID, engine("e", "m"))
					if got := summary(inv.Snapshot()); before != "" && got != before {
						t.Fatalf("the inventory changed to\n%s", got)
					} else {
						before = got
					}
					time.Sleep(7 * time.Second)
				}
				if n := strings.Count(log.String(), "a second live worker"); n != 1 {
					t.Errorf("logged %d times:\n%s", n, &log)
				}
				// The first one ends without a word: the second has its place when it would be not ready.
				time.Sleep(143*time.Second - time.Nanosecond)
				_, err := inv.Register(t.Context(), copied)
				wantError(t, err, fleet.ErrTwoWorkers)
				time.Sleep(time.Nanosecond)
				if got := join(t, inv, copied).Worker; got.ID != first.Worker.ID || got.Address != copied.Address {
					t.Errorf("worker = %+v", got)
				}
			})
		})
	}
}

// A worker that ended without a word and comes back elsewhere is refused for as long as it may be a copy: it never reports beside itself.
func TestWorkerThatMovesAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := newInventory(t, newMemory())
		a := join(t, inv, ofRun("1", "10.0.0.1")).Worker.ID
		time.Sleep(10 * time.Second)
		report(t, inv, a, engine("e", "m"))
		for range 3 {
			_, err := inv.Register(t.Context(), ofRun("2", "10.0.0.2"))
			wantError(t, err, fleet.ErrTwoWorkers, "taken 30s after")
			time.Sleep(10 * time.Second)
		}
		if got := join(t, inv, ofRun("2", "10.0.0.2")).Worker; got.ID != a {
			t.Errorf("worker = %+v", got)
		}
	})
}

func hostPort(r fleet.Registration) string {
	if r.MetricsPort == 10152 {
		return r.Address + ":10152"
	}
	return r.Address + ":10151"
}

// A worker that is started again at its place, or that moves after it said that it stops, is taken at once. So is a process that
// registers again from a new address.
func TestRestartIsNoSecondWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := newInventory(t, newMemory())
		a := join(t, inv, ofRun("1", "10.0.0.1")).Worker.ID
		report(t, inv, a, engine("e", "m"))
		for _, r := range []fleet.Registration{ofRun("2", "10.0.0.1"), ofRun("2", "10.0.0.2"), ofRun("", "10.0.0.2"), ofRun("3", "10.0.0.2")} {
			if got := join(t, inv, r).Worker; got.ID != a || got.Address != r.Address {
				t.Errorf("worker = %+v", got)
			}
			report(t, inv, a, engine("e", "m"))
		}
		stop(t, inv, a, engine("e", "m"))
		if got := join(t, inv, ofRun("4", "10.0.0.3")).Worker; got.ID != a {
			t.Errorf("worker = %+v", got)
		}
		// It has joined and lives, though it has not reported yet.
		_, err := inv.Register(t.Context(), ofRun("5", "10.0.0.1"))
		wantError(t, err, fleet.ErrTwoWorkers)
	})
}

// Where two live workers have one address too, the one that was taken over from comes back, and again: it is refused.
func TestTwoWorkersAtOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := newInventory(t, newMemory())
		join(t, inv, ofRun("1", "10.0.0.1"))
		second := join(t, inv, ofRun("2", "10.0.0.1"))
		for range 20 {
			report(t, inv, second.Worker.ID)
			_, err := inv.Register(t.Context(), ofRun("1", "10.0.0.1"))
			wantError(t, err, fleet.ErrTwoWorkers, "10.0.0.1:10151", "either may be the copy", "--worker-ip")
			if !inv.Authenticate(second.Worker.ID, second.Credential) {
				t.Fatal("the credential of the one that goes on does not hold any more")
			}
			time.Sleep(10 * time.Second)
		}
		stop(t, inv, second.Worker.ID)
		join(t, inv, ofRun("1", "10.0.0.1"))
		_, err := inv.Register(t.Context(), ofRun("2", "10.0.0.1"))
		wantError(t, err, fleet.ErrTwoWorkers)
		// Only so many are remembered.
		for k := range 20 {
			join(t, inv, ofRun("again-"+string(rune('a'+k)), "10.0.0.1"))
		}
		join(t, inv, ofRun("1", "10.0.0.1"))
	})
}

// A registration that could not be stored has not made another process the worker.
func TestProcessOfARegistrationThatIsNotStored(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	join(t, inv, ofRun("1", "10.0.0.1"))
	s.setFailApply(errFull)
	_, err := inv.Register(t.Context(), ofRun("2", "10.0.0.1"))
	wantError(t, err, fleet.ErrNotStored)
	s.setFailApply(nil)
	join(t, inv, ofRun("1", "10.0.0.9"))
	_, err = inv.Register(t.Context(), ofRun("2", "10.0.0.1"))
	wantError(t, err, fleet.ErrTwoWorkers)
}

// After the server's own restart a worker that was ready has its time to report again before another one has its place.
func TestSecondWorkerIsRefusedAfterTheServersRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		inv := newInventory(t, s)
		first := join(t, inv, ofRun("1", "10.0.0.1"))
		report(t, inv, first.Worker.ID)
		time.Sleep(time.Hour)
		inv = newInventory(t, s)
		_, err := inv.Register(t.Context(), ofRun("2", "10.0.0.2"))
		wantError(t, err, fleet.ErrTwoWorkers)
		time.Sleep(29 * time.Second)
		report(t, inv, first.Worker.ID)
		_, err = inv.Register(t.Context(), ofRun("2", "10.0.0.2"))
		wantError(t, err, fleet.ErrTwoWorkers)
		stop(t, inv, first.Worker.ID)
		inv = newInventory(t, s)
		join(t, inv, ofRun("2", "10.0.0.2"))
	})
}

// A name is kept for a worker that stops, as in an upgrade, but not from its own machine that was set up anew.
func TestNameOfAWorkerThatStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := newInventory(t, newMemory())
		a := join(t, inv, ofRun("1", "10.0.0.1")).Worker.ID
		report(t, inv, a)
		stop(t, inv, a)
		other, anew := ofRun("2", "10.0.0.2"), ofRun("3", "10.0.0.1")
		other.UUID, anew.UUID = "other", "anew"
		_, err := inv.Register(t.Context(), other)
		wantError(t, err, fleet.ErrNameTaken)
		if got := join(t, inv, anew).Worker; got.ID != a || got.UUID != "anew" {
			t.Errorf("worker = %+v", got)
		}
		report(t, inv, a)
		stop(t, inv, a)
		time.Sleep(150 * time.Second)
		if got := join(t, inv, other).Worker; got.ID != a || got.UUID != "other" {
			t.Errorf("worker = %+v", got)
		}
	})
}

// One that stops is not ready at once, its instances say why, and all of them come back as they were.
func TestWorkerThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		inv := newInventory(t, s)
		a := join(t, inv, ofRun("1", "10.0.0.1")).Worker.ID
		failed := engine("f", "m")
		failed.State, failed.StateMessage = fleet.InstanceError, "no page"
		ids := report(t, inv, a, engine("e", "m"), failed)
		running := summary(inv.Snapshot())
		stop(t, inv, a, engine("e", "m"), failed)
		stopped := `
			cluster 1 default Docker ready
			worker 1 c1 a uuid-a not_ready
			model 1 c1 m vLLM 0.11.0 desired=2
			instance 1 m1 w1 e unreachable
			instance 2 m1 w1 f unreachable
		`
		for _, inv := range []*inventory.Inventory{inv, newInventory(t, s)} { // it is stored
			wantSummary(t, inv, stopped)
			wantMessages(t, inv, "worker stopped", "worker stopped", "worker stopped")
		}
		// What was on its way when it stopped changes nothing.
		_, err := inv.Report(t.Context(), a, fleet.Report{})
		wantError(t, err, fleet.ErrNoWorker, "register again")
		stop(t, inv, a, engine("e", "m"), failed)
		wantSummary(t, inv, stopped)

		time.Sleep(time.Hour)
		join(t, inv, ofRun("2", "10.0.0.1"))
		wantSummary(t, inv, stopped)
		const joined = "worker joined and has not reported yet"
		wantMessages(t, inv, joined, joined, joined)
		if diff := cmp.Diff(ids, report(t, inv, a, engine("e", "m"), failed)); diff != "" {
			t.Errorf("ids (-before +after):\n%s", diff)
		}
		wantSummary(t, inv, running)
		wantMessages(t, inv, "", "", "no page")
	})
}

// What a silent worker's instances say does not change while it is silent.
func TestWhyInstancesOfASilentWorkerAreUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		inv := newInventory(t, s)
		a := join(t, inv, registration("a")).Worker.ID
		report(t, inv, a, engine("e", "m"))
		want := "worker stopped reporting at " + time.Now().UTC().Format(time.RFC3339)
		end := run(t, inv)
		pass(150 * time.Second)
		wantMessages(t, inv, want, want)
		pass(time.Hour)
		wantMessages(t, inv, want, want)
		end()
		wantMessages(t, newInventory(t, s), want, want)
	})
}

// wantMessages compares the state messages of all workers and then all instances.
func wantMessages(t *testing.T, inv *inventory.Inventory, want ...string) {
	t.Helper()
	var got []string
	snapshot := inv.Snapshot()
	for _, w := range snapshot.Workers {
		got = append(got, w.StateMessage)
	}
	for _, in := range snapshot.Instances {
		got = append(got, in.StateMessage)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}
