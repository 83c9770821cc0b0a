package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// What somebody wrote into the database by hand.
func TestRowsThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	apply(t, s, sampleChanges)
	closed(t, s)
	set := func(column, value string) {
		t.Helper()
		db := raw(t, dir)
		if _, err := db.Exec("UPDATE workers SET "+column+" = ? WHERE id = 1", value); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// A worker whose hash is lost has to join again; the server starts.
	want := slices.Clone(sample.Workers)
	want[0].CredentialHash = [32]byte{}
	for _, hash := range []string{"", "abcd", strings.Repeat("ab", 33), strings.Repeat("xy", 32), strings.Repeat("ab", 31) + "a"} {
		set("credential_hash", hash)
		s := open(t, dir)
		if diff := cmp.Diff(want, load(t, s).Workers); diff != "" {
			t.Errorf("hash %q (-want +got):\n%s", hash, diff)
		}
		closed(t, s)
	}
	for _, labels := range []string{"", "{", "[]"} {
		set("labels", labels)
		s := open(t, dir)
		_, err := s.Load(t.Context())
		wantError(t, err, store.FileName, "worker 1: labels")
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
