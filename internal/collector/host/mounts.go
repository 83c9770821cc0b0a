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
	device     string // a path, a server's export, or another name of the filesystem
	number     string // major:minor
	mountpoint string
	fstype     string
	bind       bool // it shows only a part of a filesystem
}

// parseMounts reads a mountinfo table (https://docs.kernel.org/filesystems/proc.html#proc-pid-mountinfo-information-about-mounts):
//
//	36 35 98:0 /sub /mnt rw,noatime master:1 - ext3 /dev/sda1 rw,errors=continue
//
// A malformed line is skipped; err is about the first one.
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
		// If the source is not a path, as for nsfs, only the root distinguishes the mounts.
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

// blockDevice returns the kernel's name of a device: /dev/mapper/NAME is a link to /dev/dm-N, and /dev/root does not exist.
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

// unescape decodes the separators of fields and lines, which the kernel writes as octal numbers.
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
