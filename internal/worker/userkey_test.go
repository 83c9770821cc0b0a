package worker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/secret"
)

func TestUserKey(t *testing.T) {
	dir := t.TempDir()
	if key, err := userKey(&Options{DataDir: dir}); key != nil || err != nil {
		t.Errorf("without --hash-users: %q, %v", key, err)
	}
	made, err := userKey(&Options{DataDir: dir, HashUsers: true})
	if err != nil || len(made) < secret.MinKeyBytes {
		t.Fatalf("%q, %v", made, err)
	}
	path := filepath.Join(dir, userKeyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if again, err := userKey(&Options{DataDir: dir, HashUsers: true}); err != nil || string(again) != string(made) {
		t.Errorf("at the second start: %q, %v", again, err)
	}
	if given, err := userKey(&Options{DataDir: t.TempDir(), HashUsers: true, UserHashKeyFile: path}); err != nil || string(given) != string(made) {
		t.Errorf("given: %q, %v", given, err)
	}
	short := filepath.Join(dir, "short")
	if err := os.WriteFile(short, []byte("too short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{short: "at least 16", filepath.Join(dir, "nobody"): "no such file"} {
		if _, err := userKey(&Options{DataDir: dir, HashUsers: true, UserHashKeyFile: file}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
