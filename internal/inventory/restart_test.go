package inventory_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
	"github.com/stackscope/stackscope/internal/store"
)

var _ inventory.Store = (*store.Store)(nil)

// With the real database, what was known before is known after.
func TestInventoryComesBackFromTheDatabase(t *testing.T) {
	dir := t.TempDir()
	open := func() (*inventory.Inventory, *store.Store) {
		s, err := store.Open(t.Context(), store.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return newInventory(t, s), s
	}
	inv, s := open()
	r := registration("a")
	r.Labels = map[string]string{"rack": "7"}
	a, b := join(t, inv, r), join(t, inv, registration("b"))
	report(t, inv, a.Worker.ID, engine("e0", "m"), engine("e1", "n"), engine("e2", "m"))
	report(t, inv, b.Worker.ID, engine("e0", "m"), engine("gateway", ""))
	report(t, inv, a.Worker.ID, engine("e2", "m"), engine("e3", "o"))
	r.Cluster = "other"
	a = join(t, inv, r)
	report(t, inv, a.Worker.ID, engine("e2", "m"), engine("gateway", ""))
	if err := inv.RemoveWorker(t.Context(), b.Worker.ID); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := inv.Run(ctx); err != nil { // stores the heartbeats
		t.Fatal(err)
	}
	before := *inv.Snapshot()
	if err := inv.Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	inv, _ = open()
	after := *inv.Snapshot()
	for _, snapshot := range []*fleet.Snapshot{&before, &after} { // stored to the millisecond
		for k := range snapshot.Workers {
			w := &snapshot.Workers[k]
			w.RegisteredAt, w.LastReportAt = w.RegisteredAt.Truncate(1e6).UTC(), w.LastReportAt.Truncate(1e6)
		}
		snapshot.At = before.At
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	if !inv.Authenticate(a.Worker.ID, a.Credential) {
		t.Error("the credential does not hold after a restart")
	}
	_, err := inv.Register(t.Context(), registration("b"))
	wantError(t, err, fleet.ErrRevoked) // it was alive when it was removed
	if err := inv.Allow(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if got := join(t, inv, registration("b")).Worker.ID; got != 3 {
		t.Errorf("id = %d, want a new one", got)
	}
}
