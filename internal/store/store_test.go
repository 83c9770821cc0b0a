package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
				ID: 1, ClusterID: 1, UUID: "u-1", Name: "gpu-1", Address: "10.0.0.1", MetricsPort: 10151, ProxyMode: fleet.ProxyDirect,
				State: fleet.WorkerReady, Labels: map[string]string{"rack": `a"b\`, "zone/x": "é"}, Version: "1.2", RegisteredAt: day,
				LastReportAt: day.Add(1500 * time.Millisecond), AppliedGeneration: 7,
			}, CredentialHash: [32]byte{1, 2, 3}},
			{Worker: fleet.Worker{
				ID: 2, ClusterID: 2, UUID: "u-2", Name: "gpu-1", Address: "2001:db8::2", ProxyMode: fleet.ProxyTunnel,
				State: fleet.WorkerNotReady, RegisteredAt: day,
			}},
		},
		Models: []fleet.ModelRecord{
			{Model: fleet.Model{ID: 1, ClusterID: 1, Name: "qwen", Runtime: "vLLM", RuntimeVersion: "0.11.0", Source: "huggingface", SourceKey: "Qwen/Qwen3", Category: "llm"}},
			{Model: fleet.Model{ID: 2, ClusterID: 1, Name: "gone"}, EmptySince: day},
		},
		Instances: []fleet.InstanceRecord{
			{ID: 4, ModelID: 1, WorkerID: 1, Reported: fleet.ReportedInstance{
				Name: "qwen-0", Model: "qwen", URL: "http://127.0.0.1:8000", Runtime: "vLLM",
				RuntimeVersion: "0.11.0", State: fleet.InstanceRunning, StateMessage: "a\nb", Source: "huggingface", SourceKey: "Qwen/Qwen3",
				Category: "llm", RestartCount: 3, LastRestartAt: day,
			}},
			{ID: 5, ModelID: 1, WorkerID: 1, Reported: fleet.ReportedInstance{Name: "qwen-1", Model: "qwen", State: fleet.InstanceStarting}},
			{ID: 6, WorkerID: 1, Reported: fleet.ReportedInstance{Name: "proxy", Runtime: "LiteLLM", State: fleet.InstanceRunning}},
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
	want := fleet.Records{Clusters: sample.Clusters, Workers: []fleet.WorkerRecord{w1, w2}, Models: sample.Models[1:], Instances: []fleet.InstanceRecord{moved}}
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
	orphan := fleet.InstanceRecord{ID: 7, ModelID: 99, WorkerID: 1, Reported: fleet.ReportedInstance{Name: "x", State: fleet.InstanceRunning}}
	err := s.Apply(t.Context(), &fleet.Changes{RemovedInstances: []int64{4}, Put: fleet.Records{Instances: []fleet.InstanceRecord{orphan}}})
	if err == nil {
		t.Fatal("an instance of a model that does not exist was stored")
	}
	if diff := cmp.Diff(sample, load(t, s)); diff != "" {
		t.Errorf("a refused change left traces (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Apply(ctx, &fleet.Changes{RemovedInstances: []int64{4}}); err == nil {
		t.Error("Apply ignores that its context has ended")
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
		g, err := s.AppendGeneration(t.Context(), doc, at)
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
	closed(t, s)
	db := raw(t, dir)
	var n, lowest int
	if err := db.QueryRow("SELECT COUNT(*), MIN(number) FROM mapping_generations").Scan(&n, &lowest); err != nil {
		t.Fatal(err)
	}
	if n != 3 || lowest != 3 {
		t.Errorf("%d generations kept from %d on, want the newest 3", n, lowest)
	}
}

// raw opens the database as another program would.
func raw(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("error lacks %q: %s", p, text)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("error has more than one line: %s", text)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	closed(t, open(t, dir))
	db := raw(t, dir)
	if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Options{Dir: dir})
	wantError(t, err, filepath.Join(dir, store.FileName), "schema version 99", "newer stackscope", "backup")
	// The refused file is as it was, and the directory is free again.
	if _, err := raw(t, dir).Exec("DELETE FROM goose_db_version WHERE version_id = 99"); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestDamagedFileIsRefused(t *testing.T) {
	t.Run("no database", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, store.FileName)
		if err := os.WriteFile(path, []byte(strings.Repeat("this is a text ", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(t.Context(), store.Options{Dir: dir})
		wantError(t, err, path, "damaged", "not a database", "backup")
	})
	t.Run("page overwritten", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir)
		c := fleet.Changes{Put: fleet.Records{Clusters: sample.Clusters[:1]}}
		for i := range int64(500) {
			c.Put.Models = append(c.Put.Models, fleet.ModelRecord{Model: fleet.Model{ID: i + 1, ClusterID: 1, Name: fmt.Sprintf("model-%d", i)}})
		}
		apply(t, s, c)
		closed(t, s)
		path := filepath.Join(dir, store.FileName)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := len(data) / 2; i < len(data)/2+8192; i++ {
			data[i] = 0xa5
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = store.Open(t.Context(), store.Options{Dir: dir})
		wantError(t, err, path, "damaged", "backup")
	})
}

func TestUnusableDirectoryIsNamed(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := store.Open(t.Context(), store.Options{Dir: missing})
	wantError(t, err, missing, "--data-dir")

	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, store.FileName), 0o750); err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), store.Options{Dir: dir})
	wantError(t, err, filepath.Join(dir, store.FileName), "cannot be opened for writing", "--data-dir")
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
		if _, err := s.AppendGeneration(b.Context(), doc, day); err != nil {
			b.Fatal(err)
		}
	}
}
