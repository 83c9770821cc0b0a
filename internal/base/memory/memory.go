// Package memory tells how much memory this process may use.
package memory

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// Bound is a number of bytes and who set it.
type Bound struct {
	Bytes  int64
	Source string
	Group  bool // a control group set it: beyond it the process is killed
}

// Limit returns the smallest bound on this process' memory: of its control groups, of Go's runtime (GOMEMLIMIT) and of the
// machine. It is zero where none can be read.
func Limit() Bound {
	return limit(os.DirFS("/"), debug.SetMemoryLimit(-1))
}

func limit(root fs.FS, runtimeLimit int64) Bound {
	var least Bound
	consider := func(bytes int64, source string, group bool) {
		if bytes > 0 && (least.Bytes == 0 || bytes < least.Bytes) {
			least = Bound{bytes, source, group}
		}
	}
	consider(machine(root), "the machine's memory", false)
	if runtimeLimit < math.MaxInt64 {
		consider(runtimeLimit, "GOMEMLIMIT", false)
	}
	for _, file := range groupFiles(root) {
		consider(number(root, file), "/"+file, true)
	}
	return least
}

// groupFiles returns the files that bound this process' control group and those above it, of version 2 and of version 1. In a
// container the group's own path may not be there; then the root that the container sees is its own group.
func groupFiles(root fs.FS) []string {
	const v2, v1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"
	files := []string{v2 + "/memory.max", v2 + "/memory.high", v1 + "/memory.limit_in_bytes"}
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return files
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for group := path.Clean("/" + parts[2]); group != "/"; group = path.Dir(group) {
			switch {
			case parts[0] == "0" && parts[1] == "":
				files = append(files, v2+group+"/memory.max", v2+group+"/memory.high")
			case contains(parts[1], "memory"):
				files = append(files, v1+group+"/memory.limit_in_bytes")
			}
		}
	}
	return files
}

func contains(list, name string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if item == name {
			return true
		}
	}
	return false
}

// number reads a file that holds one number; 0 where it holds another thing, like "max".
func number(root fs.FS, file string) int64 {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// machine returns MemTotal.
func machine(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "MemTotal:" && fields[2] == "kB" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil || n < 0 || n > math.MaxInt64>>10 {
				return 0
			}
			return n << 10
		}
	}
	return 0
}
