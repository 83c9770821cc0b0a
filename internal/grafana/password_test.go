package grafana

import (
	"os"
	"strings"
	"testing"
)

func called(g *Grafana) string {
	text, _ := os.ReadFile(data(g, "cli.txt"))
	_ = os.Remove(data(g, "cli.txt"))
	return strings.ReplaceAll(string(text), g.opts.Home, "HOME")
}

// runOnce runs g until it answers.
func runOnce(t *testing.T, g *Grafana) {
	t.Helper()
	stop := run(t, g)
	await(t, g, "running", running)
	stop()
}

func TestPasswordIsAppliedOnce(t *testing.T) {
	first, lines := newFake(t, "healthy", func(o *Options) { o.AdminPassword = "first one" })
	runOnce(t, first)
	if got := called(first); got != "" {
		t.Errorf("the password of a database that isn't there was changed: %s", got)
	}
	if given, _ := os.ReadFile(data(first, "first-password")); string(given) != "first one" {
		t.Errorf("Grafana made its admin with %q", given)
	}
	hash, err := os.ReadFile(data(first, passwordFile))
	if err != nil || strings.Contains(string(hash), "first") {
		t.Errorf("kept %q, %v", hash, err)
	}
	if info, err := os.Stat(data(first, passwordFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if strings.Contains(lines.String(), "well-known") {
		t.Error("a warning although a password is set")
	}

	with := func(change func(*Options)) *Grafana {
		g, _ := newFake(t, "healthy", func(o *Options) { o.Dir, o.Home = first.opts.Dir, first.opts.Home; change(o) })
		runOnce(t, g)
		return g
	}
	if got := called(with(func(o *Options) { o.AdminPassword = "first one" })); got != "" {
		t.Errorf("it was applied again: %s", got)
	}
	const want = "cli --homepath HOME admin reset-admin-password --password-from-stdin\n"
	if got := called(with(func(o *Options) { o.AdminPassword = "second one" })); got != want+"second one\n" {
		t.Errorf("called with %q", got)
	}
	if got := called(with(func(o *Options) { o.Environ = append(o.Environ, envAdminPassword+"=the operator's") })); got != want+"the operator's\n" {
		t.Errorf("called with %q", got)
	}
	if got := called(with(func(*Options) {})); got != "" {
		t.Errorf("without a password the well-known one came back: %s", got)
	}
	if got := called(with(func(o *Options) { o.Environ = append(o.Environ, envAdminPassword+"=$__file{/run/secret}") })); got != "" {
		t.Errorf("a password that only Grafana can read was applied: %s", got)
	}
}

func TestPasswordThatCannotBeApplied(t *testing.T) {
	g, lines := newFake(t, "healthy", func(o *Options) { o.AdminPassword = "correct horse" })
	touch(t, data(g, "grafana.db"))
	touch(t, data(g, "cli-fails"))
	run(t, g)
	s := await(t, g, "waiting", waiting)
	if s.Reason != "the admin's password can't be set: the lock is rusty" {
		t.Errorf("reason %q", s.Reason)
	}
	if err := os.Remove(data(g, "cli-fails")); err != nil {
		t.Fatal(err)
	}
	await(t, g, "running", running)
	if strings.Contains(lines.String(), "correct horse") {
		t.Error("the password is in the log")
	}
}

func TestWellKnownPasswordIsWarnedOf(t *testing.T) {
	g, lines := newFake(t, "healthy")
	runOnce(t, g)
	if n := strings.Count(lines.String(), "level=WARN"); n != 1 || !strings.Contains(lines.String(), "--grafana-admin-password") {
		t.Errorf("%d warnings", n)
	}
	if given, _ := os.ReadFile(data(g, "first-password")); string(given) != "grafana" {
		t.Errorf("Grafana made its admin with %q", given)
	}
	if exists(data(g, passwordFile)) {
		t.Error("a hash of the well-known password is kept: the next start would not warn")
	}
	g, lines = newFake(t, "healthy", func(o *Options) { o.Environ = append(o.Environ, envAdminPassword+"=theirs") })
	runOnce(t, g)
	if strings.Contains(lines.String(), "level=WARN") {
		t.Error("a warning although the operator set a password")
	}
}
