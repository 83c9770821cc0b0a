package inventory_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
)

// revokedLines says in a line each which workers are revoked.
func revokedLines(inv *inventory.Inventory) string {
	var b strings.Builder
	for _, w := range inv.Revoked() {
		fmt.Fprintf(&b, "revoked %d %s\n", w.ID, w.UUID)
	}
	return b.String()
}

// A worker that is alive when it is removed is revoked, also by a server that starts again, until it is allowed.
func TestRemovedWorkerIsKeptOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		inv := newInventory(t, s)
		r := registration("a")
		r.Cluster = "lab"
		a := join(t, inv, r).Worker.ID
		report(t, inv, a, engine("e0", "m"))
		if err := inv.RemoveWorker(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		now := time.Now().UTC()
		want := []fleet.RevokedWorker{{ID: a, UUID: "uuid-a", Name: "a", Cluster: "lab", Address: "a.example", RevokedAt: now}}
		pass(time.Hour)
		for _, inv := range []*inventory.Inventory{inv, newInventory(t, s)} {
			if diff := cmp.Diff(want, inv.Revoked()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for _, name := range []string{"a", "renamed"} {
				r := registration(name)
				r.UUID = "uuid-a"
				_, err := inv.Register(t.Context(), r)
				wantError(t, err, fleet.ErrRevoked, "worker a was removed by an operator at "+now.Format(time.RFC3339)+"; allow it again with "+fmt.Sprintf("stackscope worker allow %d, on the server", a))
			}
			wantSummary(t, inv, "cluster 1 default Docker ready\ncluster 2 lab Docker ready\n")
		}
		// A machine that was set up anew may have the name.
		anew := registration("a")
		anew.UUID = "uuid-anew"
		report(t, inv, join(t, inv, anew).Worker.ID)
		if err := inv.Allow(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		wantError(t, inv.Allow(t.Context(), a), fleet.ErrNoWorker, "worker 1", "stackscope worker list")
		for _, inv := range []*inventory.Inventory{inv, newInventory(t, s)} {
			if got := inv.Revoked(); len(got) != 0 {
				t.Errorf("revoked: %v", got)
			}
		}
		r.Name = "b"
		if got := join(t, inv, r).Worker.ID; got != 3 {
			t.Errorf("it came back as %d", got)
		}
	})
}

// Who can't come back by itself is forgotten.
func TestRemovedWorkerThatIsNotAlive(t *testing.T) {
	for name, c := range map[string]struct {
		silent           time.Duration
		reports, stopped bool
		restart          bool
		want             bool
	}{
		"has joined":               {silent: time.Second, want: true},
		"has joined long ago":      {silent: 151 * time.Second},
		"ready":                    {silent: 149 * time.Second, reports: true, want: true},
		"not ready":                {silent: 151 * time.Second, reports: true},
		"stopped":                  {silent: time.Second, reports: true, stopped: true},
		"ready before a restart":   {silent: time.Second, reports: true, restart: true, want: true},
		"silent before a restart":  {silent: 151 * time.Second, reports: true, restart: true},
		"stopped before a restart": {silent: time.Second, reports: true, stopped: true, restart: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemory()
				inv := newInventory(t, s)
				stop := run(t, inv)
				a := join(t, inv, registration("a")).Worker.ID
				if c.reports {
					report(t, inv, a)
				}
				if c.stopped {
					if _, err := inv.Report(t.Context(), a, fleet.Report{Stopping: true}); err != nil {
						t.Fatal(err)
					}
				}
				pass(c.silent)
				stop()
				if c.restart {
					inv = newInventory(t, s)
				}
				if err := inv.RemoveWorker(t.Context(), a); err != nil {
					t.Fatal(err)
				}
				if got := len(inv.Revoked()) == 1; got != c.want {
					t.Errorf("revoked: %t", got)
				}
				if _, err := inv.Register(t.Context(), registration("a")); (err != nil) != c.want {
					t.Errorf("registered again: %v", err)
				}
			})
		})
	}
}

