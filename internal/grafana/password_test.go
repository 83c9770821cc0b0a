package grafana

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/simgrafana"
)

// called returns how Grafana's command line was called since it was asked last.
func called(g *Grafana) string {
	text, _ := os.ReadFile(data(g, "cli.log"))
	_ = os.Remove(data(g, "cli.log"))
	return string(text)
}

// runOnce runs g until it answers.
func runOnce(t *testing.T, g *Grafana) {
	t.Helper()
	stop := run(t, g)
	await(t, g, "running", running)
	stop()
}

// admits runs g until it answers and reports with which of the passwords its administrator may log in.
func admits(t *testing.T, g *Grafana, passwords ...string) (good []string) {
	t.Helper()
	stop := run(t, g)
	defer stop()
	await(t, g, "running", running)
	for _, password := range passwords {
		if status, _ := call(t, g, "admin:"+password, http.MethodGet, "/api/user", ""); status == http.StatusOK {
			good = append(good, password)
		}
	}
	return good
}

func TestPasswordIsAppliedOnce(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, lines := newFake(t, simgrafana.Play{}, func(o *Options) { o.AdminPassword = "first one" })
	const reset = "admin reset-admin-password --password-from-stdin\n"
	for _, c := range []struct {
		what          string
		change        func(*Options)
		called, valid string
	}{
		{"a database that isn't there yet", func(o *Options) { o.AdminPassword = "first one" }, "", "first one"},
		{"the same again", func(o *Options) { o.AdminPassword = "first one" }, "", "first one"},
		{"another one", func(o *Options) { o.AdminPassword = "second one" }, reset, "second one"},
		{"that one again", func(o *Options) { o.AdminPassword = "second one" }, "", "second one"},
		{"the operator's", func(o *Options) { o.Environ = append(o.Environ, envAdminPassword+"=the operator's") }, reset, "the operator's"},
		{"the operator's again", func(o *Options) { o.Environ = append(o.Environ, envAdminPassword+"=the operator's") }, "", "the operator's"},
		{"none: the well-known one must not come back", func(*Options) {}, "", "the operator's"},
		{"one that only Grafana can read", func(o *Options) { o.Environ = append(o.Environ, envAdminPassword+"=$__file{"+secret+"}") }, "", "the operator's"},
	} {
		g, log := newFake(t, simgrafana.Play{}, func(o *Options) { o.Dir = first.opts.Dir; c.change(o) })
		good := admits(t, g, "grafana", "first one", "second one", "the operator's", "from a file")
		if got := called(g); got != c.called || strings.Join(good, ", ") != c.valid {
			t.Errorf("%s: called %q, want %q; good passwords %q, want %q", c.what, got, c.called, good, c.valid)
		}
		if strings.Contains(log.String(), "well-known") {
			t.Errorf("%s: a warning of the well-known password", c.what)
		}
		if c.valid != "first one" {
			continue
		}
		hash, err := os.ReadFile(data(first, passwordFile))
		if err != nil || strings.Contains(string(hash), "first") {
			t.Errorf("kept %q, %v", hash, err)
		}
		if info, err := os.Stat(data(first, passwordFile)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if strings.Contains(lines.String(), "level=WARN") {
		t.Error("a warning although a password is set")
	}
}

// A database that the operator names has the chosen password from the first start on, whoever made it, with what password.
func TestPasswordOfTheOperatorsDatabase(t *testing.T) {
	theirs := filepath.Join(t.TempDir(), "theirs.db")
	with := func(password string) *Grafana {
		g, _ := newFake(t, simgrafana.Play{}, func(o *Options) {
			o.AdminPassword, o.Environ = password, append(o.Environ, "GF_DATABASE_PATH="+theirs)
		})
		return g
	}
	for _, password := range []string{"first one", "second one"} { // the second is another stackscope's, which knows of nothing
		if good := admits(t, with(password), "grafana", "first one", "second one"); len(good) != 1 || good[0] != password {
			t.Errorf("with %q: good passwords %q", password, good)
		}
	}
}

func TestPasswordThatCannotBeApplied(t *testing.T) {
	g, lines := newFake(t, simgrafana.Play{}, func(o *Options) { o.AdminPassword = "correct horse" })
	home := g.opts.Home
	old, _ := newFake(t, simgrafana.Play{}, func(o *Options) { o.Dir = g.opts.Dir })
	runOnce(t, old)
	for _, c := range []struct {
		play   simgrafana.Play
		reason string
	}{
		{simgrafana.Play{CLIEnds: "the lock is rusty"}, "the admin's password cannot be set: the lock is rusty"},
		{simgrafana.Play{Disk: simgrafana.DiskFull}, "the admin's password cannot be set: migration failed (id = create index UQE_user_login - v1): database or disk is full: free space on the disk that holds " + g.opts.Dir + ", or choose another with --data-dir"},
	} {
		simgrafana.Set(t, home, c.play)
		stop := run(t, g)
		if s := await(t, g, "waiting", waiting); s.Reason != c.reason {
			t.Errorf("reason %q, want %q", s.Reason, c.reason)
		}
		stop()
	}
	simgrafana.Set(t, home, simgrafana.Play{})
	if good := admits(t, g, "grafana", "correct horse"); len(good) != 1 || good[0] != "correct horse" {
		t.Errorf("good passwords %q", good)
	}
	if strings.Contains(lines.String(), "correct horse") {
		t.Error("the password is in the log")
	}
}

func TestWellKnownPasswordIsWarnedOf(t *testing.T) {
	g, lines := newFake(t, simgrafana.Play{})
	if good := admits(t, g, "admin", "grafana"); len(good) != 1 || good[0] != "grafana" {
		t.Errorf("good passwords %q", good)
	}
	if n := strings.Count(lines.String(), "level=WARN"); n != 1 || !strings.Contains(lines.String(), "--grafana-admin-password") {
		t.Errorf("%d warnings", n)
	}
	if exists(data(g, passwordFile)) {
		t.Error("a hash of the well-known password is kept: the next start would not warn")
	}
	g, lines = newFake(t, simgrafana.Play{}, func(o *Options) { o.Environ = append(o.Environ, envAdminPassword+"=theirs") })
	runOnce(t, g)
	if strings.Contains(lines.String(), "level=WARN") {
		t.Error("a warning although the operator set a password")
	}
}
