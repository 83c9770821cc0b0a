//go:build !unix

package grafana

import (
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

// terminate ends the process: it can't be asked here.
func terminate(pid int) { kill(pid) }

// kill ends the process.
func kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

// runs reports whether the process may be a Grafana that an earlier run left behind.
func runs(int, string) bool { return false }
