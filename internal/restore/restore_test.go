package restore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/backup"
	"github.com/stackscope/stackscope/internal/base/dirlock"
	"github.com/stackscope/stackscope/internal/restore"
	"github.com/stackscope/stackscope/internal/store"
)

const block = "prometheus/01JDXW5T8GQ4R0M3N5P7S9V1XZ/"

// database returns an empty one of ours.
func database(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func archive(t *testing.T, change func(*backup.Manifest, *[]backup.Source)) []byte {
	t.Helper()
	m := backup.Manifest{Version: "1.2.3", CreatedAt: time.Now(), Schema: store.SchemaVersion(), Samples: backup.Samples{Included: true, Blocks: 1}}
	sources := []backup.Source{
		{Name: backup.AdminToken, Data: []byte("an admin's token\n")},
		{Name: "worker/worker.json", Data: []byte("{}")},
		{Name: backup.Database, Data: database(t)},
		{Name: backup.GrafanaDatabase, Data: []byte("Grafana's")},
		{Name: block + "meta.json", Data: []byte("{}")},
		{Name: block + "chunks/000001", Data: bytes.Repeat([]byte("samples"), 1000)},
	}
	if change != nil {
		change(&m, &sources)
	}
	a, err := backup.New(m, sources)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := a.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func withoutSamples(m *backup.Manifest, s *[]backup.Source) {
	m.Samples = backup.Samples{Reason: "not asked for"}
	*s = slices.DeleteFunc(*s, func(f backup.Source) bool { return strings.HasPrefix(f.Name, backup.Prometheus) })
}

// tree lists the files of a directory with their content, and folders with a slash.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		info, err := e.Info()
		if err != nil {
			return err
		}
		if e.IsDir() {
			found[name+"/"] = ""
			if info.Mode().Perm()&0o027 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			return nil
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		data, err := os.ReadFile(path)
		found[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func run(t *testing.T, dir string, data []byte, aside bool) (restore.Result, error) {
	t.Helper()
	return restore.Run(t.Context(), bytes.NewReader(data), restore.Options{Dir: dir, MoveAside: aside})
}

func TestIntoNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	r, err := run(t, dir, archive(t, nil), false)
	if err != nil {
		t.Fatal(err)
	}
	got := tree(t, dir)
	for _, name := range []string{"admin-token", "worker/worker.json", "grafana/grafana.db", block + "meta.json", block + "chunks/000001", "stackscope.db"} {
		if got[name] == "" {
			t.Errorf("%s is missing", name)
		}
		delete(got, name)
	}
	for name := range got {
		if !strings.HasSuffix(name, "/") || strings.Contains(name, "partial") {
			t.Errorf("left: %s", name)
		}
	}
	if r.Dir != dir || len(r.Aside) != 0 || r.KeptSamples {
		t.Errorf("%+v", r)
	}
	s, err := store.Open(t.Context(), store.Options{Dir: dir, Tokens: []string{"admin-token"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestInTheWay: nothing is changed unless that is asked for, and then nothing is lost.
func TestInTheWay(t *testing.T) {
	dir := t.TempDir()
	if _, err := run(t, dir, archive(t, nil), false); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"stackscope.db-wal": "log", "mine": "my own", "prometheus/wal/00000001": "wal", "grafana/plugin": "p", "prometheus/damaged-1/x": "d"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, dir)
	second := archive(t, func(_ *backup.Manifest, s *[]backup.Source) { (*s)[0].Data = []byte("another token\n") })
	_, err := run(t, dir, second, false)
	way, ok := errors.AsType[*restore.InTheWayError](err)
	if !ok || way.Names[0] != "stackscope.db" || !slices.Contains(way.Names, "stackscope.db-wal") || !slices.Contains(way.Names, "prometheus/wal") || slices.Contains(way.Names, "mine") {
		t.Fatalf("%v", err)
	}
	if after := tree(t, dir); !equal(before, after) {
		t.Errorf("changed: %v, before %v", names(after), names(before))
	}
	r, err := run(t, dir, second, true)
	if err != nil {
		t.Fatal(err)
	}
	after := tree(t, dir)
	if after["admin-token"] != "another token\n" || after["mine"] != "my own" || after["grafana/plugin"] != "p" || after["prometheus/damaged-1/x"] != "d" {
		t.Errorf("%v", names(after))
	}
	if _, there := after["stackscope.db-wal"]; there || after["prometheus/wal/00000001"] != "" {
		t.Error("files of the data before are beside the new ones")
	}
	if len(r.Aside) != 3 {
		t.Errorf("aside: %v", r.Aside)
	}
	kept := map[string]bool{}
	for _, text := range after {
		kept[text] = true
	}
	for name, text := range before {
		if !kept[text] {
			t.Errorf("%s is lost", name)
		}
	}
}

func names(m map[string]string) (list []string) {
	for name := range m {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func equal(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name, text := range a {
		if other, ok := b[name]; !ok || other != text {
			return false
		}
	}
	return true
}

// TestWithoutSamples: those that are there stay.
func TestWithoutSamples(t *testing.T) {
	dir := t.TempDir()
	if _, err := run(t, dir, archive(t, nil), false); err != nil {
		t.Fatal(err)
	}
	r, err := run(t, dir, archive(t, withoutSamples), true)
	if err != nil {
		t.Fatal(err)
	}
	if after := tree(t, dir); !r.KeptSamples || after[block+"meta.json"] == "" {
		t.Errorf("%+v, %v", r, names(after))
	}
}

// TestRefusedLeavesNothing: whatever is wrong with an archive, or comes in between, the directory is as before.
func TestRefusedLeavesNothing(t *testing.T) {
	whole := archive(t, nil)
	damaged := bytes.Clone(whole)
	damaged[bytes.Index(damaged, []byte("samplessamples"))] ^= 1
	noDatabase := archive(t, func(_ *backup.Manifest, s *[]backup.Source) { (*s)[2].Data = bytes.Repeat([]byte("x"), 4096) })
	newer := archive(t, func(m *backup.Manifest, _ *[]backup.Source) { m.Schema, m.Version = store.SchemaVersion()+1, "77.0.0" })
	other := archive(t, func(m *backup.Manifest, _ *[]backup.Source) { m.Schema = 1 })
	interrupted, stop := context.WithCancel(t.Context())
	for _, c := range []struct {
		name string
		from io.Reader
		want error
		text string
	}{
		{"cut", bytes.NewReader(whole[:len(whole)/2]), backup.ErrCut, ""},
		{"damaged", bytes.NewReader(damaged), backup.ErrDamaged, "chunks/000001"},
		{"no database", bytes.NewReader(noDatabase), store.ErrDamaged, "stackscope.db"},
		{"a newer schema", bytes.NewReader(newer), backup.ErrNewer, "77.0.0"},
		{"another schema", bytes.NewReader(other), backup.ErrDamaged, "schema"},
		{"interrupted", io.MultiReader(bytes.NewReader(whole[:9000]), stopping{stop}, bytes.NewReader(whole[9000:])), context.Canceled, ""},
	} {
		for _, made := range []bool{true, false} {
			dir := filepath.Join(t.TempDir(), "data")
			if made {
				if err := os.Mkdir(dir, 0o750); err != nil {
					t.Fatal(err)
				}
			}
			_, err := restore.Run(interrupted, c.from, restore.Options{Dir: dir})
			if made && (!errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text)) {
				t.Errorf("%s: %v", c.name, err)
			}
			if left, err := os.ReadDir(dir); err == nil && (len(left) > 0 || !made) {
				t.Errorf("%s: left %v", c.name, left)
			}
		}
	}
}

type stopping struct{ stop func() }

func (s stopping) Read([]byte) (int, error) { s.stop(); return 0, io.EOF }

func TestServerHoldsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := run(t, dir, archive(t, nil), true); !errors.Is(err, dirlock.ErrHeld) {
		t.Errorf("%v", err)
	}
}

// TestKilledBeforeTheDatabase: a server does not take what is half in place for a new directory.
func TestKilledBeforeTheDatabase(t *testing.T) {
	dir := t.TempDir()
	if _, err := run(t, dir, archive(t, nil), false); err != nil {
		t.Fatal(err)
	}
	// What a kill leaves just before the last step.
	text := "being restored since 2026-01-01T00:00:00Z\n"
	if err := errors.Join(os.Remove(filepath.Join(dir, "stackscope.db")), os.WriteFile(filepath.Join(dir, "stackscope.db.expected"), []byte(text), 0o600), os.Mkdir(filepath.Join(dir, "restore.partial"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Options{Dir: dir}); !errors.Is(err, store.ErrLost) || !strings.Contains(err.Error(), "restoring") {
		t.Errorf("the server starts: %v", err)
	}
	if _, err := run(t, dir, archive(t, nil), true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "stackscope.db.expected")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the mark is left: %v", err)
	}
}

// TestLinksInTheDirectory: a link to elsewhere is not followed, and what it leads to is not touched.
func TestLinksInTheDirectory(t *testing.T) {
	elsewhere := t.TempDir()
	dir := t.TempDir()
	if err := errors.Join(os.Symlink(elsewhere, filepath.Join(dir, "worker")), os.Symlink(elsewhere, filepath.Join(dir, "restore.partial"))); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, dir, archive(t, nil), false); err == nil {
		t.Error("a link in place of the folder worker is followed")
	}
	if left, _ := os.ReadDir(elsewhere); len(left) > 0 {
		t.Errorf("written through a link: %v", left)
	}
}
