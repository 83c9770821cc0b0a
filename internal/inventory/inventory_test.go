package inventory_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
)

// memory is a store that forgets when the test ends.
type memory struct {
	mu        sync.Mutex
	last      fleet.IDs
	clusters  map[int64]fleet.Cluster
	workers   map[int64]fleet.WorkerRecord
	models    map[int64]fleet.ModelRecord
	instances map[int64]fleet.InstanceRecord
	beats     map[int64]fleet.Heartbeat
	revoked   map[int64]fleet.RevokedWorker
	gpus      map[int64]fleet.WorkerGPUs
	writes    int   // calls that changed something
	fail      error // what all calls that write answer, if not nil
	failApply error // what Apply alone answers, if not nil
}

func newMemory() *memory {
	return &memory{
		clusters: make(map[int64]fleet.Cluster), workers: make(map[int64]fleet.WorkerRecord), models: make(map[int64]fleet.ModelRecord),
		instances: make(map[int64]fleet.InstanceRecord), beats: make(map[int64]fleet.Heartbeat),
		revoked: make(map[int64]fleet.RevokedWorker), gpus: make(map[int64]fleet.WorkerGPUs),
	}
}

func sorted[T any](m map[int64]T) []T {
	var out []T
	for _, id := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[id])
	}
	return out
}

func (m *memory) Load(context.Context) (fleet.Records, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := fleet.Records{Clusters: sorted(m.clusters), Workers: sorted(m.workers), Models: sorted(m.models), Instances: sorted(m.instances), Revoked: sorted(m.revoked), GPUs: sorted(m.gpus)}
	for k := range r.Workers {
		h := m.beats[r.Workers[k].ID]
		r.Workers[k].LastReportAt, r.Workers[k].AppliedGeneration = h.At.Round(0), h.AppliedGeneration
	}
	return r, nil
}

func (m *memory) NewIDs(_ context.Context, want fleet.IDs) (fleet.IDs, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return fleet.IDs{}, m.fail
	}
	m.writes++
	first := fleet.IDs{Clusters: m.last.Clusters + 1, Workers: m.last.Workers + 1, Models: m.last.Models + 1, Instances: m.last.Instances + 1}
	m.last.Clusters += want.Clusters
	m.last.Workers += want.Workers
	m.last.Models += want.Models
	m.last.Instances += want.Instances
	return first, nil
}

func put[T any](to map[int64]T, removed []int64, rows []T, id func(T) int64) {
	for _, r := range removed {
		delete(to, r)
	}
	for _, r := range rows {
		to[id(r)] = r
	}
}

func (m *memory) Apply(_ context.Context, c *fleet.Changes) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := cmp.Or(m.fail, m.failApply); err != nil {
		return err
	}
	m.writes++
	put(m.clusters, nil, c.Put.Clusters, func(r fleet.Cluster) int64 { return r.ID })
	put(m.workers, c.RemovedWorkers, c.Put.Workers, func(r fleet.WorkerRecord) int64 { return r.ID })
	put(m.models, c.RemovedModels, c.Put.Models, func(r fleet.ModelRecord) int64 { return r.ID })
	put(m.instances, c.RemovedInstances, c.Put.Instances, func(r fleet.InstanceRecord) int64 { return r.ID })
	put(m.revoked, c.RemovedRevoked, c.Put.Revoked, func(r fleet.RevokedWorker) int64 { return r.ID })
	put(m.gpus, c.RemovedWorkers, c.Put.GPUs, func(r fleet.WorkerGPUs) int64 { return r.WorkerID })
	maps.DeleteFunc(m.gpus, func(_ int64, r fleet.WorkerGPUs) bool { return r.GPUs == nil })
	put(m.beats, c.RemovedWorkers, c.Heartbeats, func(h fleet.Heartbeat) int64 { return h.WorkerID })
	return nil
}

func (m *memory) setFail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func (m *memory) setFailApply(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failApply = err
}

func (m *memory) written() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

func newInventory(tb testing.TB, s inventory.Store) *inventory.Inventory {
	tb.Helper()
	return newWith(tb, inventory.Options{Store: s})
}

