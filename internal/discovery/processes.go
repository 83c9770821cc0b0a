package discovery

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"
)

const (
	// recheckInterval is how often each process that is no engine is checked again: its id may have been reused, or it may have
	// called exec. candidateInterval is the same for Python and for programs of engines, whose scripts start engines by exec.
	recheckInterval   = time.Minute
	candidateInterval = 10 * time.Second
	// maxNewPerRound bounds how many new processes one round reads, but half of all may always be read: the first rounds share the
	// work.
	maxNewPerRound = 1024
	// rereadRounds is in how many more rounds a new process' command line is read again: between fork and exec it is still
	// its parent's.
	rereadRounds = 3
	// recentPIDs is how far below the machine's last process id a process counts as new when the worker starts. Reading all of
	// them again would make the second round as expensive as the first.
	recentPIDs = 256
	// maxDepth bounds how many ancestors of a process are followed.
	maxDepth = 64
)

// process is what is kept of each process of the machine.
type process struct {
	seenInRound uint64 // the last round that listed it
	start       uint64
	programHash uint64
	ppid        int
	statRead    bool // start, programHash and ppid are set
	rereadsLeft uint8
	launcher    bool // checked in each round, since it may become an engine by exec
	candidate   bool // checked more often than others
	unreadable  bool
	engine      *engineDetails // nil: no engine
}

// engineDetails is what is kept of a process that is an engine.
type engineDetails struct {
	launchArguments

	settings    settings
	env         environment
	containerID string // of its container, "" none
	network     string // "" unknown
	started     time.Time
	// sockets caches who owns the listening sockets of its network namespace, by inode.
	sockets map[uint64]owner
}

// engineProcess is the root process of an engine, as one round found it. It is immutable.
type engineProcess struct {
	launchArguments

	settings    settings
	env         environment
	pid         int
	containerID string // full id of its container, "" none
	started     time.Time
	port        int
	url         string
	listening   bool
	ownNetwork  bool // in the worker's network namespace
	// unreachable is why no address leads to it; "": url does.
	unreachable string
}

// processes finds the engines among the processes of a machine. It is for one goroutine.
type processes struct {
	fs              *procfs
	rules           *ruleSet
	machine         *machine
	namespaces      *namespaces
	skips           *skipCounter
	recheckRounds   uint64 // all processes are checked once in so many rounds
	candidateRounds uint64 // and all candidates once in so many
	round           uint64
	maxNew          int
	newLeft         int  // how many new processes this round may still read
	partial         bool // this round left new processes unread
	initial         bool // new processes may be older than the worker
	lastPIDAtStart  int  // the machine's last process id in the first round
	all             map[int]*process
	ids             []int
	engines         []int // of this round, by id
}

func newProcesses(proc string, known *ruleSet, interval time.Duration, m *machine, t *skipCounter) *processes {
	f := newProcfs(proc)
	return &processes{
		fs: f, rules: known, machine: m, namespaces: newNamespaces(f), skips: t,
		recheckRounds: max(1, uint64(recheckInterval/interval)), candidateRounds: max(1, uint64(candidateInterval/interval)), all: map[int]*process{}, maxNew: maxNewPerRound,
	}
}

