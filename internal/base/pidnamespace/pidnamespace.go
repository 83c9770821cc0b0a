// Package pidnamespace tells a container's process numbers from the machine's.
package pidnamespace

import (
	"os"
	"path/filepath"
)

// first is how the kernel names the machine's own process numbers (PROC_PID_INIT_INO in linux/proc_ns.h).
const first = "pid:[4026531836]"

// Own reports whether this program sees processes under numbers of its own, by the /proc below root, and not under the machine's. Where the
// system doesn't say, it does not.
func Own(root string) bool {
	namespace, err := os.Readlink(filepath.Join(root, "proc/self/ns/pid"))
	return err == nil && namespace != first
}
