//go:build unix

package programs

import (
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	return exec.Command(sh, "-c", script)
}

func TestProgramIsAwaitedAndStopped(t *testing.T) {
	p := Start(t, shell(t, `trap 'echo stopping; exit 3' TERM; echo ready; echo fault >&2; while :; do sleep 0.01; done`))
	p.Await(time.Minute, "ready", func() error {
		if !strings.Contains(p.Output(), "fault\n") {
			return errors.New(p.Output())
		}
		return nil
	})
	if p.Ended() {
		t.Error("it has ended")
	}
	p.Stop(syscall.SIGTERM)
	if !p.Ended() || p.ExitCode() != 3 || p.Err() == nil {
		t.Errorf("exit code %d, %v", p.ExitCode(), p.Err())
	}
	if got, want := p.Output(), "ready\nfault\nstopping\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestGroupIsKilledWithItsProgram(t *testing.T) {
	cmd := shell(t, `sleep 600 & echo $!; wait`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := Start(t, cmd)
	p.Await(time.Minute, "the child", func() error {
		if !strings.HasSuffix(p.Output(), "\n") {
			return errors.New("no process id yet")
		}
		return nil
	})
	p.Stop(syscall.SIGTERM) // returns when the child too has closed its output
	if !p.Ended() {
		t.Error("it is still running")
	}
}

func TestGetWantsOK(t *testing.T) {
	if _, err := Get("http://127.0.0.1:1/"); err == nil {
		t.Error("nobody answers, and that is no error")
	}
}
