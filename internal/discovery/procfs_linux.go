package discovery

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
)

// readFile reads a file into buf, or into a larger buffer, up to about limit bytes or until enough, if not nil, returns true. os.File
// would allocate for each of thousands of files.
func readFile(name string, buf []byte, limit int, enough func(got []byte, full bool) bool) ([]byte, error) {
	fd, err := open(name, 0)
	if err != nil {
		return buf[:0], err
	}
	defer func() { _ = syscall.Close(fd) }()
	n := 0
	for n < limit {
		if n == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		got, err := syscall.Read(fd, buf[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return buf[:0], err
		}
		if got <= 0 {
			break
		}
		n += got
		if enough != nil && enough(buf[:n], n == len(buf)) {
			break
		}
	}
	return buf[:n], nil
}

func open(name string, flags int) (int, error) {
	for {
		fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC|flags, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// pids appends the ids of all processes.
func (f *procfs) pids(dst []int) ([]int, error) {
	if f.dir == nil {
		f.dir = make([]byte, 32<<10)
	}
	fd, err := open(f.root, syscall.O_DIRECTORY)
	if err != nil {
		return dst, &os.PathError{Op: "open", Path: f.root, Err: err}
	}
	defer func() { _ = syscall.Close(fd) }()
	for {
		n, err := syscall.ReadDirent(fd, f.dir)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return dst, &os.PathError{Op: "read", Path: f.root, Err: err}
		}
		if n <= 0 {
			return dst, nil
		}
		dst = appendPIDs(dst, f.dir[:n])
	}
}

// appendPIDs appends the process ids among directory entries of getdents64: inode and offset (8 bytes each), length (2), type (1),
// name with a zero byte at its end.
func appendPIDs(dst []int, entries []byte) []int {
	const nameAt = 19
	for len(entries) > nameAt {
		size := int(binary.NativeEndian.Uint16(entries[16:]))
		if size <= nameAt || size > len(entries) {
			return dst
		}
		name := entries[nameAt:size]
		for i, c := range name {
			if c == 0 {
				name = name[:i]
				break
			}
		}
		if pid, ok := parsePID(name); ok {
			dst = append(dst, pid)
		}
		entries = entries[size:]
	}
	return dst
}

// network returns a name of the network namespace of a process: the target of ns/net, or, if that may not be read, the inode of
// net/tcp, which differs between namespaces.
func (f *procfs) network(pid string) string {
	dir := filepath.Join(f.root, pid)
	if name, err := os.Readlink(filepath.Join(dir, "ns", "net")); err == nil {
		return name
	}
	return networkByFile(dir)
}

func networkByFile(dir string) string {
	info, err := os.Stat(filepath.Join(dir, "net", "tcp"))
	if err != nil {
		return ""
	}
	status, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	var number [8]byte
	binary.NativeEndian.PutUint64(number[:], status.Ino)
	return "file:" + string(number[:])
}
