package durable_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/durable"
)

func TestWriteFileReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	for _, content := range []string{"first", "second and longer", ""} {
		if err := durable.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("got %q, %v, want %q", got, err, content)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestWriteFileLeavesNothingWhenItFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o750); err != nil {
		t.Fatal(err)
	}
	err := durable.WriteFile(path, []byte("x"), 0o600)
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("a directory was replaced: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestMkdirAllSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	if err := durable.MkdirAll(filepath.Join(dir, "a", "b"), "--data-dir"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := durable.MkdirAll(filepath.Join(file, "data"), "--data-dir")
	if err == nil || !strings.Contains(err.Error(), "--data-dir") || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v", err)
	}
}

func TestMirror(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	m := durable.Mirror{Path: filepath.Join(dir, "state"), Perm: 0o600}
	if err := m.Update([]byte("a")); err == nil || !strings.Contains(err.Error(), m.Path+": no such file") {
		t.Errorf("a write into a directory that isn't there: %v", err)
	}
	if err := m.Update([]byte("b")); err != nil {
		t.Errorf("the same reason was told twice: %v", err)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := m.Update([]byte("c")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.Path, []byte("by somebody else"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range [][2]string{{"c", "by somebody else"}, {"d", "d"}} {
		if err := m.Update([]byte(step[0])); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(m.Path); string(got) != step[1] {
			t.Errorf("after %s the file holds %q, want %q", step[0], got, step[1])
		}
	}
}
