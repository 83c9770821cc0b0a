package store_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/store"
)

// TestFirstSchemaIsBroughtUpToDate: instances of a database from before gateways keep their models.
func TestFirstSchemaIsBroughtUpToDate(t *testing.T) {
	dir := t.TempDir()
	closed(t, open(t, dir)) // makes the file
	db := raw(t, dir)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		"INSERT INTO clusters (id, name, provider, state) VALUES (1, 'default', 'Docker', 'ready')",
		`INSERT INTO workers (id, cluster_id, uuid, name, address, metrics_port, proxy_mode, state, labels, version, registered_at, credential_hash)
			VALUES (1, 1, 'u', 'n', '10.0.0.1', 10151, 'direct', 'ready', '{}', '', 0, '` + "0000000000000000000000000000000000000000000000000000000000000000" + `')`,
		"INSERT INTO models (id, cluster_id, name, runtime, runtime_version, source, source_key, category, empty_since) VALUES (3, 1, 'qwen', '', '', '', '', '', 0)",
		`INSERT INTO instances (id, model_id, worker_id, name, url, runtime, runtime_version, state, state_message, source, source_key, category, restart_count, last_restart_at)
			VALUES (4, 3, 1, 'q-0', 'http://h', 'vLLM', '0.11.0', 'running', 'm', 's', 'k', 'c', 2, 0)`,
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	want := []fleet.InstanceRecord{{ID: 4, ModelID: 3, WorkerID: 1, Reported: fleet.ReportedInstance{
		Name: "q-0", Model: "qwen", URL: "http://h", Runtime: "vLLM", RuntimeVersion: "0.11.0", State: fleet.InstanceRunning,
		StateMessage: "m", Source: "s", SourceKey: "k", Category: "c", RestartCount: 2,
	}}}
	if diff := cmp.Diff(want, load(t, s).Instances); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	apply(t, s, fleet.Changes{Put: fleet.Records{Instances: []fleet.InstanceRecord{{ID: 5, WorkerID: 1, Reported: fleet.ReportedInstance{Name: "proxy", State: fleet.InstanceRunning}}}}})
	if got := load(t, s).Instances; len(got) != 2 || got[1].ModelID != 0 || got[1].Reported.Model != "" {
		t.Errorf("got %+v", got)
	}
}

// TestLoopbackWorkersOfBeforeGoOn: those that were registered under the server's own machine before that needed leave have it.
func TestLoopbackWorkersOfBeforeGoOn(t *testing.T) {
	dir := t.TempDir()
	closed(t, open(t, dir))
	db := raw(t, dir)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO clusters (id, name, provider, state) VALUES (1, 'default', 'Docker', 'ready')"); err != nil {
		t.Fatal(err)
	}
	addresses := []string{"127.0.0.1", "127.0.1.1", "::1", "localhost", "LOCALHOST.", "a.localhost", "10.0.0.1", "2001:db8::1", "gpu-1.example", "localhost.example"}
	const local = 6 // of them
	for k, a := range addresses {
		if _, err := db.ExecContext(t.Context(), `INSERT INTO workers (id, cluster_id, uuid, name, address, metrics_port, proxy_mode, state, labels, version, registered_at, credential_hash)
			VALUES (?, 1, ?, ?, ?, 10151, 'direct', 'ready', '{}', '', 0, '')`, k+1, a, a, a); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	for k, w := range load(t, s).Workers {
		if w.Loopback != (k < local) {
			t.Errorf("%s: loopback = %v", w.Address, w.Loopback)
		}
	}
}

// TestSinceOfBefore: rows from before that was kept have none, and nothing else of them changes.
func TestSinceOfBefore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	at := time.UnixMilli(1_700_000_000_000).UTC()
	worker := fleet.WorkerRecord{Worker: fleet.Worker{
		ID: 1, ClusterID: 1, UUID: "u", Name: "n", Address: "10.0.0.1", MetricsPort: 10151, ProxyMode: fleet.ProxyDirect, State: fleet.WorkerReady, RegisteredAt: at, Since: at,
	}}
	instance := fleet.InstanceRecord{ID: 4, WorkerID: 1, Reported: fleet.ReportedInstance{Name: "e", State: fleet.InstanceError, StateMessage: "answered HTML", Since: at, LastRestartAt: at}}
	apply(t, s, fleet.Changes{Put: fleet.Records{
		Clusters: []fleet.Cluster{{ID: 1, Name: "default", Provider: "Docker", State: fleet.ClusterReady}},
		Workers:  []fleet.WorkerRecord{worker}, Instances: []fleet.InstanceRecord{instance},
	}})
	closed(t, s)
	loaded := func(s *store.Store) (fleet.WorkerRecord, fleet.InstanceRecord) {
		t.Helper()
		r := load(t, s)
		if len(r.Workers) != 1 || len(r.Instances) != 1 || len(r.Faults) != 0 {
			t.Fatalf("got %+v", r)
		}
		return r.Workers[0], r.Instances[0]
	}
	s = open(t, dir)
	gotWorker, gotInstance := loaded(s)
	if diff := cmp.Diff(worker, gotWorker) + cmp.Diff(instance, gotInstance); diff != "" {
		t.Errorf("stored and read (-want +got)\n%s", diff)
	}
	closed(t, s)
	db := raw(t, dir)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	worker.Since, instance.Reported.Since = time.Time{}, time.Time{}
	gotWorker, gotInstance = loaded(open(t, dir))
	if diff := cmp.Diff(worker, gotWorker) + cmp.Diff(instance, gotInstance); diff != "" {
		t.Errorf("from the schema before (-want +got)\n%s", diff)
	}
}

// TestGenerationsOfBeforeNotes: the history of a database from before it had authors and comments is all there, and goes on.
func TestGenerationsOfBeforeNotes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	at := time.UnixMilli(1_700_000_000_000).UTC()
	for _, doc := range [][]byte{[]byte(`{"a":1}`), nil} {
		if _, err := s.AppendGeneration(t.Context(), doc, at, store.Note{Author: "ana", Comment: "why"}); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, s)
	db := raw(t, dir)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	// As the version before wrote it.
	if _, err := db.ExecContext(t.Context(), "INSERT INTO mapping_generations (number, created_at, document) VALUES (3, ?, '{\"b\":2}')", at.UnixMilli()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	want := []store.GenerationInfo{{Number: 3, At: at}, {Number: 2, At: at, Default: true}, {Number: 1, At: at}}
	got, _, err := s.Generations(t.Context(), 0, 10)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if g, ok, err := s.Generation(t.Context(), 1); err != nil || !ok || string(g.Document) != `{"a":1}` {
		t.Errorf("%+v, %v, %v", g, ok, err)
	}
	if g, err := s.AppendGeneration(t.Context(), nil, at, store.Note{Author: "bo"}); err != nil || g.Number != 4 {
		t.Errorf("%+v, %v", g, err)
	}
	if g, ok, err := s.LatestGeneration(t.Context()); err != nil || !ok || g.Author != "bo" || g.Document != nil {
		t.Errorf("%+v, %v, %v", g, ok, err)
	}
}
