package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/store"
)

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
	known, err := os.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	last, _, _ := strings.Cut(known[len(known)-1].Name(), "_")
	newest, err := strconv.Atoi(last)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []int{newest + 1, 99} {
		db := raw(t, dir)
		if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, 1)", version); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(t.Context(), store.Options{Dir: dir})
		wantError(t, err, filepath.Join(dir, store.FileName), fmt.Sprint("schema version ", version), "newer stackscope", "backup")
		// The refused file is as it was, and the directory is free again.
		if _, err := raw(t, dir).Exec("DELETE FROM goose_db_version WHERE version_id = ?", version); err != nil {
			t.Fatal(err)
		}
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
		if !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%v is not ErrDamaged", err)
		}
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
		if !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%v is not ErrDamaged", err)
		}
	})
}

// Damage that comes while the server runs is an error, not an inventory that lacks something.
func TestDamageIsFoundWhileReading(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	c := fleet.Changes{Put: fleet.Records{Clusters: sample.Clusters[:1]}}
	for i := range int64(20_000) { // much more than SQLite keeps in memory
		c.Put.Models = append(c.Put.Models, fleet.ModelRecord{Model: fleet.Model{ID: i + 1, ClusterID: 1, Name: fmt.Sprintf("%0400d", i)}})
	}
	apply(t, s, c)
	closed(t, s)
	s = open(t, dir)
	path := filepath.Join(dir, store.FileName)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 1<<20), info.Size()/4); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := s.Load(t.Context())
	if err == nil {
		t.Fatalf("%d of 20000 models were read from a damaged file", len(r.Models))
	}
	wantError(t, err, path, "damaged", "backup")
}

