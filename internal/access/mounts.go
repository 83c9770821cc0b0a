package access

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// foreignRoot says that what the worker has at its root is not the machine's root; empty: it is, or that cannot be seen. A container
// without the machine's processes shows by its file system that it is one.
func (m *machine) foreignRoot(ownPIDs bool) string {
	ours, kind := mountAt("/proc/self/mountinfo", filepath.Clean(m.root))
	first, _ := mountAt(m.path("proc/1/mountinfo"), "/")
	switch {
	case m.root != "/" && ours == "": // a folder without a mount of its own, such as a copy
		return ""
	case ownPIDs && m.root == "/" && (kind == "overlay" || kind == "fuse.fuse-overlayfs" || kind == "aufs"):
		return "the root is a container's " + kind
	case ours != "" && first != "" && ours != first:
		return "the root is device " + ours + ", and that of process 1 is " + first
	}
	return ""
}

// mountAt returns the device (major:minor), with the folder of it, and the kind of the file system that is mounted at a place, by a table of
// mounts; empty: none, or the table cannot be read. Of several at one place only the last is visible.
func mountAt(table, place string) (device, kind string) {
	const number, folder, mountpoint = 2, 3, 4
	text, err := os.ReadFile(table)
	if err != nil {
		return "", ""
	}
	for line := range bytes.Lines(text) {
		before, after, ok := strings.Cut(string(line), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if ok && len(fields) > mountpoint && len(rest) > 0 && fields[mountpoint] == place {
			device, kind = fields[number]+" "+fields[folder], rest[0]
		}
	}
	return device, kind
}

// onlyPairedDevices reports whether each network device but loopback is one end of a pair whose other end is in another network
// namespace, or there is none.
func onlyPairedDevices() bool {
	const net = "/sys/class/net"
	names, err := os.ReadDir(net)
	if err != nil {
		return false
	}
	for _, e := range names {
		device := filepath.Join(net, e.Name())
		own, link := text(device+"/ifindex"), text(device+"/iflink")
		if e.Name() != "lo" && (own == "" || own == link || exists(device+"/device")) {
			return false
		}
	}
	return true
}
