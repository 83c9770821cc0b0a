package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
)

// TestRemoveOld: the backup that was just made stays, also if the clock was ahead when others were made, and so do foreign files.
func TestRemoveOld(t *testing.T) {
	const made, future, old, older = "stackscope-backup-20261130T030000Z.tar", "stackscope-backup-20991231T000000Z.tar", "stackscope-backup-20261129T030000Z.tar", "stackscope-backup-20261128T030000Z.tar"
	foreign := []string{"notes.txt", old + ".zst", "stackscope-backup.tar", "other" + old}
	for _, tt := range []struct {
		keep  int
		there []string
		left  []string
	}{
		{1, []string{older, old, made}, []string{made}},
		{2, []string{older, old, made}, []string{made, old}},
		{3, []string{older, old, made}, []string{made, old, older}},
		{1, []string{made, future}, []string{made}},
		{2, []string{old, made, future}, []string{made, future}},
		{1, []string{made}, []string{made}},
	} {
		dir := t.TempDir()
		unfinished := old + ".partial"
		for _, name := range append(append([]string{unfinished, future + ".partial"}, foreign...), tt.there...) {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		long := time.Now().Add(-2 * unfinishedAge)
		if err := os.Chtimes(filepath.Join(dir, unfinished), long, long); err != nil {
			t.Fatal(err)
		}
		if err := removeOld(&command.Env{Stdout: new(bytes.Buffer)}, filepath.Join(dir, made), tt.keep, false); err != nil {
			t.Error(err)
		}
		var got []string
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			got = append(got, e.Name())
		}
		want := append(append([]string{future + ".partial"}, foreign...), tt.left...)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("keep %d of %q: left %q, want %q", tt.keep, tt.there, got, want)
		}
	}
}

// TestBackupMissingDirectory: a directory that is missing is said before a server is asked.
func TestBackupMissingDirectory(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, to := range []string{missing + "/", filepath.Join(missing, "b.tar")} {
		err := (&backupCmd{File: to}).Run(&command.Env{})
		if want := "directory " + missing + " is missing: make it first"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", to, err, want)
		}
	}
}
