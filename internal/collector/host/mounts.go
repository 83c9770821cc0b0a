package host

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mount is a line of a mountinfo table.
type mount struct {
	device     string // a path or a server's export, or what else the filesystem calls itself
	number     string // major:minor
	mountpoint string
	fstype     string
	bind       bool // it shows a part of a filesystem only
}

// parseMounts reads a mountinfo table (https://docs.kernel.org/filesystems/proc.html#proc-pid-mountinfo-information-about-mounts):
//
//	36 35 98:0 /sub /mnt rw,noatime master:1 - ext3 /dev/sda1 rw,errors=continue
//
// A line that is not understood is left out; err is about the first of them.
func (r *hostFS) parseMounts(table []byte) (mounts []mount, err error) {
	const number, root, mountpoint, fstype, source, options = 2, 3, 4, 0, 1, 2
	devices := map[string]string{} // the first name of a device, by its number
	for n, line := range numberedLines(table) {
		before, after, _ := strings.Cut(string(line), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if len(fields) <= mountpoint || len(rest) <= source {
			err = cmp.Or(err, fmt.Errorf("line %d of the table of mounts is not understood: %q", n, excerpt(line)))
			continue
		}
		m := mount{number: fields[number], mountpoint: unescape(fields[mountpoint]), fstype: rest[fstype]}
		// Where the source is no path, as of nsfs, only the root tells mounts apart.
		m.device = rest[source]
		isPath := strings.HasPrefix(m.device, "/")
		if !isPath && fields[root] != "/" {
			m.device = fields[root]
		}
		if first, ok := devices[m.number]; ok {
			m.device = first
		} else {
			devices[m.number] = m.device
		}
		// A btrfs subvolume is mounted from its own root.
		m.bind = isPath && fields[root] != "/" &&
			(len(rest) <= options || !slices.Contains(strings.Split(rest[options], ","), "subvol="+fields[root]))
		m.device = r.blockDevice(m)
		mounts = append(mounts, m)
	}
	return mounts, err
}

// blockDevice resolves names of devices that are not the kernel's: /dev/mapper/NAME is a link to /dev/dm-N, and /dev/root has
// no file.
func (r *hostFS) blockDevice(m mount) string {
	if strings.HasPrefix(m.device, "/dev/mapper/") {
		if path, err := filepath.EvalSymlinks(r.path(m.device)); err == nil {
			return path
		}
	}
	if m.device == "/dev/root" {
		if link, err := os.Readlink(r.path("sys", "dev", "block", m.number)); err == nil {
			return "/dev/" + filepath.Base(link)
		}
	}
	return m.device
}

// unescape puts back what the kernel writes as octal numbers, since it parts fields and lines.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\043`, "#", `\134`, `\`).Replace(s)
}

// firstTable reads the first of the tables that can be read.
func firstTable(tables []kernelFile, buf *[]byte) (text []byte, path string, err error) {
	for i := range tables {
		text, e := tables[i].read(buf)
		if e == nil {
			return text, tables[i].path, nil
		}
		// An error that is not about a missing file says more.
		if err == nil || os.IsNotExist(err) && !os.IsNotExist(e) {
			err = e
		}
	}
	return nil, "", err
}
