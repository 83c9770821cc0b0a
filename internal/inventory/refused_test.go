package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackscope/stackscope/internal/fleet"
)

// Each refused worker is told once, with the other worker, the last time and the reason.
func TestRefusedRegistrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := newInventory(t, newMemory())
		a := join(t, inv, ofRun("1", "10.0.0.1")).Worker.ID
		report(t, inv, a)
		first := time.Now()
		named := registration("a")
		named.UUID, named.Address = "another", "10.0.0.7"
		invalid := registration("bad")
		invalid.Address = "no address"
		for range 3 {
			for _, r := range []fleet.Registration{ofRun("copy", "10.0.0.2"), named, invalid} {
				if _, err := inv.Register(t.Context(), r); err == nil {
					t.Errorf("%+v was let in", r)
				}
			}
			time.Sleep(15 * time.Second)
			report(t, inv, a)
		}
		if err := inv.RemoveWorker(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if _, err := inv.Register(t.Context(), ofRun("1", "10.0.0.1")); !errors.Is(err, fleet.ErrRevoked) {
			t.Error(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = inv.Register(ended, registration("c")) // no refusal

		last := first.Add(30 * time.Second)
		refused := func(name, address, reason string) fleet.RefusedRegistration {
			return fleet.RefusedRegistration{Last: last, Count: 3, Name: name, Cluster: "default", Address: address + ":10151", Reason: reason}
		}
		want := []fleet.RefusedRegistration{
			{Last: time.Now(), Count: 1, Name: "a", Cluster: "default", Address: "10.0.0.1:10151", Reason: fleet.RefusedRevoked},
			refused("bad", "no address", fleet.RefusedInvalid), refused("a", "10.0.0.7", fleet.RefusedNameTaken), refused("a", "10.0.0.2", fleet.RefusedTwoWorkers),
		}
		for k := range want[2:] {
			other := &want[2+k].Other
			other.ID, other.Name = a, "a"
		}
		got := inv.Refused()
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(fleet.RefusedRegistration{}, "Detail")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, r := range got {
			if r.Detail == "" || strings.Contains(r.Detail, "\n") {
				t.Errorf("%+v", r)
			}
		}
	})
}

// The latest 64 are kept, whatever they are called.
func TestRefusedRegistrationsAreBounded(t *testing.T) {
	inv := newInventory(t, newMemory())
	for k := range 200 {
		r := registration(fmt.Sprint(strings.Repeat("\n", k), k, strings.Repeat("x", 3000)))
		r.Address = strings.Repeat("y", 3000)
		_, _ = inv.Register(t.Context(), r)
	}
	list := inv.Refused()
	if len(list) != 64 || !strings.HasPrefix(list[0].Name, "199") || !strings.HasPrefix(list[63].Name, "136") {
		t.Errorf("%d: %.10q to %.10q", len(list), list[0].Name, list[len(list)-1].Name)
	}
	for _, r := range list {
		if len(r.Name) > fleet.MaxName+3 || len(r.Address) > fleet.MaxName+3 || len(r.Detail) > 1030 {
			t.Errorf("%+v", r)
		}
	}
}
