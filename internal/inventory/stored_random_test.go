package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/fleet"
)

// Whatever happens in whatever order on a disk that is full now and then, what was acknowledged is stored, what was refused
// has changed nothing, and when storing works again, what is stored is what is shown.
func TestWhatIsAcknowledgedIsStored(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := newMemory()
		inv := newInventory(t, s)
		credentials := map[int64]string{}
		revoked := map[string]int64{} // by uuid: the id of the worker that was removed while it was alive
		some := func(n int) string { return string(rune('a' + rnd.IntN(n))) }
		for step := range 60 {
			switch rnd.IntN(4) {
			case 0:
				s.setFail(errFull)
			case 1:
				s.setFailApply(errFull)
			default:
				s.setFail(nil)
				s.setFailApply(nil)
			}
			before := shown(inv) + revokedLines(inv)
			switch rnd.IntN(5) {
			case 0:
				r := registration(some(5))
				r.UUID, r.Cluster = "uuid-"+some(5), "cluster-"+some(2)
				r.Run, r.Version = "run-"+r.UUID, "1."+some(2)
				j, err := inv.Register(t.Context(), r)
				if _, ok := revoked[r.UUID]; ok != errors.Is(err, fleet.ErrRevoked) {
					t.Fatalf("seed %d, step %d: registered with %v, and revoked is %v", seed, step, err, revoked)
				}
				if err == nil {
					credentials[j.Worker.ID] = j.Credential
					if !newInventory(t, s).Authenticate(j.Worker.ID, j.Credential) {
						t.Fatalf("seed %d, step %d: a credential was given that is not stored", seed, step)
					}
				} else if got := shown(inv) + revokedLines(inv); got != before {
					t.Fatalf("seed %d, step %d: refused with %v, and the inventory changed from\n%s\nto\n%s", seed, step, err, before, got)
				}
			case 1:
				workers := inv.Snapshot().Workers
				if len(workers) == 0 {
					continue
				}
				w := workers[rnd.IntN(len(workers))]
				id := w.ID
				if err := inv.RemoveWorker(t.Context(), id); err != nil {
					if got := shown(inv) + revokedLines(inv); got != before {
						t.Fatalf("seed %d, step %d: refused with %v, and the inventory changed from\n%s\nto\n%s", seed, step, err, before, got)
					}
				} else if got := stateOf(newInventory(t, s), id); got != "gone" {
					t.Fatalf("seed %d, step %d: worker %d was removed and is stored", seed, step, id)
				} else if !strings.HasPrefix(w.StateMessage, "worker stopped") {
					revoked[w.UUID] = id
				}
			case 2:
				uuid := "uuid-" + some(5)
				id, ok := revoked[uuid]
				err := inv.Allow(t.Context(), id)
				switch {
				case err == nil && ok:
					delete(revoked, uuid)
				case ok != errors.Is(err, fleet.ErrNotStored):
					t.Fatalf("seed %d, step %d: allowing %d: %v, and revoked is %v", seed, step, id, err, revoked)
				default:
					if got := shown(inv) + revokedLines(inv); got != before {
						t.Fatalf("seed %d, step %d: refused with %v, and the inventory changed from\n%s\nto\n%s", seed, step, err, before, got)
					}
				}
			default:
				workers := inv.Snapshot().Workers
				if len(workers) == 0 {
					continue
				}
				id := workers[rnd.IntN(len(workers))].ID
				var said []fleet.ReportedInstance
				for k := range rnd.IntN(3) {
					in := engine(fmt.Sprint("e", k), "m"+some(3))
					in.RuntimeVersion, in.RestartCount = "0."+some(3), rnd.IntN(2)
					said = append(said, in)
				}
				if _, err := inv.Report(t.Context(), id, fleet.Report{Instances: said, GPUs: someGPUs(rnd), Stopping: rnd.IntN(8) == 0}); err == nil {
					var stored, shown []string
					for line := range strings.Lines(summary(newInventory(t, s).Snapshot())) {
						if strings.Contains(line, fmt.Sprintf(" w%d ", id)) || strings.HasPrefix(line, fmt.Sprintf("worker %d ", id)) {
							stored = append(stored, line)
						}
					}
					for line := range strings.Lines(summary(inv.Snapshot())) {
						if strings.Contains(line, fmt.Sprintf(" w%d ", id)) || strings.HasPrefix(line, fmt.Sprintf("worker %d ", id)) {
							shown = append(shown, line)
						}
					}
					if a, b := strings.Join(stored, ""), strings.Join(shown, ""); a != b {
						t.Fatalf("seed %d, step %d: acknowledged is\n%s\nstored is\n%s", seed, step, b, a)
					}
				}
			}
			var want strings.Builder
			for _, id := range slices.Sorted(maps.Values(revoked)) {
				fmt.Fprintf(&want, "revoked %d", id)
				for uuid, of := range revoked {
					if of == id {
						fmt.Fprintln(&want, "", uuid)
					}
				}
			}
			if a, b := revokedLines(inv), revokedLines(newInventory(t, s)); a != want.String() || b != a {
				t.Fatalf("seed %d, step %d: revoked is\n%s\nstored is\n%s\nwant\n%s", seed, step, a, b, &want)
			}
			for id, credential := range credentials {
				if stateOf(inv, id) != "gone" && !inv.Authenticate(id, credential) {
					t.Fatalf("seed %d, step %d: the credential that worker %d was given last does not hold", seed, step, id)
				}
			}
		}
		s.setFail(nil)
		s.setFailApply(nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := inv.Run(ctx); err != nil {
			t.Fatal(err)
		}
		after := newInventory(t, s)
		if a, b := summary(inv.Snapshot()), summary(after.Snapshot()); a != b {
			t.Fatalf("seed %d: shown is\n%s\nstored is\n%s", seed, a, b)
		}
	}
}
