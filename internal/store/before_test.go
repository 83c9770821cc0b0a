package store_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/store"
)

// ownSchema is the newest schema that this program knows.
func ownSchema(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	return len(files)
}

// newer are the migrations of a program that knows later schemas. Each adds a table, unless sql says something else.
func newer(t *testing.T, later int, sql ...string) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	own, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range own {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = &fstest.MapFile{Data: text}
	}
	for i := range later {
		n := len(own) + i + 1
		text := fmt.Sprintf("CREATE TABLE later_%d (id INTEGER PRIMARY KEY); DROP TABLE IF EXISTS later_%d;", n, n-1)
		if i < len(sql) {
			text = sql[i]
		}
		files[fmt.Sprintf("%05d_later.sql", n)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text + "\n")}
	}
	return files
}

// openWith opens the database as a program with these options does.
func openWith(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// contents are the files of a folder by name: mode and digest.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = fmt.Sprintf("%s %x", info.Mode(), sha256.Sum256(data))
	}
	return out
}

func copies(t *testing.T, dir string) []string {
	t.Helper()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(contents(t, dir))), func(name string) bool { return !strings.Contains(name, ".before-") })
}

// An upgrade and a rollback: the previous version refuses the new schema, changes nothing, and says which file to put where. Following
// its words brings everything back.
func TestUpgradeAndBack(t *testing.T) {
	dir, own := t.TempDir(), ownSchema(t)
	s := open(t, dir)
	apply(t, s, sampleChanges)
	closed(t, s)
	if got := copies(t, dir); len(got) != 0 {
		t.Errorf("a database that does not change is copied: %q", got)
	}
	upgraded := store.Options{Dir: dir}.WithMigrations(newer(t, 2))
	s = openWith(t, upgraded)
	if diff := cmp.Diff(sample, load(t, s)); diff != "" {
		t.Errorf("after the upgrade (-want +got)\n%s", diff)
	}
	apply(t, s, fleet.Changes{Put: fleet.Records{Clusters: []fleet.Cluster{{ID: 3, Name: "later", Provider: fleet.ProviderDocker, State: fleet.ClusterReady}}}})
	closed(t, s)
	name := fmt.Sprintf("stackscope.db.before-%d-schema-%d", own+2, own)
	if diff := cmp.Diff([]string{name}, copies(t, dir)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}

	was := contents(t, dir)
	_, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err == nil {
		t.Fatal("the previous version opens a newer database")
	}
	words := regexp.MustCompile(fmt.Sprintf(`^database \S+/stackscope\.db has schema version %d, and this stackscope knows versions up to %d: a newer stackscope has written it\. `+
		`Start that one again; or, to stay with this one, move away stackscope\.db, then move %s, the copy that was made before the upgrade at \S+Z, in its place as stackscope\.db\. `+
		`What changed since is lost, and samples stay\. Nothing was changed$`, own+2, own, regexp.QuoteMeta(name)))
	if !words.MatchString(err.Error()) {
		t.Errorf("got %v", err)
	}
	delete(was, "stackscope.lock")
	now := contents(t, dir)
	delete(now, "stackscope.lock")
	if diff := cmp.Diff(was, now); diff != "" {
		t.Errorf("refusing changes files (-before +after)\n%s", diff)
	}

	for _, move := range [][2]string{{"stackscope.db", "newer.db"}, {name, "stackscope.db"}} {
		if err := os.Rename(filepath.Join(dir, move[0]), filepath.Join(dir, move[1])); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir)
	if diff := cmp.Diff(sample, load(t, s)); diff != "" {
		t.Errorf("after the rollback (-want +got)\n%s", diff)
	}
	closed(t, s)

	// The next upgrade works again, and its copy is of now.
	s = openWith(t, upgraded)
	closed(t, s)
	if diff := cmp.Diff([]string{name}, copies(t, dir)); diff != "" {
		t.Errorf("after another upgrade (-want +got)\n%s", diff)
	}
}

