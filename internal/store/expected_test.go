package store_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/store"
)

const expected = store.FileName + ".expected"

var tokens = []string{"admin-token", "worker-token"}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// content returns what is in dir.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(data)
	}
	return files
}

// schemaless is a SQLite database without a table.
func schemaless(t *testing.T, statements ...string) string {
	t.Helper()
	dir := t.TempDir()
	db := raw(t, dir)
	for _, s := range append([]string{"CREATE TABLE x (y)", "DROP TABLE x"}, statements...) {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return content(t, dir)[store.FileName]
}

// A database that was there and is lost is refused, and nothing in the directory is changed then.
func TestLostDatabaseIsRefused(t *testing.T) {
	empty := schemaless(t)
	for name, c := range map[string]struct {
		arrange func(t *testing.T, dir string) // in a directory with a database and tokens
		want    []string
	}{
		"missing": {func(t *testing.T, dir string) {
			t.Helper()
			remove(t, dir, store.FileName)
		}, []string{"is missing", "used this data directory before", "move away " + expected + ":"}},
		"emptied": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, store.FileName, "")
		}, []string{"is empty (0 bytes)", "move away " + store.FileName + ", " + expected + ":"}},
		"without table": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, store.FileName, empty)
		}, []string{"is empty (it has no table)"}},
		"emptied, of an older version": {func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, store.FileName, "")
			remove(t, dir, expected)
		}, []string{"is empty (0 bytes)", "move away " + store.FileName + ":"}},
		"log alone": {func(t *testing.T, dir string) {
			t.Helper()
			remove(t, dir, store.FileName, expected)
			put(t, dir, store.FileName+"-wal", "x")
		}, []string{"is missing", "(" + store.FileName + "-wal)"}},
		"log and index alone": {func(t *testing.T, dir string) {
			t.Helper()
			remove(t, dir, append(tokens, store.FileName, expected)...)
			put(t, dir, store.FileName+"-wal", "")
			put(t, dir, store.FileName+"-shm", "")
		}, []string{"is missing", "(" + store.FileName + "-wal and " + store.FileName + "-shm)"}},
		"emptied, with its log": {func(t *testing.T, dir string) {
			t.Helper()
			remove(t, dir, append(tokens, expected)...)
			put(t, dir, store.FileName, "")
			put(t, dir, store.FileName+"-wal", "x")
		}, []string{"is empty (0 bytes)", "(" + store.FileName + "-wal)"}},
		"another program's": {func(t *testing.T, dir string) {
			t.Helper()
			remove(t, dir, append(tokens, expected)...)
			put(t, dir, store.FileName, schemaless(t, "CREATE TABLE theirs (x)"))
		}, []string{"no table of stackscope", `"theirs"`, "--data-dir"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			closed(t, open(t, dir))
			for _, token := range tokens {
				put(t, dir, token, strings.Repeat("t", 20))
			}
			remove(t, dir, "stackscope.lock")
			c.arrange(t, dir)
			before := content(t, dir)
			_, err := store.Open(t.Context(), store.Options{Dir: dir, Tokens: tokens})
			wantError(t, err, append(c.want, filepath.Join(dir, store.FileName), "ut a backup in its place")...)
			if name != "another program's" && !strings.Contains(err.Error(), "revoked workers may join again") {
				t.Errorf("nothing is said of revoked workers: %v", err)
			}
			if !errors.Is(err, store.ErrLost) {
				t.Errorf("%v is not ErrLost", err)
			}
			if diff := cmp.Diff(before, content(t, dir)); diff != "" {
				t.Errorf("the directory was changed (-before +after):\n%s", diff)
			}
		})
	}
}

// What is no sign of a lost database: tokens that an operator wrote, and what a server left that died while it made one.
func TestFirstStarts(t *testing.T) {
	for name, arrange := range map[string]func(t *testing.T, dir string){
		"nothing": func(*testing.T, string) {},
		"tokens": func(t *testing.T, dir string) {
			t.Helper()
			for _, token := range tokens {
				put(t, dir, token, "x")
			}
		},
		"empty file": func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, store.FileName, "")
		},
		"file without a table": func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, store.FileName, schemaless(t))
		},
		"died before the file was made": func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, expected, "being made\n")
		},
		"died before the schema was made": func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, expected, "being made\n")
			put(t, dir, store.FileName, "")
		},
		"died while the schema was made": func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, expected, "being made\n")
			put(t, dir, store.FileName, schemaless(t))
		},
		"database of an older version": func(t *testing.T, dir string) {
			t.Helper()
			closed(t, open(t, dir))
			remove(t, dir, expected)
		},
		"died, with tokens, before it ended": func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, expected, "being made\n")
			put(t, dir, store.FileName, "")
			put(t, dir, tokens[0], "x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			arrange(t, dir)
			s, err := store.Open(t.Context(), store.Options{Dir: dir, Tokens: tokens})
			if err != nil {
				t.Fatal(err)
			}
			closed(t, s)
			if text := content(t, dir)[expected]; !strings.HasPrefix(text, "made ") || !strings.Contains(text, "remove this file") || !strings.Contains(text, "Revoked workers may join again") {
				t.Errorf("%s: %q", expected, text)
			}
			remove(t, dir, store.FileName)
			if _, err := store.Open(t.Context(), store.Options{Dir: dir, Tokens: tokens}); !errors.Is(err, store.ErrLost) {
				t.Errorf("the database was removed: %v", err)
			}
			remove(t, dir, expected) // the way out
			closed(t, open(t, dir))
		})
	}
}