// A damaged row costs no other one, whatever somebody wrote into it by hand, and it is said which one it is.
func TestDamagedRows(t *testing.T) {
	worker := func(do func(*fleet.WorkerRecord)) func(*fleet.Records) {
		return func(r *fleet.Records) { do(&r.Workers[0]) }
	}
	instance := func(do func(*fleet.ReportedInstance)) func(*fleet.Records) {
		return func(r *fleet.Records) { do(&r.Instances[0].Reported) }
	}
	unhashed := worker(func(w *fleet.WorkerRecord) { w.CredentialHash = [32]byte{} })
	unlabelled := worker(func(w *fleet.WorkerRecord) { w.Labels = nil })
	for statement, c := range map[string]struct {
		fault string // KIND ID: a part of the detail
		want  func(*fleet.Records)
	}{
		"UPDATE workers SET credential_hash = '' WHERE id = 1":                                {"worker 1: credential_hash", unhashed},
		"UPDATE workers SET credential_hash = 'abcd' WHERE id = 1":                            {"worker 1: credential_hash", unhashed},
		"UPDATE workers SET credential_hash = credential_hash || 'ab' WHERE id = 1":           {"worker 1: credential_hash", unhashed},
		"UPDATE workers SET credential_hash = 'x' || substr(credential_hash, 2) WHERE id = 1": {"worker 1: credential_hash", unhashed},
		"UPDATE workers SET labels = '' WHERE id = 1":                                         {"worker 1: labels", unlabelled},
		"UPDATE workers SET labels = '{' WHERE id = 1":                                        {"worker 1: labels", unlabelled},
		"UPDATE workers SET labels = '[]' WHERE id = 1":                                       {"worker 1: labels", unlabelled},
		"UPDATE workers SET labels = '{\"a\": 1}' WHERE id = 1":                               {"worker 1: labels", unlabelled},
		"UPDATE workers SET labels = CAST(x'7b2261223a22ff227d' AS TEXT) WHERE id = 1":        {"worker 1: labels", unlabelled},
		"UPDATE workers SET state = 'asleep' WHERE id = 1":                                    {`worker 1: state is "asleep"`, worker(func(w *fleet.WorkerRecord) { w.State = fleet.WorkerNotReady })},
		"UPDATE workers SET proxy_mode = x'00' WHERE id = 1":                                  {"worker 1: proxy_mode", func(*fleet.Records) {}},
		"UPDATE workers SET metrics_port = 'http' WHERE id = 1":                               {`worker 1: metrics_port is "http"`, worker(func(w *fleet.WorkerRecord) { w.MetricsPort = 0 })},
		"UPDATE workers SET metrics_port = 70000 WHERE id = 1":                                {"worker 1: metrics_port is 70000", worker(func(w *fleet.WorkerRecord) { w.MetricsPort = 0 })},
		"UPDATE workers SET loopback = 'x' WHERE id = 1":                                      {"worker 1: loopback", worker(func(w *fleet.WorkerRecord) { w.Loopback = false })},
		"UPDATE workers SET registered_at = 'x' WHERE id = 1":                                 {"worker 1: registered_at", worker(func(w *fleet.WorkerRecord) { w.RegisteredAt = time.Time{} })},
		"UPDATE workers SET name = x'ff41' WHERE id = 1":                                      {"worker 1: name", worker(func(w *fleet.WorkerRecord) { w.Name = "\ufffdA" })},
		"UPDATE worker_heartbeats SET last_report_at = 'x' WHERE worker_id = 1":               {"worker 1: last_report_at", worker(func(w *fleet.WorkerRecord) { w.LastReportAt = time.Time{} })},
		"UPDATE worker_heartbeats SET applied_generation = 1.5 WHERE worker_id = 1":           {"worker 1: applied_generation", worker(func(w *fleet.WorkerRecord) { w.AppliedGeneration = 0 })},
		"UPDATE workers SET cluster_id = 'x' WHERE id = 1":                                    {"worker 1: ", func(r *fleet.Records) { r.Workers = r.Workers[1:] }},
		"UPDATE clusters SET state = 'x' WHERE id = 1":                                        {"cluster 1: state", func(*fleet.Records) {}},
		"UPDATE models SET cluster_id = 'x' WHERE id = 1":                                     {"model 1: ", func(r *fleet.Records) { r.Models = r.Models[1:] }},
		"UPDATE models SET empty_since = 'x' WHERE id = 2":                                    {"model 2: empty_since", func(r *fleet.Records) { r.Models[1].EmptySince = time.Time{} }},
		"UPDATE instances SET state = 'asleep' WHERE id = 4":                                  {"instance 4: state", instance(func(in *fleet.ReportedInstance) { in.State = fleet.InstanceUnreachable })},
		"UPDATE instances SET restart_count = -1, url = CAST(x'68ff' AS TEXT) WHERE id = 4":   {"instance 4: restart_count", instance(func(in *fleet.ReportedInstance) { in.RestartCount, in.URL = 0, "h\ufffd" })},
		"UPDATE instances SET last_restart_at = x'00' WHERE id = 4":                           {"instance 4: last_restart_at", instance(func(in *fleet.ReportedInstance) { in.LastRestartAt = time.Time{} })},
		"UPDATE worker_gpus SET gpus = '[{' WHERE worker_id = 1":                              {"GPUs of worker 1: gpus are left out", func(r *fleet.Records) { r.GPUs = r.GPUs[1:] }},
		"UPDATE worker_gpus SET gpus = '[{\"index\":0}]' WHERE worker_id = 1":                 {"GPUs of worker 1: gpus are left out", func(r *fleet.Records) { r.GPUs = r.GPUs[1:] }},
		"UPDATE worker_gpus SET worker_id = 0 WHERE worker_id = 1":                            {"GPUs of worker 0: worker_id is 0", func(r *fleet.Records) { r.GPUs = r.GPUs[1:] }},
		"UPDATE instances SET worker_id = 'x' WHERE id = 4":                                   {"instance 4: ", func(r *fleet.Records) { r.Instances = r.Instances[1:] }},
	} {
		t.Run(statement, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			apply(t, s, sampleChanges)
			closed(t, s)
			alter(t, dir, statement)
			got := load(t, open(t, dir))
			told := false
			for _, f := range got.Faults {
				told = told || strings.Contains(fmt.Sprintf("%s %d: %s", f.Kind, f.ID, f.Detail), c.fault)
			}
			if !told {
				t.Errorf("faults: %+v", got.Faults)
			}
			got.Faults = nil
			want := fleet.Records{
				Clusters: slices.Clone(sample.Clusters), Workers: slices.Clone(sample.Workers), Models: slices.Clone(sample.Models), Instances: slices.Clone(sample.Instances),
				GPUs: slices.Clone(sample.GPUs),
			}
			c.want(&want)
			ignoreModels := cmp.FilterPath(func(p cmp.Path) bool {
				return p.Last().String() == ".Model" && strings.Contains(p.String(), "Reported")
			}, cmp.Ignore())
			if diff := cmp.Diff(want, got, ignoreModels); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// alter changes the database by hand.
func alter(t *testing.T, dir, statement string) {
	t.Helper()
	db := raw(t, dir)
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// An id that is in use is not given again when the last one given is lost: the new row would replace the old one.
func TestLastIDIsLost(t *testing.T) {
	for _, statement := range []string{
		"DELETE FROM id_sequences", "UPDATE id_sequences SET last_id = 0", "UPDATE id_sequences SET last_id = 'x'",
	} {
		dir := t.TempDir()
		s := open(t, dir)
		apply(t, s, sampleChanges)
		apply(t, s, fleet.Changes{Put: fleet.Records{Revoked: []fleet.RevokedWorker{{ID: 9}}}})
		closed(t, s)
		alter(t, dir, statement)
		first, err := open(t, dir).NewIDs(t.Context(), fleet.IDs{Clusters: 1, Workers: 1, Models: 1, Instances: 1})
		if want := (fleet.IDs{Clusters: 3, Workers: 10, Models: 3, Instances: 7}); err != nil || first != want {
			t.Errorf("%s: %+v, %v", statement, first, err)
		}
	}
}

// Ids that nothing can have are as if they weren't there: a row with one is left out and told, and new ids go on from the others.
func TestDamagedIDs(t *testing.T) {
	for _, id := range []int64{-1, 0, 1<<53 + 1, math.MaxInt64} {
		for _, c := range []struct {
			statement string
			fault     fleet.RowFault
			first     fleet.IDs
		}{
			{"UPDATE clusters SET id = ? WHERE id = 2", fleet.RowFault{Kind: fleet.RowCluster, LeftOut: true}, fleet.IDs{Clusters: 3, Workers: 10, Models: 3, Instances: 7}},
			{"UPDATE workers SET id = ? WHERE id = 2", fleet.RowFault{Kind: fleet.RowWorker, LeftOut: true}, fleet.IDs{Clusters: 3, Workers: 10, Models: 3, Instances: 7}},
			{"UPDATE workers SET cluster_id = ? WHERE id = 2", fleet.RowFault{Kind: fleet.RowWorker, ID: 2, LeftOut: true}, fleet.IDs{Clusters: 3, Workers: 10, Models: 3, Instances: 7}},
			{"UPDATE models SET id = ? WHERE id = 2", fleet.RowFault{Kind: fleet.RowModel, LeftOut: true}, fleet.IDs{Clusters: 3, Workers: 10, Models: 2, Instances: 7}},
			{"UPDATE models SET cluster_id = ? WHERE id = 2", fleet.RowFault{Kind: fleet.RowModel, ID: 2, LeftOut: true}, fleet.IDs{Clusters: 3, Workers: 10, Models: 3, Instances: 7}},
			{"UPDATE instances SET id = ? WHERE id = 6", fleet.RowFault{Kind: fleet.RowInstance, LeftOut: true}, fleet.IDs{Clusters: 3, Workers: 10, Models: 3, Instances: 6}},
			{"UPDATE revoked_workers SET worker_id = ? WHERE worker_id = 9", fleet.RowFault{Kind: fleet.RowRevoked}, fleet.IDs{Clusters: 3, Workers: 3, Models: 3, Instances: 7}},
			{"UPDATE id_sequences SET last_id = ? WHERE last_id < 0", fleet.RowFault{}, fleet.IDs{Clusters: 3, Workers: 10, Models: 3, Instances: 7}},
		} {
			dir := t.TempDir()
			s := open(t, dir)
			apply(t, s, sampleChanges)
			apply(t, s, fleet.Changes{Put: fleet.Records{Revoked: []fleet.RevokedWorker{{ID: 9, UUID: "revoked"}}}})
			closed(t, s)
			alter(t, dir, "UPDATE id_sequences SET last_id = -1") // so that it follows from the rows
			alter(t, dir, strings.Replace(c.statement, "?", strconv.FormatInt(id, 10), 1))
			s = open(t, dir)
			r := load(t, s)
			if c.fault.Kind != "" {
				if c.fault.ID == 0 {
					c.fault.ID = id
				}
				ignore := cmpopts.IgnoreFields(fleet.RowFault{}, "Detail")
				if len(r.Faults) != 1 || !cmp.Equal(r.Faults[0], c.fault, ignore) || !strings.Contains(r.Faults[0].Detail, fmt.Sprintf("is %d, which is not within 1 to 9007199254740992", id)) {
					t.Errorf("%s, %d: faults %+v", c.statement, id, r.Faults)
				}
			}
			if len(r.Revoked) != 1 || r.Revoked[0].UUID != "revoked" {
				t.Errorf("%s, %d: a worker that was revoked may join: %+v", c.statement, id, r.Revoked)
			}
			first, err := s.NewIDs(t.Context(), fleet.IDs{Clusters: 1, Workers: 1, Models: 1, Instances: 1})
			if err != nil || first != c.first {
				t.Errorf("%s, %d: first new ids %+v, want %+v, %v", c.statement, id, first, c.first, err)
			}
			// The name of a cluster that was left out is free.
			apply(t, s, fleet.Changes{Put: fleet.Records{Clusters: []fleet.Cluster{{ID: 2, Name: "südhaus", State: fleet.ClusterReady}}}})
		}
	}
}

// No id is given that would be left out at the next start.
func TestIDsAreUsedUp(t *testing.T) {
	dir := t.TempDir()
	closed(t, open(t, dir))
	alter(t, dir, "UPDATE id_sequences SET last_id = 9007199254740990")
	s := open(t, dir)
	first, err := s.NewIDs(t.Context(), fleet.IDs{Workers: 2})
	if err != nil || first.Workers != 9007199254740991 {
		t.Errorf("%+v, %v", first, err)
	}
	_, err = s.NewIDs(t.Context(), fleet.IDs{Workers: 1})
	wantError(t, err, "no id of a worker is left", store.FileName)
}

// A generation whose number none can have is left out, and its number, which a worker may hold it under, is not given again.
func TestDamagedGenerationNumbers(t *testing.T) {
	for _, number := range []int64{math.MinInt64, 0, 1<<53 + 1, math.MaxInt64} {
		dir := t.TempDir()
		s := open(t, dir)
		for range 3 {
			if _, err := s.AppendGeneration(t.Context(), []byte("{}"), time.Now(), store.Note{}); err != nil {
				t.Fatal(err)
			}
		}
		closed(t, s)
		alter(t, dir, fmt.Sprintf("UPDATE mapping_generations SET number = %d WHERE number = 3", number))
		var log bytes.Buffer
		s, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if n := posted(t, s); !slices.Equal(n, []int64{2, 1}) {
			t.Errorf("%d: generations %v", number, n)
		}
		if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), strconv.FormatInt(number, 10)) {
			t.Errorf("%d: log:\n%s", number, log.String())
		}
		if g, err := s.AppendGeneration(t.Context(), []byte("{}"), time.Now(), store.Note{}); err != nil || g.Number != 4 {
			t.Errorf("%d: the next one is %d, %v", number, g.Number, err)
		}
		closed(t, s)
	}
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
