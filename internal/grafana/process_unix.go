//go:build unix && !linux

package grafana

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// attributes put a process into a group of its own.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// terminate asks the process and its group to end.
func terminate(pid int) { _ = syscall.Kill(-pid, syscall.SIGTERM) }

// kill ends the process and its group.
func kill(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// runs reports whether the process is a Grafana that was started as we start it; where it keeps its data can't be seen here.
func runs(pid int, _ string) bool {
	command, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
	return err == nil && strings.Contains(string(command), "grafana") && strings.Contains(string(command), "--homepath")
}
