package discovery

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Bounds of what is read of one process.
const (
	maxCmdlineBytes = 128 << 10
	maxEnvironBytes = 256 << 10
	maxStatBytes    = 4 << 10
	maxCgroupBytes  = 64 << 10
	maxTrieBytes    = 512 << 10
	maxSocketBytes  = 4 << 20
	maxFDs          = 4096
)

// procfs reads files of processes into one buffer, so that a round over thousands of processes hardly allocates. It is for one
// goroutine at a time.
type procfs struct {
	root string // where proc is mounted
	buf  []byte
	dir  []byte // for listing the processes

	fail func(pid int, name string) error // in tests: called before each read, may make it fail
}

func newProcfs(root string) *procfs { return &procfs{root: root} }

// file reads at most limit bytes of /proc/PID/NAME. The bytes are valid until the next call.
func (f *procfs) file(pid int, name string, limit int) ([]byte, error) {
	if f.fail != nil {
		if err := f.fail(pid, name); err != nil {
			return nil, err
		}
	}
	return f.read(f.path(pid, name), limit, lastPiece)
}

// lastPiece stops reading at the first piece that does not fill the buffer: the kernel writes most files of a process in one piece.
func lastPiece(_ []byte, full bool) bool { return !full }

// read reads a file, at most limit bytes, until enough returns true. enough may be nil; full says that the buffer is full.
func (f *procfs) read(name string, limit int, enough func(got []byte, full bool) bool) ([]byte, error) {
	const first = 8 << 10
	if f.buf == nil {
		f.buf = make([]byte, first)
	}
	buf, err := readFile(name, f.buf[:cap(f.buf)], limit, enough)
	if cap(buf) > cap(f.buf) {
		f.buf = buf[:cap(buf)]
	}
	return buf[:min(len(buf), limit)], err
}

func (f *procfs) path(pid int, name string) string {
	var b strings.Builder
	b.Grow(len(f.root) + len(name) + 12)
	b.WriteString(f.root)
	b.WriteByte(filepath.Separator)
	b.WriteString(strconv.Itoa(pid))
	b.WriteByte(filepath.Separator)
	b.WriteString(name)
	return b.String()
}

// stat reads a process' stat.
func (f *procfs) stat(pid int) (stat, error) {
	text, err := f.file(pid, "stat", maxStatBytes)
	if err != nil {
		return stat{}, err
	}
	s, ok := parseStat(text)
	if !ok {
		return stat{}, errGarbled
	}
	return s, nil
}

var errGarbled = errors.New("not in the format of Linux")

// isGone reports whether an error means that the process has ended.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// isDenied reports whether an error means that the process may not be read.
func isDenied(err error) bool { return errors.Is(err, fs.ErrPermission) }

// stat is part of /proc/PID/stat.
type stat struct {
	ppid  int
	start uint64 // clock ticks since boot
	// programHash changes when the process starts another program by exec.
	programHash uint64
}

// ticksPerSecond is the unit of stat's times: hundredths of a second on every architecture with GPUs.
const ticksPerSecond = 100

// parseStat parses /proc/PID/stat. The program's name is in parentheses and may itself hold blanks and parentheses.
func parseStat(text []byte) (stat, bool) {
	const (
		fieldPPID     = 4
		fieldStart    = 22
		fieldArgStart = 48
	)
	begin, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if begin < 0 || end < begin {
		return stat{}, false
	}
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	s := stat{programHash: offset}
	for _, c := range text[begin:end] {
		s.programHash = (s.programHash ^ uint64(c)) * prime
	}
	field, seen := 2, 0
	for word := range bytes.FieldsSeq(text[end+1:]) {
		field++
		if field != fieldPPID && field != fieldStart && field != fieldArgStart {
			continue
		}
		v, ok := parseUint(word)
		if !ok {
			return stat{}, false
		}
		switch field {
		case fieldPPID:
			if v > math.MaxInt32 {
				return stat{}, false
			}
			s.ppid = int(v)
		case fieldStart:
			s.start = v
		case fieldArgStart:
			s.programHash = (s.programHash ^ v) * prime
		}
		if seen++; field == fieldArgStart {
			break
		}
	}
	return s, seen >= 2
}

// parseUint parses a decimal number without allocating.
func parseUint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		if c-'0' > 9 || v > (math.MaxUint64-uint64(c-'0'))/10 {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}

// parsePID parses the name of a directory in /proc.
func parsePID(name []byte) (int, bool) {
	if len(name) == 0 || name[0] == '0' || len(name) > 10 {
		return 0, false
	}
	v, ok := parseUint(name)
	return int(v), ok && v <= math.MaxInt32
}

// bootTime returns when the machine booted, in Unix seconds, from the text of /proc/stat.
func bootTime(text []byte) (int64, bool) {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			v, ok := parseUint(bytes.TrimSpace(rest))
			return int64(v), ok && v > 0 && v < math.MaxInt32*4
		}
	}
	return 0, false
}
