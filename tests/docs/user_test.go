package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// nobody is the user of commands that are tried without root.
const nobody = 65534

// asUser makes the page's commands those of a user without root, with the programs in place. The state of what they start is in the
// user's home directory. A test that does not run as root is such a user.
func (g *guide) asUser() {
	g.t.Helper()
	g.env = append(g.env, "USER=nobody")
	if os.Getuid() != 0 {
		return
	}
	g.user = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	bin := g.t.TempDir()
	for _, name := range []string{"stackscope", "stackscope-worker"} {
		if err := os.Link(filepath.Join(g.bin, name), filepath.Join(bin, name)); err != nil {
			copyProgram(g.t, filepath.Join(g.bin, name), filepath.Join(bin, name))
		}
	}
	for i, setting := range g.env {
		if name, value, _ := strings.Cut(setting, "="); name == "PATH" {
			g.env[i] = "PATH=" + strings.Replace(value, g.bin, bin, 1)
		} else if name == "HOME" || name == "TMPDIR" {
			g.give(value)
		}
	}
	g.bin = bin
	g.give(g.dir)
	open(g.t, bin)
	open(g.t, g.shims)
	shims, err := filepath.Glob(filepath.Join(g.shims, "*"))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, path := range shims {
		if err := os.Chmod(path, 0o755); err != nil {
			g.t.Fatal(err)
		}
	}
}

// give makes a folder the user's.
func (g *guide) give(dir string) {
	g.t.Helper()
	open(g.t, dir)
	if g.user == nil {
		return
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		g.t.Fatal(err)
	}
}

// open lets other users into a folder of a test.
func open(t *testing.T, dir string) {
	t.Helper()
	for _, dir := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// homeServer adds a server whose data directory is the one that a user gets without a setting.
func (g *guide) homeServer(name string) *server {
	g.t.Helper()
	s := g.newServer()
	for _, setting := range g.env {
		if home, ok := strings.CutPrefix(setting, "HOME="); ok {
			s.dir = filepath.Join(home, ".local", "state", "stackscope")
		}
	}
	s.atHome = true
	s.more = []string{"GPUSTACK_GRAFANA_HOME=", "GPUSTACK_DISABLE_BUILTIN_GRAFANA=true"} // the test's Grafana is not the user's
	g.servers[name] = s
	return s
}

// start runs a program of the page until the test ends.
func (g *guide) start(env []string, name string, args ...string) *programs.Program {
	g.t.Helper()
	var user *syscall.Credential
	if g.user != nil {
		user = g.user.Credential
	}
	return startAs(g.t, user, g.dir, env, name, args...)
}

// goOn starts a command that goes on, and waits for what it should print.
func (g *guide) goOn(b *block) error {
	env := append([]string{}, g.env...)
	text := b.text
	for _, s := range g.servers {
		env, text = append(env, s.env()...), s.replacer().Replace(text)
	}
	p := g.start(env, "bash", "-euo", "pipefail", "-c", g.vars+text)
	programs.Eventually(g.t, 30*time.Second, "it prints what it should", func() error {
		if p.Ended() {
			g.t.Fatalf("%s:%d: it ended: %s", g.path, b.line, p.Output())
		}
		for _, want := range b.expect {
			if !strings.Contains(p.Output(), want) {
				return fmt.Errorf("no %q in %s", want, p.Output())
			}
		}
		return nil
	})
	return nil
}