func newWith(tb testing.TB, opts inventory.Options) *inventory.Inventory {
	tb.Helper()
	if opts.Store == nil {
		opts.Store = newMemory()
	}
	inv, err := inventory.New(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	return inv
}

// registration is that of a worker called name, always of the same run.
func registration(name string) fleet.Registration {
	return fleet.Registration{UUID: "uuid-" + name, Name: name, Address: name + ".example", MetricsPort: 10151, Run: "run-" + name}
}

func join(tb testing.TB, inv *inventory.Inventory, r fleet.Registration) fleet.Joined {
	tb.Helper()
	j, err := inv.Register(tb.Context(), r)
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

func report(tb testing.TB, inv *inventory.Inventory, id int64, instances ...fleet.ReportedInstance) []fleet.ReportedIDs {
	tb.Helper()
	ids, err := inv.Report(tb.Context(), id, fleet.Report{Instances: instances})
	if err != nil {
		tb.Fatal(err)
	}
	return ids
}

// engine is an instance that runs vLLM 0.11.0.
func engine(name, model string) fleet.ReportedInstance {
	return fleet.ReportedInstance{Name: name, Model: model, State: fleet.InstanceRunning, Runtime: "vLLM", RuntimeVersion: "0.11.0"}
}

// summary says in a line each what the snapshot holds.
func summary(s *fleet.Snapshot) string {
	var b strings.Builder
	for _, c := range s.Clusters {
		fmt.Fprintf(&b, "cluster %d %s %s %s\n", c.ID, c.Name, c.Provider, c.State)
	}
	for _, w := range s.Workers {
		fmt.Fprintf(&b, "worker %d c%d %s %s %s\n", w.ID, w.ClusterID, w.Name, w.UUID, w.State)
	}
	for _, m := range s.Models {
		fmt.Fprintf(&b, "model %d c%d %s %s %s desired=%d\n", m.ID, m.ClusterID, m.Name, m.Runtime, m.RuntimeVersion, m.DesiredInstances)
	}
	for _, in := range s.Instances {
		fmt.Fprintf(&b, "instance %d m%d w%d %s %s\n", in.ID, in.ModelID, in.WorkerID, in.Name, in.State)
	}
	for _, g := range s.GPUs {
		fmt.Fprintf(&b, "gpu %s w%d %s %s %v\n", g.ID, g.WorkerID, g.Name, g.State, g.Holders)
	}
	return b.String()
}

func wantSummary(t *testing.T, inv *inventory.Inventory, want string) {
	t.Helper()
	want = strings.TrimLeft(strings.ReplaceAll(want, "\t", ""), "\n")
	if got := summary(inv.Snapshot()); got != want {
		t.Errorf("inventory is\n%swant\n%s", got, want)
	}
}

func wantError(t *testing.T, err, kind error, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error = %v, want %v", err, kind)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error lacks %q: %v", p, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has more than one line: %v", err)
	}
}

func TestSnapshotsAreImmutable(t *testing.T) {
	inv := newInventory(t, newMemory())
	labels := map[string]string{"rack": "7"}
	r := registration("a")
	r.Labels = labels
	id := join(t, inv, r).Worker.ID
	report(t, inv, id, engine("e0", "m"))
	before := inv.Snapshot()
	text := summary(before)
	labels["rack"] = "8"
	report(t, inv, id, engine("e1", "n"))
	join(t, inv, registration("b"))
	if got := summary(before); got != text {
		t.Errorf("an old snapshot changed to\n%s", got)
	}
	if got := before.Workers[0].Labels["rack"]; got != "7" {
		t.Errorf("label of an old snapshot = %s", got)
	}
	after := inv.Snapshot()
	if after == before {
		t.Error("the snapshot is the old one")
	}
	if again := inv.Snapshot(); again != after {
		t.Error("the snapshot is built anew although nothing changed")
	}
}

func TestWorkIsSafeInParallel(t *testing.T) {
	inv := newInventory(t, newMemory())
	ctx, cancel := context.WithCancel(t.Context())
	var running, wg sync.WaitGroup
	running.Go(func() {
		if err := inv.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	const workers, rounds = 8, 20
	for n := range workers {
		wg.Go(func() {
			j, err := inv.Register(ctx, registration(fmt.Sprint("w", n)))
			if err != nil {
				t.Error(err)
				return
			}
			for k := range rounds {
				if _, err := inv.Report(ctx, j.Worker.ID, fleet.Report{Instances: []fleet.ReportedInstance{
					engine("same", "shared"), engine(fmt.Sprint("e", k/3), fmt.Sprint("m", k%5)),
				}}); err != nil {
					t.Error(err)
				}
				_ = inv.Snapshot()
				_ = inv.Authenticate(j.Worker.ID, j.Credential)
			}
		})
	}
	wg.Wait()
	cancel()
	running.Wait()
	s := inv.Snapshot()
	if len(s.Workers) != workers || len(s.Instances) != 2*workers {
		t.Errorf("%d workers with %d instances, want %d with %d", len(s.Workers), len(s.Instances), workers, 2*workers)
	}
	names := make(map[string]bool)
	for _, m := range s.Models {
		if names[m.Name] {
			t.Errorf("model %s twice", m.Name)
		}
		names[m.Name] = true
	}
	if !slices.IsSortedFunc(s.Instances, func(a, b fleet.Instance) int { return int(a.ID - b.ID) }) {
		t.Error("instances are not sorted by id")
	}
}

func TestContextEndsTheWait(t *testing.T) {
	s := &slowStore{memory: newMemory(), entered: make(chan struct{}, 1), leave: make(chan struct{})}
	inv := newInventory(t, s)
	s.slow.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := inv.Register(t.Context(), registration("a")); err != nil {
			t.Error(err)
		}
	})
	<-s.entered
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := inv.Register(ctx, registration("b")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want that of the context", err)
	}
	_ = inv.Snapshot() // readers never wait for the store
	close(s.leave)
	wg.Wait()
}
