package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
)

// gatedStore lets Apply through when the test says so, with what the test says.
type gatedStore struct {
	*memory
	gated   chan struct{} // closed: the gate is shut from now on
	entered chan struct{}
	verdict chan error
}

func (s *gatedStore) Apply(ctx context.Context, c *fleet.Changes) error {
	select {
	case <-s.gated:
		s.entered <- struct{}{}
		if err := <-s.verdict; err != nil {
			return err
		}
	default:
	}
	return s.memory.Apply(ctx, c)
}

// Changes that wait for the disk at the same time are stored at once, and each is told what became of it.
func TestReportsAreStoredTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &gatedStore{memory: newMemory(), gated: make(chan struct{}), entered: make(chan struct{}), verdict: make(chan error)}
		inv := newInventory(t, s)
		const workers = 20
		var ids []int64
		for n := range workers {
			ids = append(ids, join(t, inv, registration(fmt.Sprint("w", n))).Worker.ID)
			report(t, inv, ids[n], engine("e", "m"))
		}
		close(s.gated)
		changed := func(restarts int) fleet.ReportedInstance {
			in := engine("e", "m")
			in.RestartCount = restarts
			return in
		}
		answers := make([]error, workers)
		answered := 0
		var mu sync.Mutex
		send := func(n, restarts int) {
			go func() {
				err := tryReport(t, inv, ids[n], changed(restarts))
				mu.Lock()
				defer mu.Unlock()
				answers[n] = err
				answered++
			}()
		}
		send(0, 1)
		<-s.entered // the first is being stored
		for n := range workers - 1 {
			send(n+1, 1)
		}
		synctest.Wait()
		// A heartbeat says nothing new, and what the worker said last is not stored: it waits as well.
		beat := make(chan error)
		go func() { beat <- tryReport(t, inv, ids[0], changed(1)) }()
		synctest.Wait()
		if answered != 0 {
			t.Fatalf("%d were answered before they were stored", answered)
		}
		s.verdict <- nil
		synctest.Wait()
		if answered != 1 || answers[0] != nil || <-beat != nil {
			t.Fatalf("%d answered: %v", answered, answers[0])
		}
		<-s.entered // all others
		s.verdict <- errFull
		synctest.Wait()
		if answered != workers {
			t.Fatalf("%d of %d answered after one attempt for all", answered, workers)
		}
		for n, err := range answers[1:] {
			if !errors.Is(err, fleet.ErrNotStored) {
				t.Errorf("worker %d: %v", n+1, err)
			}
		}
		send(1, 1) // the same again, which is no news
		<-s.entered
		s.verdict <- nil
		synctest.Wait()
		if answers[1] != nil {
			t.Errorf("when it is stored: %v", answers[1])
		}
		for n := range workers {
			if err := tryReport(t, inv, ids[n], changed(1)); err != nil {
				t.Errorf("worker %d, whose change was stored with that of another: %v", n, err)
			}
		}
	})
}

// That storing fails and works again is found out without a request, also when nothing was changed.
func TestStoringIsProbed(t *testing.T) {
	whileRunning(t, func(t *testing.T, s *memory, inv *inventory.Inventory) { //nolint:thelper // the body of a test: its own lines are wanted
		pass(time.Second)
		for name, fail := range map[string]func(){
			"ids":             func() { _, _ = inv.Register(t.Context(), registration("a")) },
			"somebody else's": func() { inv.RecordStoreFailure(t.Context(), errFull) },
			"a client that left": func() {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				_, _ = inv.Register(ctx, registration("a"))
				inv.RecordStoreFailure(ctx, errFull)
			},
		} {
			s.setFail(errFull)
			fail()
			if inv.Err() == nil {
				t.Errorf("%s: Err = nil", name)
			}
			pass(time.Minute)
			if inv.Err() == nil {
				t.Errorf("%s: Err = nil while the store fails", name)
			}
			s.setFail(nil)
			pass(11 * time.Second)
			if err := inv.Err(); err != nil {
				t.Errorf("%s: Err = %v after the store recovered", name, err)
			}
		}
		if n := len(inv.Snapshot().Workers); n != 0 {
			t.Errorf("%d workers", n)
		}
	})
}

// Requests whose clients leave don't put off the next attempt to store.
func TestImpatientClientsDoNotPutOffStoring(t *testing.T) {
	whileRunning(t, func(t *testing.T, s *memory, inv *inventory.Inventory) { //nolint:thelper // the body of a test: its own lines are wanted
		id := join(t, inv, registration("a")).Worker.ID
		s.setFail(errFull)
		wantError(t, tryReport(t, inv, id), fleet.ErrNotStored)
		s.setFail(nil)
		for range 6 {
			pass(2 * time.Second)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, _ = inv.Report(ctx, id, fleet.Report{})
		}
		if err := inv.Err(); err != nil {
			t.Errorf("Err = %v", err)
		}
	})
}

// What a report says while something else is being stored is not taken for stored with it.
func TestNewsDuringAChange(t *testing.T) {
	for _, verdict := range []error{errFull, nil} {
		synctest.Test(t, func(t *testing.T) {
			s := &gatedStore{memory: newMemory(), gated: make(chan struct{}), entered: make(chan struct{}), verdict: make(chan error)}
			inv := newInventory(t, s)
			a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
			close(s.gated)
			removed, reported := make(chan error, 1), make(chan error, 1)
			go func() { removed <- inv.RemoveWorker(t.Context(), a) }()
			<-s.entered
			if stateOf(inv, a) == "gone" {
				t.Error("the removal is shown before it is stored")
			}
			go func() { reported <- tryReport(t, inv, b) }()
			synctest.Wait()
			s.verdict <- verdict
			if err := <-removed; !errors.Is(err, verdict) {
				t.Errorf("removal: %v", err)
			}
			<-s.entered // the report
			if len(reported) != 0 {
				t.Error("the report was answered before it was stored")
			}
			s.verdict <- nil
			if err := <-reported; err != nil {
				t.Errorf("report: %v", err)
			}
			want := "cluster 1 default Docker ready\nworker 1 c1 a uuid-a not_ready\nworker 2 c1 b uuid-b ready\n"
			if verdict == nil {
				want = "cluster 1 default Docker ready\nworker 2 c1 b uuid-b ready\n"
			}
			wantSummary(t, inv, want)
			wantSummary(t, newInventory(t, s), want)
		})
	}
}

// What happens is logged once, and what was refused isn't logged as done.
func TestEventsAreLoggedWhenTheyHappen(t *testing.T) {
	var log strings.Builder
	s := newMemory()
	inv := newWith(t, inventory.Options{Store: s, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	r := registration("a")
	r.Cluster = "new"
	for _, fail := range []error{errFull, nil} {
		s.setFailApply(fail)
		if _, err := inv.Register(t.Context(), r); !errors.Is(err, fail) {
			t.Fatal(err)
		}
	}
	id := inv.Snapshot().Workers[0].ID
	for _, fail := range []error{errFull, nil} {
		s.setFailApply(fail)
		if err := inv.RemoveWorker(t.Context(), id); !errors.Is(err, fail) {
			t.Fatal(err)
		}
	}
	for msg, times := range map[string]int{"cluster made": 1, "worker joined": 1, "worker removed": 1, "cannot be stored": 2, "is stored again": 2} {
		if n := strings.Count(log.String(), msg); n != times {
			t.Errorf("%q is logged %d times, want %d:\n%s", msg, n, times, log.String())
		}
	}
}
