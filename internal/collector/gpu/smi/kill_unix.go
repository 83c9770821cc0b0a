//go:build unix

package smi

import (
	"os/exec"
	"syscall"
)

// killWhole makes the end of cmd's context kill it with all that it started: tools that are shell or Python scripts leave
// children otherwise. SIGKILL, because a tool that hangs in its driver's library does not hear a milder signal.
func killWhole(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