// scan reads all processes once and returns the engines among them, the oldest first.
func (p *processes) scan() ([]*engineProcess, error) {
	ids, err := p.fs.pids(p.ids[:0])
	p.ids = ids
	if err != nil {
		if isGone(err) {
			return nil, errNoProcesses
		}
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	p.round++
	p.namespaces.reset()
	p.engines = p.engines[:0]
	p.initial = p.round == 1 || p.partial
	if p.round == 1 {
		p.lastPIDAtStart = p.machine.lastProcess()
	}
	p.newLeft, p.partial = max(p.maxNew, len(ids)/2), false
	for _, pid := range ids {
		p.update(pid)
	}
	for pid, process := range p.all {
		switch {
		case process.seenInRound != p.round:
			delete(p.all, pid)
		case process.engine != nil:
			p.engines = append(p.engines, pid)
		}
	}
	slices.SortFunc(p.engines, func(a, b int) int { return cmp.Or(cmp.Compare(p.all[a].start, p.all[b].start), a-b) })
	var found []*engineProcess
	for _, pid := range p.engines {
		if !p.isRoot(pid) {
			continue
		}
		if r := p.locate(pid, p.all[pid].engine); r != nil {
			found = append(found, r)
		}
	}
	return found, nil
}

// update brings what is known of a process up to date, with as few reads as possible.
func (p *processes) update(pid int) {
	known := p.all[pid]
	if known == nil {
		p.addNew(pid)
		return
	}
	known.seenInRound = p.round
	if known.engine != nil || known.launcher || p.isDue(pid, p.recheckRounds) || (known.candidate && p.isDue(pid, p.candidateRounds)) {
		first, was := !known.statRead, *known
		there := p.readStat(pid, known)
		switch {
		case !there:
			known.seenInRound = 0 // it has ended since it was listed
			return
		case first:
			known.rereadsLeft = max(known.rereadsLeft, 1)
		case known.start != was.start || known.programHash != was.programHash:
			p.reread(pid, known, was)
			return
		}
	}
	if known.rereadsLeft > 0 {
		known.rereadsLeft--
		if known.engine == nil {
			p.readCommandLine(pid, known)
		}
	}
}

// addNew reads a process that no round has read before.
func (p *processes) addNew(pid int) {
	if p.newLeft--; p.newLeft < 0 {
		p.partial = true
		return
	}
	process := &process{seenInRound: p.round, rereadsLeft: rereadRounds}
	p.all[pid] = process
	p.readCommandLine(pid, process)
	if p.initial && !process.candidate && pid <= p.lastPIDAtStart-recentPIDs {
		process.rereadsLeft = 0 // older than the worker: its exec is over
	}
}

// isDue reports whether a process is due in this round, when each is due once in so many rounds.
func (p *processes) isDue(pid int, rounds uint64) bool { return uint64(pid)%rounds == p.round%rounds }

// reread reads a process whose start time or program has changed. An engine that only changed its process title stays an engine.
func (p *processes) reread(pid int, known *process, was process) {
	*known = process{seenInRound: was.seenInRound, start: known.start, programHash: known.programHash, ppid: known.ppid, statRead: true, rereadsLeft: rereadRounds}
	p.readCommandLine(pid, known)
	if known.engine == nil && was.engine != nil && known.start == was.start {
		if line, err := p.fs.file(pid, "cmdline", maxCmdlineBytes); err == nil && hasProcessTitle(line) {
			known.engine = was.engine
		}
	}
}

// readStat reads /proc/PID/stat and reports whether the process is still there.
func (p *processes) readStat(pid int, known *process) bool {
	now, err := p.fs.stat(pid)
	if err != nil {
		p.countUnreadable(known, pid, err)
		return !isGone(err)
	}
	known.start, known.programHash, known.ppid, known.statRead = now.start, now.programHash, now.ppid, true
	return true
}

// readCommandLine reads a process' command line and, if that starts an engine, its settings, container and network namespace.
func (p *processes) readCommandLine(pid int, process *process) {
	line, err := p.fs.file(pid, "cmdline", maxCmdlineBytes)
	if err != nil {
		p.countUnreadable(process, pid, err)
		return
	}
	kind := p.rules.prefilter(line)
	process.launcher, process.candidate = kind == launcher, kind == maybeEngine
	if kind != maybeEngine {
		return
	}
	matched, rest := p.rules.match(splitArgs(line))
	if matched == nil {
		return
	}
	found := &engineDetails{launchArguments: matched.arguments(rest), sockets: map[uint64]owner{}}
	if !p.readStat(pid, process) || !process.statRead {
		return
	}
	if boot := p.machine.bootTime(); boot > 0 && process.start > 0 {
		found.started = time.Unix(boot, 0).Add(time.Duration(process.start) * time.Second / ticksPerSecond)
	}
	if text, err := p.fs.file(pid, "environ", maxEnvironBytes); err == nil {
		found.env = readEnvironment(bytes.SplitSeq(text, []byte{0}), slices.Concat(matched.PortEnv, matched.ModelScopeEnv)...)
		found.settings = found.env.settings()
	} else {
		p.countUnreadable(process, pid, err)
	}
	if text, err := p.fs.file(pid, "cgroup", maxCgroupBytes); err == nil {
		found.containerID = containerID(string(text))
	} else {
		p.countUnreadable(process, pid, err)
	}
	found.network = p.fs.network(strconv.Itoa(pid))
	process.engine = found
}

// countUnreadable counts, once, a process that the worker may not read. Other errors mean that it has ended.
func (p *processes) countUnreadable(process *process, pid int, err error) {
	if !isDenied(err) || process.unreadable {
		return
	}
	process.unreadable = true
	p.skips.add(skipUnreadable, "pid", pid)
}

// parent returns the id of a process' parent, 0 if it has none or has ended.
func (p *processes) parent(pid int) int {
	process := p.all[pid]
	if process == nil {
		return 0
	}
	if !process.statRead {
		if now, err := p.fs.stat(pid); err == nil {
			process.start, process.programHash, process.ppid, process.statRead = now.start, now.programHash, now.ppid, true
		}
	}
	return process.ppid
}

// isRoot reports whether no ancestor of a process is an engine. It is false while an ancestor has not been read yet.
func (p *processes) isRoot(pid int) bool {
	for range maxDepth {
		if pid = p.parent(pid); pid <= 0 {
			return true
		}
		above := p.all[pid]
		if (above == nil && p.partial) || (above != nil && above.engine != nil) {
			return false
		}
	}
	return true
}

// isBelow reports whether pid is root or a descendant of it.
func (p *processes) isBelow(pid, root int) bool {
	for range maxDepth {
		if pid == root {
			return true
		}
		if pid = p.parent(pid); pid <= 0 {
			return false
		}
	}
	return false
}

// alive reports whether the last round listed a process.
func (p *processes) alive(pid int) bool { return p.all[pid] != nil }

// listens reports whether a port is open in the network namespace of a process.
func (p *processes) listens(pid, port int) bool {
	name := p.fs.network(strconv.Itoa(pid))
	return slices.ContainsFunc(p.namespaces.listeners(name, pid), func(l listener) bool { return l.port == port })
}

var errNoProcesses = fmt.Errorf("no processes in /proc: %w", fs.ErrNotExist)
