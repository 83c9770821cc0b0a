package docs_test

import (
	"os/exec"
	"syscall"
	"testing"

	"github.com/stackscope/stackscope/tests/programs"
)

// start runs a program in a process group of its own until the test ends: a page's command may be a shell that starts others.
func start(t *testing.T, dir string, env []string, name string, args ...string) *programs.Program {
	t.Helper()
	return startAs(t, nil, dir, env, name, args...)
}

// startAs does the same as another user; nil: as the test's.
func startAs(t *testing.T, user *syscall.Credential, dir string, env []string, name string, args ...string) *programs.Program {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: user}
	p := programs.Start(t, cmd)
	t.Cleanup(func() { p.Stop(syscall.SIGTERM) }) // so that it stops its Grafana, which has a group of its own
	return p
}
