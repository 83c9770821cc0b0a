package access

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Bounds of a check of the processes.
const (
	maxListed = 65536
	maxStats  = 4096 // processes whose user is looked at, spread over all
	maxUsers  = 16
	maxTries  = 4 // processes of each user
)

// seesKernelThreads reports whether the processes are the machine's: a container's do not include the kernel's threads.
func (m *machine) seesKernelThreads() bool { return m.text("proc/2/comm") == "kthreadd" }

// hiddenProcesses says how process 2 is hidden, a thread of the kernel that every machine has; empty: it is not, or there is no /proc. Some
// machines protect process 1 even from root.
func (m *machine) hiddenProcesses() string {
	if _, err := os.Stat(m.path("proc/self/stat")); err != nil {
		return ""
	}
	_, err := os.ReadFile(m.path("proc/2/stat"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "process 2 is not listed"
	case denied(err):
		return failed("/proc/2/stat", err)
	}
	return ""
}

// processes tries to read processes of each user but itself. details says how it failed to follow links such as ns/net, files how it
// failed to read environ and to list fd; empty: nothing failed. Processes that end meanwhile say nothing.
func (m *machine) processes() (details, files string) {
	for _, list := range m.perUser() {
		var link, file string
		linked, opened := false, false
		for _, pid := range list {
			switch why, gone := m.followLinks(pid); {
			case gone:
				continue
			case why != "":
				link = why
				continue
			}
			linked = true
			switch why, gone := m.readFiles(pid); {
			case gone:
			case why != "":
				file = why
			default:
				opened = true
			}
		}
		if !linked && link != "" {
			return link, ""
		}
		if !opened && file != "" {
			files = file
		}
	}
	return "", files
}

// perUser returns a few processes of each user.
func (m *machine) perUser() map[uint32][]int {
	users := map[uint32][]int{}
	proc, err := os.Open(m.path("proc"))
	if err != nil {
		return users
	}
	defer func() { _ = proc.Close() }()
	names, err := proc.Readdirnames(maxListed)
	if err != nil && !errors.Is(err, io.EOF) {
		return users
	}
	self := os.Getpid()
	if link, err := os.Readlink(m.path("proc/self")); err == nil { // under the numbers of that /proc
		if n, err := strconv.Atoi(link); err == nil {
			self = n
		}
	}
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid > 0 && pid != self {
			pids = append(pids, pid)
		}
	}
	step := max(1, (len(pids)+maxStats-1)/maxStats)
	for i := 0; i < len(pids); i += step {
		info, err := os.Stat(m.path("proc", strconv.Itoa(pids[i])))
		if err != nil {
			continue
		}
		uid, ok := ownerOf(info)
		if list := users[uid]; ok && len(list) < maxTries && (len(list) > 0 || len(users) < maxUsers) {
			users[uid] = append(list, pids[i])
		}
	}
	return users
}

// followLinks tries what discovery reads of a process by links. gone says that it has ended.
func (m *machine) followLinks(pid int) (why string, gone bool) {
	path := filepath.Join("proc", strconv.Itoa(pid), "ns/net")
	_, err := os.Readlink(m.path(path))
	return outcome(path, err)
}

// readFiles tries what only the process' own user may open.
func (m *machine) readFiles(pid int) (why string, gone bool) {
	for _, name := range []string{"environ", "fd"} {
		path := filepath.Join("proc", strconv.Itoa(pid), name)
		f, err := os.Open(m.path(path))
		if err == nil {
			_ = f.Close()
			continue
		}
		if why, gone = outcome(path, err); why != "" || gone {
			return why, gone
		}
	}
	return "", false
}

func outcome(path string, err error) (why string, gone bool) {
	switch {
	case err == nil:
		return "", false
	case denied(err):
		return failed("/"+path, err), false
	}
	return "", true
}
