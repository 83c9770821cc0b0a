//go:build !linux

package discovery

import (
	"os"
	"path/filepath"
)

func readFile(name string, buf []byte, limit int, _ func([]byte, bool) bool) ([]byte, error) {
	data, err := os.ReadFile(name)
	if len(data) > limit {
		data = data[:limit]
	}
	return append(buf[:0], data...), err
}

// pids appends the ids of all processes. Systems other than Linux have no /proc of this kind, but a tree for tests may be
// there.
func (f *procfs) pids(dst []int) ([]int, error) {
	entries, err := os.ReadDir(f.root)
	for _, entry := range entries {
		if pid, ok := parsePID([]byte(entry.Name())); ok {
			dst = append(dst, pid)
		}
	}
	return dst, err
}

func (f *procfs) network(pid string) string {
	name, err := os.Readlink(filepath.Join(f.root, pid, "ns", "net"))
	if err != nil {
		return ""
	}
	return name
}

func networkByFile(string) string { return "" }