// A start that could make no file leaves no word of one that is being made: the next one would take less care.
func TestNoFileCouldBeMade(t *testing.T) {
	for _, before := range []string{"", "being made\n"} {
		dir := t.TempDir()
		if before != "" {
			put(t, dir, expected, before)
		}
		if err := os.Symlink(filepath.Join(dir, "missing", "file"), filepath.Join(dir, store.FileName)); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(t.Context(), store.Options{Dir: dir})
		wantError(t, err, filepath.Join(dir, store.FileName), "cannot be opened for writing")
		if _, err := os.Lstat(filepath.Join(dir, expected)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("with %q before: %s is left: %v", before, expected, err)
		}
	}
}

// cutWithin cuts a log within a frame in its middle: its end may be a transaction that nobody was told of.
func cutWithin(log string) string {
	const header, frame = 32, 24 + 4096
	return log[:header+(len(log)-header)/frame/2*frame+frame/2]
}

// What was stored last is in the log; one that is cut is told, and the rest is there.
func TestCutLogIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		cut  func(t *testing.T, dir string, log string)
		want string
	}{
		"cut": {func(t *testing.T, dir, log string) {
			t.Helper()
			put(t, dir, store.FileName+"-wal", cutWithin(log))
		}, "is missing or damaged"},
		"cut, without index": {func(t *testing.T, dir, log string) {
			t.Helper()
			put(t, dir, store.FileName+"-wal", cutWithin(log))
			remove(t, dir, store.FileName+"-shm")
		}, "does not end with a whole transaction"},
		"emptied": {func(t *testing.T, dir, _ string) {
			t.Helper()
			put(t, dir, store.FileName+"-wal", "")
		}, "is missing or damaged"},
		"damaged within": {func(t *testing.T, dir, log string) {
			t.Helper()
			put(t, dir, store.FileName+"-wal", log[:50]+string([]byte{log[50] ^ 1})+log[51:])
			remove(t, dir, store.FileName+"-shm")
		}, "is missing or damaged"},
		"garbage": {func(t *testing.T, dir, log string) {
			t.Helper()
			put(t, dir, store.FileName+"-wal", strings.Repeat("x", len(log)))
			remove(t, dir, store.FileName+"-shm")
		}, "does not end with a whole transaction"},
		"cut, and no copy can be made": {func(t *testing.T, dir, log string) {
			t.Helper()
			put(t, dir, store.FileName+"-wal", cutWithin(log))
			if err := os.MkdirAll(filepath.Join(dir, store.FileName+"-wal.damaged", "there"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "could not be copied"},
		"unfinished": {func(t *testing.T, dir, log string) {
			t.Helper()
			put(t, dir, store.FileName+"-wal", log+log[32:132])
		}, "nobody was told that it was stored"},
		"whole": {func(*testing.T, string, string) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cmd, lines := start(t, "poster", dir)
			for range 5 {
				lines.Scan()
			}
			kill(cmd)
			c.cut(t, dir, content(t, dir)[store.FileName+"-wal"])
			left, err := os.ReadFile(filepath.Join(dir, store.FileName+"-wal"))
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			s, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			if c.want == "" && strings.Contains(log.String(), "transaction") || !strings.Contains(log.String(), c.want) {
				t.Errorf("log:\n%s", log.String())
			}
			if told := strings.Contains(log.String(), "level=WARN"); told == (name == "whole" || name == "unfinished") {
				t.Errorf("warned: %v:\n%s", told, log.String())
			} else if kept, err := os.ReadFile(filepath.Join(dir, store.FileName+"-wal.damaged")); !told || len(left) == 0 {
				if !errors.Is(err, os.ErrNotExist) {
					t.Errorf("a copy of %d bytes is kept: %v", len(kept), err)
				}
			} else if name != "cut, and no copy can be made" && !bytes.Equal(kept, left) {
				t.Errorf("of a log of %d bytes a copy of %d is kept: %v", len(left), len(kept), err)
			}
			if copies, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(copies) > 0 {
				t.Errorf("%v is left, %v", copies, err)
			}
		})
	}
}

// A log that is cut and all of which is in the file already costs nothing: what is left of it would put older pages over newer ones.
func TestCutLogThatIsInTheFile(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := open(t, dir)
	for k := range 5 {
		apply(t, s, fleet.Changes{Put: fleet.Records{Clusters: []fleet.Cluster{{ID: int64(k + 1), Name: strings.Repeat("n", 100*k+1), State: fleet.ClusterReady}}}})
	}
	want := load(t, s)
	db := raw(t, dir)
	if _, err := db.Exec("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
		t.Fatal(err)
	}
	const log = store.FileName + "-wal"
	files := content(t, dir)
	for _, name := range []string{store.FileName, log, store.FileName + "-shm"} {
		put(t, to, name, files[name])
	}
	put(t, to, log, files[log][:len(files[log])/2])
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	again, err := store.Open(t.Context(), store.Options{Dir: to, Logger: slog.New(slog.NewTextHandler(&told, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	if diff := cmp.Diff(want, load(t, again)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.Contains(told.String(), "nothing is lost") || content(t, to)[log+".damaged"] != files[log][:len(files[log])/2] {
		t.Errorf("log:\n%s", told.String())
	}
}
