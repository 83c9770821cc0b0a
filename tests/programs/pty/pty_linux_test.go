package pty_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/tests/programs/pty"
)

func TestSession(t *testing.T) {
	s := pty.Start(t, exec.CommandContext(t.Context(), "sh", "-c", `test -t 0 && test -t 2 && stty size && read answer && echo "got $answer" && exit 3`), 132, 40)
	s.Await("40 132\n")
	s.Type("yes\n")
	if code := s.ExitCode(); code != 3 || !strings.HasSuffix(s.Screen(), "got yes\n") {
		t.Errorf("exit code %d, %q", code, s.Screen())
	}
}

func TestKeys(t *testing.T) {
	s := pty.Start(t, exec.CommandContext(t.Context(), "sh", "-c", "echo waits; read answer; exit 4"), 80, 24)
	s.Await("waits")
	s.Type(pty.CtrlD)
	if code := s.ExitCode(); code != 4 {
		t.Errorf("Ctrl-D: exit code %d", code)
	}
	s = pty.Start(t, exec.CommandContext(t.Context(), "sh", "-c", "echo waits; read answer"), 80, 24)
	s.Await("waits")
	s.Type(pty.CtrlC)
	if code := s.ExitCode(); code != -1 && code != 130 { // dash dies of the signal, bash exits
		t.Errorf("Ctrl-C: exit code %d", code)
	}
}
