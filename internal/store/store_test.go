package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/store"
)

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func closed(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func apply(t *testing.T, s *store.Store, c fleet.Changes) {
	t.Helper()
	if err := s.Apply(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, s *store.Store) fleet.Records {
	t.Helper()
	r, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	day    = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	sample = fleet.Records{
		Clusters: []fleet.Cluster{
			{ID: 1, Name: "default", Provider: fleet.ProviderDocker, State: fleet.ClusterReady},
			{ID: 2, Name: "südhaus", Provider: fleet.ProviderDocker, State: fleet.ClusterReady},
		},
		Workers: []fleet.WorkerRecord{
			{Worker: fleet.Worker{
				ID: 1, ClusterID: 1, UUID: "u-1", Name: "gpu-1", Address: "127.0.0.1", Loopback: true, MetricsPort: 10151, MetricsScheme: fleet.MetricsHTTPS, ProxyMode: fleet.ProxyDirect,
				State: fleet.WorkerReady, Labels: map[string]string{"rack": `a"b\`, "zone/x": "é"}, Version: "1.2", RegisteredAt: day,
				LastReportAt: day.Add(1500 * time.Millisecond), AppliedGeneration: 7,
			}, CredentialHash: [32]byte{1, 2, 3}, LeftAt: time.UnixMilli(1_700_000_000_123).UTC()},
			{Worker: fleet.Worker{
				ID: 2, ClusterID: 2, UUID: "u-2", Name: "gpu-1", Address: "2001:db8::2", ProxyMode: fleet.ProxyTunnel,
				State: fleet.WorkerNotReady, RegisteredAt: day,
			}},
		},
		Models: []fleet.ModelRecord{
			{Model: fleet.Model{ID: 1, ClusterID: 1, Name: "qwen", Runtime: "vLLM", RuntimeVersion: "0.11.0", Source: "huggingface", SourceKey: "Qwen/Qwen3", Category: "llm"}},
			{Model: fleet.Model{ID: 2, ClusterID: 1, Name: "gone"}, EmptySince: day},
		},
		GPUs: []fleet.WorkerGPUs{{WorkerID: 1, GPUs: []fleet.ReportedGPU{
			{
				Vendor: "ascend", Index: 1, Chip: 1, Name: "Ascend 910", UUID: "u", PCI: "0000:3b:00.0", MemoryTotal: 64 << 30, Driver: "24.1", Firmware: "7",
				State: fleet.GPUMissing, StateMessage: "gone", Action: "reboot", ActionReason: "card is lost", Instances: "a\nb", InstancesKnown: true,
			},
			{Vendor: "nvidia", State: fleet.GPUPresent},
		}}, {WorkerID: 2, GPUs: []fleet.ReportedGPU{}}},
		Instances: []fleet.InstanceRecord{
			{ID: 4, ModelID: 1, WorkerID: 1, Reported: fleet.ReportedInstance{
				Name: "qwen-0", Model: "qwen", URL: "http://127.0.0.1:8000", Runtime: "vLLM",
				RuntimeVersion: "0.11.0", State: fleet.InstanceRunning, StateMessage: "a\nb", Source: "huggingface", SourceKey: "Qwen/Qwen3",
				Category: "llm", RestartCount: 3, LastRestartAt: day,
			}},
			{ID: 5, ModelID: 1, WorkerID: 1, Reported: fleet.ReportedInstance{Name: "qwen-1", Model: "qwen", State: fleet.InstanceStarting, Role: fleet.RolePrefill, Group: "a", Connector: "NixlConnector"}},
			{ID: 6, WorkerID: 1, Reported: fleet.ReportedInstance{Name: "proxy", Runtime: "LiteLLM", State: fleet.InstanceRunning, Role: fleet.RoleRouter, Upstreams: "10.0.0.1:8000 10.0.0.2:8000"}},
		},
	}
	sampleChanges = fleet.Changes{Put: sample, Heartbeats: []fleet.Heartbeat{{WorkerID: 1, At: day.Add(1500 * time.Millisecond), AppliedGeneration: 7}}}
)

func TestInventorySurvivesReopening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if diff := cmp.Diff(fleet.Records{}, load(t, s)); diff != "" {
		t.Errorf("a new database is not empty:\n%s", diff)
	}
	apply(t, s, sampleChanges)
	closed(t, s)
	if diff := cmp.Diff(sample, load(t, open(t, dir))); diff != "" {
		t.Errorf("stored and loaded inventory differ (-want +got):\n%s", diff)
	}
}

// A worker's second report overwrites its first, and nobody else's.
func TestLatestReportSurvivesReopening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	apply(t, s, sampleChanges)
	apply(t, s, fleet.Changes{Heartbeats: []fleet.Heartbeat{{WorkerID: 2, At: day.Add(time.Minute), AppliedGeneration: 1}}})
	apply(t, s, fleet.Changes{Heartbeats: []fleet.Heartbeat{{WorkerID: 2, At: day.Add(time.Hour), AppliedGeneration: 8}}})
	closed(t, s)
	want := slices.Clone(sample.Workers)
	want[1].LastReportAt, want[1].AppliedGeneration = day.Add(time.Hour), 8
	if diff := cmp.Diff(want, load(t, open(t, dir)).Workers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDirectoryNamesMayHoldAnything(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?mode=memory#%41é")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	apply(t, s, sampleChanges)
	closed(t, s)
	info, err := os.Stat(filepath.Join(dir, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the database = %v, want it private", info.Mode())
	}
}

func TestApplyReplacesAndRemoves(t *testing.T) {
	s := open(t, t.TempDir())
	apply(t, s, sampleChanges)

	// Two workers exchange their UUIDs and one moves: no order of single updates could do that.
	w1, w2 := sample.Workers[0], sample.Workers[1]
	w1.UUID, w2.UUID = w2.UUID, w1.UUID
	w2.Name = "gpu-2"
	w2.ClusterID = 1
	moved := sample.Instances[0]
	moved.ModelID, moved.Reported.Model = 2, "gone"
	apply(t, s, fleet.Changes{
		RemovedInstances: []int64{5, 6},
		RemovedModels:    []int64{1},
		Put:              fleet.Records{Workers: []fleet.WorkerRecord{w1, w2}, Instances: []fleet.InstanceRecord{moved}},
	})
	want := fleet.Records{Clusters: sample.Clusters, Workers: []fleet.WorkerRecord{w1, w2}, Models: sample.Models[1:], Instances: []fleet.InstanceRecord{moved}, GPUs: sample.GPUs}
	if diff := cmp.Diff(want, load(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	apply(t, s, fleet.Changes{RemovedInstances: []int64{4}, RemovedWorkers: []int64{1, 2}, RemovedModels: []int64{2}})
	if diff := cmp.Diff(fleet.Records{Clusters: sample.Clusters}, load(t, s)); diff != "" {
		t.Errorf("after removal (-want +got):\n%s", diff)
	}
}

func TestApplyIsAllOrNothing(t *testing.T) {
	s := open(t, t.TempDir())
	apply(t, s, sampleChanges)
	twin := func(w fleet.WorkerRecord, change func(*fleet.WorkerRecord)) fleet.Changes {
		w.ID = 9
		change(&w)
		return fleet.Changes{Put: fleet.Records{Workers: []fleet.WorkerRecord{w}}}
	}
	instance := func(r fleet.InstanceRecord) fleet.Changes {
		r.Reported.State = fleet.InstanceRunning
		return fleet.Changes{Put: fleet.Records{Instances: []fleet.InstanceRecord{r}}}
	}
	for what, c := range map[string]fleet.Changes{
		"an instance of a model that does not exist":  instance(fleet.InstanceRecord{ID: 7, ModelID: 99, WorkerID: 1, Reported: fleet.ReportedInstance{Name: "x"}}),
		"an instance of a worker that does not exist": instance(fleet.InstanceRecord{ID: 7, ModelID: 1, WorkerID: 99, Reported: fleet.ReportedInstance{Name: "x"}}),
		"an instance of a name that its worker has":   instance(fleet.InstanceRecord{ID: 7, ModelID: 1, WorkerID: 1, Reported: fleet.ReportedInstance{Name: "qwen-1"}}),
		"a worker of a UUID that is taken":            twin(sample.Workers[0], func(w *fleet.WorkerRecord) { w.Name = "other" }),
		"a worker of a name that its cluster has":     twin(sample.Workers[0], func(w *fleet.WorkerRecord) { w.UUID = "other" }),
		"a worker of a cluster that does not exist":   twin(sample.Workers[0], func(w *fleet.WorkerRecord) { w.UUID, w.ClusterID = "other", 99 }),
		"a model of a name that its cluster has":      {Put: fleet.Records{Models: []fleet.ModelRecord{{Model: fleet.Model{ID: 9, ClusterID: 1, Name: "qwen"}}}}},
		"a cluster of a name that is taken":           {Put: fleet.Records{Clusters: []fleet.Cluster{{ID: 9, Name: "default"}}}},
		"a report of a worker that does not exist":    {Heartbeats: []fleet.Heartbeat{{WorkerID: 1, At: day.Add(time.Hour)}, {WorkerID: 99, At: day}}},
		"the removal of a worker that has instances":  {RemovedWorkers: []int64{1}},
	} {
		c.RemovedInstances = append(c.RemovedInstances, 4)
		if err := s.Apply(t.Context(), &c); err == nil {
			t.Errorf("stored: %s", what)
		}
		if diff := cmp.Diff(sample, load(t, s)); diff != "" {
			t.Fatalf("%s was refused and left traces (-want +got):\n%s", what, diff)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Apply(ctx, &fleet.Changes{RemovedInstances: []int64{4}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Apply though its context has ended: %v", err)
	}
	if _, err := s.NewIDs(ctx, fleet.IDs{Workers: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("NewIDs though its context has ended: %v", err)
	}
	if _, err := s.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Load though its context has ended: %v", err)
	}
	if _, err := s.AppendGeneration(ctx, nil, day, store.Note{}); !errors.Is(err, context.Canceled) {
		t.Errorf("AppendGeneration though its context has ended: %v", err)
	}
	apply(t, s, fleet.Changes{RemovedInstances: []int64{4}}) // the connection is in order
}

func TestIDsAreNeverGivenTwice(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	got, err := s.NewIDs(t.Context(), fleet.IDs{Workers: 2, Instances: 10})
	if err != nil {
		t.Fatal(err)
	}
	if want := (fleet.IDs{Workers: 1, Instances: 1}); got != want {
		t.Errorf("first ids = %+v, want %+v", got, want)
	}
	closed(t, s) // nothing was stored under those ids
	got, err = open(t, dir).NewIDs(t.Context(), fleet.IDs{Clusters: 1, Workers: 1, Models: 1, Instances: 1})
	if err != nil {
		t.Fatal(err)
	}
	if want := (fleet.IDs{Clusters: 1, Workers: 3, Models: 1, Instances: 11}); got != want {
		t.Errorf("ids after reopening = %+v, want %+v", got, want)
	}
}

func TestGenerations(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{Dir: dir, KeepGenerations: 3})
	if err != nil {
		t.Fatal(err)
	}
	if g, ok, err := s.LatestGeneration(t.Context()); ok || err != nil {
		t.Fatalf("latest of none = %+v, %v, %v", g, ok, err)
	}
	for i, doc := range [][]byte{[]byte(`{"a":1}`), nil, {}, []byte(`{"b":2}`), []byte("{\"c\":\"é\\u0000\"}")} {
		at := day.Add(time.Duration(i)*time.Minute + 123456789)
		g, err := s.AppendGeneration(t.Context(), doc, at, store.Note{})
		if err != nil {
			t.Fatal(err)
		}
		want := store.Generation{Number: int64(i + 1), At: at.Truncate(time.Millisecond), Document: doc}
		if diff := cmp.Diff(want, g); diff != "" {
			t.Errorf("appended (-want +got):\n%s", diff)
		}
		latest, ok, err := s.LatestGeneration(t.Context())
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if diff := cmp.Diff(want, latest); diff != "" {
			t.Errorf("latest (-want +got):\n%s", diff)
		}
	}
	// The newest is the one of the highest number, also when the clock was set back.
	if _, err := s.AppendGeneration(t.Context(), []byte("late"), day.Add(-time.Hour), store.Note{}); err != nil {
		t.Fatal(err)
	}
	if g, _, err := s.LatestGeneration(t.Context()); err != nil || g.Number != 6 || string(g.Document) != "late" {
		t.Errorf("latest after the clock was set back: %d, %v", g.Number, err)
	}
	closed(t, s)
	db := raw(t, dir)
	var n, lowest int
	if err := db.QueryRow("SELECT COUNT(*), MIN(number) FROM mapping_generations").Scan(&n, &lowest); err != nil {
		t.Fatal(err)
	}
	if n != 3 || lowest != 4 {
		t.Errorf("%d generations kept from %d on, want the newest 3", n, lowest)
	}
}

// raw opens the database as another program would.
func raw(t *testing.T, dir string) *sql.DB {
	t.Helper()
	return rawAt(t, filepath.Join(dir, store.FileName))
}

func rawAt(t *testing.T, name string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// One connection does all the work, so that methods that are called at the same time are never in each other's way.
func TestMethodsMayBeCalledAtTheSameTime(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), BusyTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	apply(t, s, sampleChanges)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				_, ids := s.NewIDs(t.Context(), fleet.IDs{Instances: 1})
				_, generation := s.AppendGeneration(t.Context(), nil, day, store.Note{})
				_, read := s.Load(t.Context())
				beat := s.Apply(t.Context(), &fleet.Changes{Heartbeats: []fleet.Heartbeat{{WorkerID: int64(i%2 + 1), At: day}}})
				if err := errors.Join(ids, generation, read, beat); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if g, _, err := s.LatestGeneration(t.Context()); err != nil || g.Number != 160 {
		t.Errorf("generation %d, %v; want 160", g.Number, err)
	}
}

// A transaction of somebody else that ends in time is waited for, and no longer than was told. Time goes on while the store
// waits and only then.
func TestForeignTransactionIsWaitedFor(t *testing.T) {
	const slack = 250 * time.Millisecond // SQLite tries again now and then
	for told, want := range map[time.Duration]time.Duration{
		0: 5 * time.Second, time.Millisecond: time.Millisecond, time.Second: time.Second, time.Minute: time.Minute,
	} {
		t.Run(told.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				s, err := store.Open(t.Context(), store.Options{Dir: dir, BusyTimeout: told})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				other, err := rawAt(t, filepath.Join(dir, store.FileName)+"?_txlock=exclusive").BeginTx(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				took := func(what string, want time.Duration, do func()) {
					t.Helper()
					begin := time.Now()
					do()
					if got := time.Since(begin); got < want || got > want+slack {
						t.Errorf("%s took %s, want %s", what, got, want)
					}
				}
				took("the end of its timeout", want, func() {
					wantError(t, s.Apply(t.Context(), &sampleChanges), store.FileName, "another process has locked it")
				})
				took("the end of its caller's", want/2, func() {
					short, cancel := context.WithTimeout(t.Context(), want/2)
					defer cancel()
					_, err := s.NewIDs(short, fleet.IDs{Workers: 1})
					if wantError(t, err, store.FileName, "deadline exceeded"); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("whoever gives up is told %v", err)
					}
				})
				took("the end of the transaction", want/2, func() {
					time.AfterFunc(want/2, func() { _ = other.Rollback() })
					apply(t, s, sampleChanges)
				})
			})
		})
	}
}

// The log shrinks again after a large write.
func TestLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	log := func() int64 {
		t.Helper()
		info, err := os.Stat(filepath.Join(dir, store.FileName+"-wal"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if _, err := s.AppendGeneration(t.Context(), bytes.Repeat([]byte("x"), 40<<20), day, store.Note{}); err != nil {
		t.Fatal(err)
	}
	if log() < 40<<20 {
		t.Fatalf("the log has %d bytes: the test shows nothing", log())
	}
	for range 3 {
		apply(t, s, sampleChanges)
	}
	if got := log(); got > 17<<20 {
		t.Errorf("the log still has %d MiB", got>>20)
	}
}

func BenchmarkApplyOneReport(b *testing.B) {
	s, err := store.Open(b.Context(), store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if err := s.Apply(b.Context(), &sampleChanges); err != nil {
		b.Fatal(err)
	}
	c := fleet.Changes{Put: fleet.Records{Instances: sample.Instances}}
	for b.Loop() {
		if err := s.Apply(b.Context(), &c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHeartbeats10k(b *testing.B) {
	s, err := store.Open(b.Context(), store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	c := fleet.Changes{Put: fleet.Records{Clusters: sample.Clusters}}
	var beats fleet.Changes
	for i := range int64(10_000) {
		w := sample.Workers[0]
		w.ID, w.UUID, w.Name = i+1, fmt.Sprint("u", i), fmt.Sprint("w", i)
		c.Put.Workers = append(c.Put.Workers, w)
		beats.Heartbeats = append(beats.Heartbeats, fleet.Heartbeat{WorkerID: i + 1, At: day})
	}
	if err := s.Apply(b.Context(), &c); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.Apply(b.Context(), &beats); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendGeneration(b *testing.B) {
	s, err := store.Open(b.Context(), store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	doc := []byte(strings.Repeat("x", 20_000))
	for b.Loop() {
		if _, err := s.AppendGeneration(b.Context(), doc, day, store.Note{}); err != nil {
			b.Fatal(err)
		}
	}
}
