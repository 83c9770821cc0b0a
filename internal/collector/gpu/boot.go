package gpu

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// bootTime is when the machine was started, zero if that cannot be read.
func bootTime(root string) time.Time {
	data, err := os.ReadFile(filepath.Join(root, "proc/uptime"))
	if err != nil {
		return time.Time{}
	}
	up, _, _ := strings.Cut(string(data), " ")
	seconds, err := strconv.ParseFloat(up, 64)
	if err != nil || !(seconds >= 0 && seconds < 1e9) {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(seconds * float64(time.Second)))
}

// bootID says which start of the machine this is, "" if that cannot be read.
func bootID(root string) string {
	data, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel/random/boot_id"))
	if err != nil {
		return ""
	}
	return clip(string(bytes.TrimSpace(data)))
}
