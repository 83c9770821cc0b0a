package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/store"
)

var (
	toRestore = regexp.MustCompile(`Move away (\S+(?:, \S+)*), then put a backup in its place`)
	toBegin   = regexp.MustCompile(`to begin with an empty inventory, move away (\S+(?:, \S+)*): workers`)
)

// moveAway does what a message says.
func moveAway(t *testing.T, dir, message string, step *regexp.Regexp) {
	t.Helper()
	m := step.FindStringSubmatch(message)
	if m == nil {
		t.Fatalf("%v is not in %s", step, message)
	}
	remove(t, dir, strings.Split(m[1], ", ")...)
}

// posted returns the numbers of the mapping generations, the newest first.
func posted(t *testing.T, s *store.Store) (numbers []int64) {
	t.Helper()
	g, ok, err := s.LatestGeneration(t.Context())
	for ; ok && err == nil; g, ok, err = s.GenerationBefore(t.Context(), g.Number) {
		numbers = append(numbers, g.Number)
	}
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}

// What a refusal says leads out of it, word for word, also where a server that was killed has left a log.
func TestWaysOutOfARefusal(t *testing.T) {
	old := t.TempDir()
	s := open(t, old)
	apply(t, s, sampleChanges)
	closed(t, s)
	backup := content(t, old)[store.FileName]

	killed := t.TempDir()
	cmd, lines := start(t, "poster", killed)
	for range 50 {
		lines.Scan()
	}
	kill(cmd)
	files := content(t, killed)
	for _, name := range []string{store.FileName + "-wal", store.FileName + "-shm", expected} {
		if files[name] == "" {
			t.Fatalf("the killed server has left no %s", name)
		}
	}
	page := strings.Repeat("\xa5", 4096)
	for name, change := range map[string]func(t *testing.T, dir string){
		"missing": func(t *testing.T, dir string) {
			t.Helper()
			remove(t, dir, store.FileName)
		},
		"emptied": func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, store.FileName, "")
		},
		"overwritten": func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, store.FileName, page+page+page)
			put(t, dir, store.FileName+"-wal", "")
		},
		"another program's": func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, store.FileName, schemaless(t, "CREATE TABLE theirs (x)"))
			put(t, dir, store.FileName+"-wal", "")
		},
		"another backup beside the log": func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, store.FileName, "SQLite format 3\x00"+strings.Repeat(page, 2))
		},
	} {
		for _, way := range []string{"restore", "begin"} {
			if name == "another program's" && way == "begin" {
				continue
			}
			t.Run(name+", "+way, func(t *testing.T) {
				dir := t.TempDir()
				for name, text := range files {
					put(t, dir, name, text)
				}
				change(t, dir)
				before := content(t, dir)
				_, err := store.Open(t.Context(), store.Options{Dir: dir})
				if err == nil {
					t.Fatal("no error")
				}
				for _, suffix := range []string{"", "-wal"} {
					if after, ok := content(t, dir)[store.FileName+suffix]; ok && after != before[store.FileName+suffix] {
						t.Errorf("a start that failed changed %s", store.FileName+suffix)
					}
				}
				if way == "begin" {
					moveAway(t, dir, err.Error(), toBegin)
					if left := slices.DeleteFunc(names(t, dir), func(n string) bool { return n == "stackscope.lock" }); len(left) > 0 {
						t.Errorf("%v are left", left)
					}
					if n := posted(t, open(t, dir)); len(n) > 0 {
						t.Errorf("begun anew with the generations %v", n)
					}
					return
				}
				moveAway(t, dir, err.Error(), toRestore)
				put(t, dir, store.FileName, backup)
				s := open(t, dir)
				if n := posted(t, s); len(n) > 0 || len(load(t, s).Workers) != len(sample.Workers) {
					t.Errorf("with the backup: generations %v and %+v", n, load(t, s))
				}
			})
		}
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		names = append(names, filepath.Base(p))
	}
	return names
}

// A damaged file beside a good log is refused as it is: closing it would write the log into it.
func TestRefusedFileKeepsItsLog(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	c := fleet.Changes{Put: fleet.Records{Clusters: sample.Clusters[:1]}}
	for k := range int64(500) {
		c.Put.Models = append(c.Put.Models, fleet.ModelRecord{Model: fleet.Model{ID: k + 1, ClusterID: 1, Name: strings.Repeat("n", int(k+1))}})
	}
	apply(t, s, c)
	closed(t, s)
	cmd, lines := start(t, "poster", dir)
	for range 5 {
		lines.Scan()
	}
	kill(cmd)
	path := filepath.Join(dir, store.FileName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	half := len(data) / 2
	put(t, dir, store.FileName, string(data[:half])+strings.Repeat("\xa5", 8192)+string(data[half+8192:]))
	before := content(t, dir)
	_, err = store.Open(t.Context(), store.Options{Dir: dir})
	wantError(t, err, path, "damaged", "Move away "+store.FileName+", "+store.FileName+"-wal, "+store.FileName+"-shm, then put a backup in its place")
	after := content(t, dir)
	for _, name := range []string{store.FileName, store.FileName + "-wal"} {
		if after[name] != before[name] {
			t.Errorf("a start that failed changed %s", name)
		}
	}
}

// A backup that was put beside the log of the database that it replaces is refused as it is where the two don't fit, and the refusal
// says how to go on with it.
func TestBackupBesideAnotherLog(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := open(t, dir)
	apply(t, s, sampleChanges)
	closed(t, s)
	backup := content(t, dir)[store.FileName]
	for range 2 { // the second time they stay in the log
		s = open(t, dir)
		for range 5 {
			if _, err := s.AppendGeneration(t.Context(), bytes.Repeat([]byte("x"), 40_000), time.Now(), store.Note{}); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range content(t, dir) {
			put(t, to, name, text)
		}
		closed(t, s)
	}
	put(t, to, store.FileName, backup)
	_, err := store.Open(t.Context(), store.Options{Dir: to})
	wantError(t, err, "damaged", "The file without the log is whole")
	_, after, _ := strings.Cut(err.Error(), "put there, move ")
	list, _, _ := strings.Cut(after, " away alone")
	remove(t, to, strings.Split(list, ", ")...)
	s = open(t, to)
	if n := posted(t, s); len(n) > 0 || len(load(t, s).Workers) != len(sample.Workers) {
		t.Errorf("with the backup: generations %v and %+v", n, load(t, s))
	}
}
