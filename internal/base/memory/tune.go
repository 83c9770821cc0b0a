package memory

import (
	"os"
	"runtime/debug"
)

const (
	// garbagePercent is how much garbage there may be for what is in use. Queries, series and pages leave much of it behind, and
	// memory is dearer to a server or an agent than the CPU time of collecting it.
	garbagePercent = 50
	// groupShare is the percentage of a control group's memory that Go's runtime keeps below.
	groupShare = 90
)

// Tune makes Go's runtime keep within the memory of this process' control group, and keep little garbage. GOGC and GOMEMLIMIT in the
// environment win.
func Tune() {
	tune(Limit(), os.Getenv, debug.SetGCPercent, debug.SetMemoryLimit)
}

// KeepLittleGarbage is the part of Tune for a process that bounds its memory itself. GOGC in the environment wins.
func KeepLittleGarbage() { tune(Bound{}, os.Getenv, debug.SetGCPercent, debug.SetMemoryLimit) }

func tune(limit Bound, getenv func(string) string, setPercent func(int) int, setLimit func(int64) int64) {
	if getenv("GOGC") == "" {
		setPercent(garbagePercent)
	}
	if getenv("GOMEMLIMIT") == "" && limit.Group {
		setLimit(limit.Bytes / 100 * groupShare)
	}
}
