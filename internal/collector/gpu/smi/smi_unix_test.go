//go:build unix

package smi

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// tool writes a script into a folder in PATH and returns its name.
func tool(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "test-smi")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return "test-smi"
}

// processIn returns the id that stands in file.
func processIn(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) }

// ended waits until no process has the id that stands in file.
func ended(t *testing.T, file string) {
	t.Helper()
	pid := processIn(t, file)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if gone(pid) {
			return
		}
	}
	t.Errorf("process %d of the tool is still there", pid)
}

// zombie says whether a process has died and waits for a parent to collect it; here that may be no one's business.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}

func TestRunReturnsWhatTheToolPrints(t *testing.T) {
	name := tool(t, `echo "$1 $2"; echo "LC_ALL=$LC_ALL LANG=$LANG" ; echo aside >&2`)
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	out, err := Run(t.Context(), name, "info", "-l")
	if err != nil {
		t.Fatal(err)
	}
	if want := "info -l\nLC_ALL=C LANG=C\n"; string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestRunMissingTool(t *testing.T) {
	_, err := Run(t.Context(), "no-such-smi")
	if !errors.Is(err, gpu.ErrAbsent) || !strings.Contains(err.Error(), "no-such-smi") {
		t.Errorf("got %v, want ErrAbsent with the tool's name", err)
	}
}

func TestRunFailingTool(t *testing.T) {
	for _, test := range []struct{ name, script, want, out string }{
		{"its complaint", `echo part; echo; echo "  dcmi module initialize failed  " >&2; echo more >&2; exit 3`, "test-smi info: exit status 3: dcmi module initialize failed", "part\n\n"},
		{"its output where it complains to nobody", `echo "no device"; exit 1`, "test-smi info: exit status 1: no device", "no device\n"},
		{"nothing", `exit 2`, "test-smi info: exit status 2", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := Run(t.Context(), tool(t, test.script), "info")
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if string(out) != test.out {
				t.Errorf("got output %q, want %q", out, test.out)
			}
		})
	}
}

func TestRunKillsHangingToolWithItsChildren(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DIR", dir)
	for _, test := range []struct{ name, script string }{
		{"children", `echo $$ >"$DIR/tool"; sleep 300 & echo $! >"$DIR/child"; wait`},
		{"deaf to mild signals, children hold its output", `trap '' TERM INT HUP; echo $$ >"$DIR/tool"; (trap '' TERM INT HUP; sleep 300) & echo $! >"$DIR/child"; while :; do sleep 1; done`},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := tool(t, test.script)
			out, err := runner{2 * time.Second, 100 * time.Millisecond}.run(t.Context(), name, "info")
			if want := "test-smi info: killed, it did not end within 2s: the driver or tool does not answer"; !errors.Is(err, gpu.ErrHangs) || err.Error() != want {
				t.Errorf("got %v, want %q", err, want)
			}
			if out != nil {
				t.Errorf("got output %q of a tool that was killed", out)
			}
			ended(t, filepath.Join(dir, "tool"))
			ended(t, filepath.Join(dir, "child"))
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := Run(ctx, tool(t, "sleep 300"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestRunToolThatLeavesADaemonBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DIR", dir)
	name := tool(t, `echo card 0; (trap 'kill $!' TERM; sleep 300 & wait; echo >"$DIR/over") & echo $! >"$DIR/child"`)
	out, err := runner{time.Hour, 50 * time.Millisecond}.run(t.Context(), name)
	if err != nil || string(out) != "card 0\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "over")); err == nil {
		t.Error("waited for what the tool left behind")
	}
	_ = syscall.Kill(processIn(t, filepath.Join(dir, "child")), syscall.SIGTERM)
	ended(t, filepath.Join(dir, "child"))
}

func TestRunBoundsOutput(t *testing.T) {
	out, err := Run(t.Context(), tool(t, `exec yes "too much of it"`))
	if err == nil || !strings.Contains(err.Error(), "printed more than 4194304 bytes") || out != nil {
		t.Errorf("got %d bytes, %v", len(out), err)
	}
	out, err = Run(t.Context(), tool(t, `head -c 1000000 /dev/zero >&2; echo fine`))
	if err != nil || !bytes.Equal(out, []byte("fine\n")) {
		t.Errorf("complaints without end: got %q, %v", out, err)
	}
}

func TestLibrariesOfAToolOutsidePath(t *testing.T) {
	if got := libraries("/usr/local/corex/bin/ixsmi", ""); got != "/usr/local/corex/lib64:/usr/local/corex/lib" {
		t.Errorf("got %s", got)
	}
	if got := libraries("/opt/a/b", "/x:/y"); got != "/opt/lib64:/opt/lib:/x:/y" {
		t.Errorf("got %s", got)
	}
}
