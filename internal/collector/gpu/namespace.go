package gpu

import (
	"os"
	"path/filepath"
)

// firstPIDNamespace is how the kernel names the machine's own process numbers (PROC_PID_INIT_INO in linux/proc_ns.h).
const firstPIDNamespace = "pid:[4026531836]"

// sharesPIDs says whether this program sees processes under the machine's numbers. In a pid namespace of its own it doesn't, and
// drivers then list processes by the machine's numbers, by the namespace's or not at all, so that none of them can be told.
// Where the system doesn't say, it is taken to.
func sharesPIDs(root string) bool {
	namespace, err := os.Readlink(filepath.Join(root, "proc/self/ns/pid"))
	return err != nil || namespace == firstPIDNamespace
}
