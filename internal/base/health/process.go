package health

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxArguments bounds what is read of a process' command line and of its environment. Linux allows 6 MiB for both together.
	maxArguments = 8 << 20
	// maxProcesses bounds how many processes of the program are looked at.
	maxProcesses = 64
)

// Process is a process that runs this program.
type Process struct {
	PID  int
	Args []string // without the program
	Env  []string // KEY=VALUE, as the process got it
	// Dir leads to its working directory.
	Dir string

	proc    string
	parent  int
	started uint64 // clock ticks since the machine's start
}

// NoProcessError says that no process was found.
type NoProcessError struct {
	Name   string // of the program
	Others int    // processes of that name that this user may not look at
}

func (e *NoProcessError) Error() string {
	if e.Others > 0 {
		return fmt.Sprintf("no process of %s can be looked at: %d of that name belong to another user; run the check as that user or as root, or give an address with --url", e.Name, e.Others)
	}
	return fmt.Sprintf("no %s runs here; give the address of one that runs elsewhere with --url", e.Name)
}

// Find returns the processes that run the same program file as this process under the same root directory, the oldest first,
// without this process. proc is where procfs is mounted. Another container's processes have another root directory, also where this
// container sees them.
func Find(proc string) ([]Process, error) {
	self := filepath.Join(proc, "self")
	program, err := os.Stat(filepath.Join(self, "exe"))
	if err != nil {
		return nil, fmt.Errorf("the program of this process: %w; give an address with --url", err)
	}
	root, err := os.Stat(filepath.Join(self, "root") + "/")
	if err != nil {
		return nil, fmt.Errorf("the root directory of this process: %w; give an address with --url", err)
	}
	path, _ := os.Readlink(filepath.Join(self, "exe")) // without it, a program that was replaced is not found
	names, err := pids(proc)
	if err != nil {
		return nil, fmt.Errorf("the list of processes: %w; give an address with --url", err)
	}
	own := os.Getpid()
	missing := &NoProcessError{Name: filepath.Base(cmp.Or(path, os.Args[0]))}
	var found []Process
	for _, pid := range names {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		if pid == own {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, "exe"))
		switch {
		case err == nil && (os.SameFile(info, program) || replaced(dir, path)):
		case errors.Is(err, fs.ErrPermission) && comm(dir) == missing.Name[:min(len(missing.Name), commBytes)]:
			missing.Others++
			continue
		default:
			continue
		}
		if info, err := os.Stat(filepath.Join(dir, "root") + "/"); err != nil || !os.SameFile(info, root) {
			continue
		}
		if p, ok := read(proc, pid); ok {
			found = append(found, p)
		}
		if len(found) == maxProcesses {
			break
		}
	}
	if len(found) == 0 {
		return nil, missing
	}
	slices.SortFunc(found, func(a, b Process) int { return cmp.Or(cmp.Compare(a.started, b.started), cmp.Compare(a.PID, b.PID)) })
	return found, nil
}

func pids(proc string) ([]int, error) {
	dir, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	var list []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			list = append(list, pid)
		}
	}
	return list, nil
}

// replaced reports whether a process runs a file that was at path before the one that is there now, as after an upgrade.
func replaced(dir, path string) bool {
	link, err := os.Readlink(filepath.Join(dir, "exe"))
	return err == nil && path != "" && link == strings.TrimSuffix(path, deleted)+deleted
}

const (
	deleted   = " (deleted)" // what Linux appends
	commBytes = 15           // what Linux keeps of a process' name
)

func comm(dir string) string {
	data, _ := readFile(filepath.Join(dir, "comm"), 64) // a process that has ended has no name
	return strings.TrimSuffix(string(data), "\n")
}

// read returns a process; false: it has ended, is a zombie, or may not be read.
func read(proc string, pid int) (p Process, ok bool) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	p = Process{PID: pid, Dir: filepath.Join(dir, "cwd"), proc: dir}
	arguments, err := readFile(filepath.Join(dir, "cmdline"), maxArguments)
	if err != nil || len(arguments) == 0 {
		return p, false
	}
	environment, err := readFile(filepath.Join(dir, "environ"), maxArguments)
	if err != nil {
		return p, false
	}
	stat, err := readFile(filepath.Join(dir, "stat"), 4<<10)
	if err != nil {
		return p, false
	}
	p.Args, p.Env = words(arguments)[1:], words(environment)
	p.parent, p.started = parentAndStart(stat)
	return p, true
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit))
	return data, errors.Join(err, f.Close())
}

// words splits what Linux ends with a zero byte each.
func words(data []byte) []string {
	return strings.Split(string(bytes.TrimSuffix(data, []byte{0})), "\x00")
}

// parentAndStart returns fields 4 and 22 of /proc/PID/stat (proc_pid_stat(5)). The name, field 2, may hold anything.
func parentAndStart(stat []byte) (parent int, started uint64) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(fields[1])
	started, _ = strconv.ParseUint(fields[19], 10, 64)
	return parent, started
}

// SameNetwork reports whether the process' loopback is this process'. It is, where that cannot be told.
func (p *Process) SameNetwork() bool {
	own, err := os.Readlink(filepath.Join(filepath.Dir(p.proc), "self", "ns", "net"))
	if err != nil {
		return true
	}
	its, err := os.Readlink(filepath.Join(p.proc, "ns", "net"))
	return err != nil || its == own
}
