package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestDataDir(t *testing.T) {
	system := filepath.Join(t.TempDir(), "stackscope") // not there
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "stackscope.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		user       User
		dir        string
		noteHolds  string
		noteAbsent bool
	}{
		{"root", User{Root: true, SystemDir: system, Getenv: env(map[string]string{"HOME": "/root"})}, system, "", true},
		{"a user", User{SystemDir: system, Getenv: env(map[string]string{"HOME": "/home/u"})}, "/home/u/.local/state/stackscope", "", true},
		{"with a state directory", User{SystemDir: system, Getenv: env(map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "/state"})}, "/state/stackscope", "", true},
		{"with a relative one", User{SystemDir: system, Getenv: env(map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "state"})}, "/home/u/.local/state/stackscope", "", true},
		{"without a home", User{SystemDir: system, Getenv: env(nil)}, system, "", true},
		{"a service, whose directory this is", User{SystemDir: t.TempDir(), Getenv: env(map[string]string{"HOME": "/home/u"})}, "", "", true},
		{"a container", User{Container: true, SystemDir: used, Writable: func(string) bool { return false }, Getenv: env(map[string]string{"HOME": "/home/u"})}, "", "", true},
		{"beside data of root's", User{SystemDir: used, Writable: func(string) bool { return false }, Getenv: env(map[string]string{"HOME": "/home/u"})}, "/home/u/.local/state/stackscope", "there is data of another user in " + used, false},
	} {
		if c.dir == "" {
			c.dir = c.user.SystemDir
		}
		if c.user.Writable == nil {
			c.user.Writable = writable
		}
		dir, note := c.user.DataDir("stackscope.db")
		if dir != c.dir || c.noteAbsent != (note == "") || !strings.Contains(note, c.noteHolds) {
			t.Errorf("%s: %s, %q", c.name, dir, note)
		}
	}
	if entries, err := os.ReadDir(used); err != nil || len(entries) != 1 {
		t.Errorf("something was left there: %v, %v", entries, err)
	}
}

func TestPort(t *testing.T) {
	if got := (User{Root: true}).Port("127.0.0.1"); got != SystemPort {
		t.Errorf("root: %d", got)
	}
	if got := (User{Container: true}).Port("127.0.0.1"); got != SystemPort {
		t.Errorf("a container: %d", got)
	}
	// Who may open port 80 keeps it, whoever that is: in a container it is published as 80.
	if got := (User{}).Port("127.0.0.1"); got != SystemPort && os.Geteuid() == 0 {
		t.Errorf("a user who may open it: %d", got)
	}
}
