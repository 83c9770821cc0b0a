package grafana

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"syscall"
)

// attributes put a process into a group of its own and have it killed when we die, however that happens.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// terminate asks the process and its group to end.
func terminate(pid int) { _ = syscall.Kill(-pid, syscall.SIGTERM) }

// kill ends the process and its group.
func kill(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// runs reports whether the process is a Grafana that keeps its data in dir.
func runs(pid int, dir string) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && slices.ContainsFunc(bytes.Split(env, []byte{0}), func(pair []byte) bool {
		return string(pair) == "GF_PATHS_DATA="+dir
	})
}