// Without a copy that the program can open, a backup is named.
func TestNewerDatabaseWithoutCopy(t *testing.T) {
	dir := t.TempDir()
	s := openWith(t, store.Options{Dir: dir}.WithMigrations(newer(t, 1)))
	closed(t, s)
	for _, name := range []string{"stackscope.db.before-900-schema-800", "stackscope.db.before-1-schema-x", "stackscope.db.before-1-schema-1.old"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "stackscope.db.before-2-schema-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "move away stackscope.db, then put a backup from before the upgrade in its place as stackscope.db. Nothing was changed") {
		t.Errorf("got %v", err)
	}
}

// The two newest copies are kept.
func TestCopiesAreBounded(t *testing.T) {
	dir, own := t.TempDir(), ownSchema(t)
	closed(t, open(t, dir))
	for later := 1; later <= 4; later++ {
		closed(t, openWith(t, store.Options{Dir: dir}.WithMigrations(newer(t, later))))
		old := time.Now().Add(time.Duration(later-10) * time.Hour) // so that their times differ
		if err := os.Chtimes(filepath.Join(dir, fmt.Sprintf("stackscope.db.before-%d-schema-%d", own+later, own+later-1)), old, old); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{fmt.Sprintf("stackscope.db.before-%d-schema-%d", own+3, own+2), fmt.Sprintf("stackscope.db.before-%d-schema-%d", own+4, own+3)}
	if diff := cmp.Diff(want, copies(t, dir)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// An upgrade that fails between two migrations leaves the copy from before it, also when it goes on later.
func TestInterruptedUpgrade(t *testing.T) {
	dir, own := t.TempDir(), ownSchema(t)
	s := open(t, dir)
	apply(t, s, sampleChanges)
	closed(t, s)
	_, err := store.Open(t.Context(), store.Options{Dir: dir}.WithMigrations(newer(t, 2, "CREATE TABLE later (id INTEGER);", "CREATE TABLE later (id INTEGER);")))
	if err == nil {
		t.Fatal("a migration that cannot work worked")
	}
	s = openWith(t, store.Options{Dir: dir}.WithMigrations(newer(t, 2, "CREATE TABLE later (id INTEGER);")))
	if diff := cmp.Diff(sample, load(t, s)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	closed(t, s)
	want := []string{fmt.Sprintf("stackscope.db.before-%d-schema-%d", own+2, own), fmt.Sprintf("stackscope.db.before-%d-schema-%d", own+2, own+1)}
	if diff := cmp.Diff(want, copies(t, dir)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// The previous version is shown the one that it can open.
	if _, err := store.Open(t.Context(), store.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "then move "+want[0]+",") {
		t.Errorf("got %v", err)
	}
}

// What is only in the log of a program that died is in the copy, too.
func TestCopyHasTheLog(t *testing.T) {
	from, dir, own := t.TempDir(), t.TempDir(), ownSchema(t)
	s := open(t, from)
	apply(t, s, sampleChanges)
	for _, name := range []string{"stackscope.db", "stackscope.db-wal"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil || len(data) == 0 {
			t.Fatalf("%s: %d bytes, %v", name, len(data), err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := fmt.Sprintf("stackscope.db.before-%d-schema-%d", own+1, own)
	if err := os.WriteFile(filepath.Join(dir, "."+name+".partial"), []byte("of a process that died"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed(t, openWith(t, store.Options{Dir: dir}.WithMigrations(newer(t, 1))))
	back := t.TempDir()
	if err := os.Rename(filepath.Join(dir, name), filepath.Join(back, "stackscope.db")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample, load(t, open(t, back))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*partial")); err != nil || len(left) != 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// Without room for the copy there is no upgrade.
func TestNoRoomForTheCopy(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	apply(t, s, sampleChanges)
	closed(t, s)
	was := contents(t, dir)["stackscope.db"]
	upgraded := store.Options{Dir: dir}.WithMigrations(newer(t, 1))
	_, err := store.Open(t.Context(), upgraded.WithFreeSpace(8<<20))
	if !errors.Is(err, fleet.ErrNoSpace) || !strings.Contains(err.Error(), "the disk has 8 MiB free, and the copy of the database and the change of its schema need ") {
		t.Fatalf("got %v", err)
	}
	if got := copies(t, dir); len(got) != 0 || contents(t, dir)["stackscope.db"] != was {
		t.Errorf("something was changed: %q", got)
	}
	s = openWith(t, upgraded.WithFreeSpace(16<<20))
	if diff := cmp.Diff(sample, load(t, s)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