// What is not ready comes back all the same if it reported a moment ago.
func TestRemovedWorkerThatReportedAMomentAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		inv := newWith(t, inventory.Options{Store: s, HeartbeatGrace: time.Minute})
		stop := run(t, inv)
		a := join(t, inv, registration("a")).Worker.ID
		report(t, inv, a)
		pass(61 * time.Second)
		stop()
		inv = newInventory(t, s) // with a longer grace
		if got := stateOf(inv, a); got != fleet.WorkerNotReady {
			t.Fatalf("state = %s", got)
		}
		if err := inv.RemoveWorker(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if got := revokedLines(inv); got != "revoked 1 uuid-a\n" {
			t.Errorf("revoked: %s", got)
		}
	})
}

// When no more can be revoked, none is allowed for it: a worker that is alive can't be removed.
func TestKeptOutWorkersAreBounded(t *testing.T) {
	s := newMemory()
	inv := newWith(t, inventory.Options{Store: s, MaxRevoked: 1})
	a, b, c := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID, join(t, inv, registration("c")).Worker.ID
	report(t, inv, a)
	report(t, inv, b)
	if _, err := inv.Report(t.Context(), c, fleet.Report{Stopping: true}); err != nil {
		t.Fatal(err)
	}
	if err := inv.RemoveWorker(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	before := shown(inv)
	wantError(t, inv.RemoveWorker(t.Context(), b), fleet.ErrRevokedFull, "worker b is alive", "1 are revoked already, the limit", "stackscope worker allow", "stop this worker")
	if got := shown(inv); got != before {
		t.Errorf("the inventory changed to\n%s", got)
	}
	if err := inv.RemoveWorker(t.Context(), c); err != nil {
		t.Errorf("one that isn't alive: %v", err)
	}
	if err := inv.Allow(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := inv.RemoveWorker(t.Context(), b); err != nil {
		t.Error(err)
	}
	if got := revokedLines(newInventory(t, s)); got != "revoked 2 uuid-b\n" {
		t.Errorf("stored: %s", got)
	}
}

// What isn't stored isn't done: on a full disk nobody is revoked or allowed.
func TestKeepingOutThatCannotBeStored(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
	report(t, inv, a)
	report(t, inv, b)
	if err := inv.RemoveWorker(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	s.setFail(errFull)
	wantError(t, inv.RemoveWorker(t.Context(), a), fleet.ErrNotStored)
	wantError(t, inv.Allow(t.Context(), b), fleet.ErrNotStored)
	if got := revokedLines(inv); got != "revoked 2 uuid-b\n" {
		t.Errorf("revoked:\n%s", got)
	}
	s.setFail(nil)
	join(t, inv, registration("a"))
	_, err := inv.Register(t.Context(), registration("b"))
	wantError(t, err, fleet.ErrRevoked)
	if !strings.Contains(writeStoring(inv), "unsaved_rows 0\n") {
		t.Error(writeStoring(inv))
	}
}

// A name that a shell or the command would take for something else is quoted, and so that two of one name are told apart the id stands
// for each.
func TestRemovedWorkerIsNamedByItsID(t *testing.T) {
	inv := newInventory(t, newMemory())
	for n, name := range []string{"-rf", "17", "a b", "$(x)", "a", "a"} {
		shown := name
		if name != "a" {
			shown = strconv.Quote(name)
		}
		r := registration("x")
		r.Name, r.UUID = name, fmt.Sprint("uuid-", n)
		id := join(t, inv, r).Worker.ID
		report(t, inv, id)
		if err := inv.RemoveWorker(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		_, err := inv.Register(t.Context(), r)
		wantError(t, err, fleet.ErrRevoked, fmt.Sprintf("worker %s was", shown), fmt.Sprintf("stackscope worker allow %d", id))
	}
}
