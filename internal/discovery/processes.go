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
	// recheckWithin is the time in which each process that is no engine is looked at again, for its id may have been taken by
	// another one, or it may run another program; scriptWithin is that time for Python, whose scripts start engines by exec.
	recheckWithin = time.Minute
	scriptWithin  = 10 * time.Second
	// maxNew is how many processes that were not there before one round looks at, or half of all if those are more: the
	// first rounds share the work.
	maxNew = 1024
	// youngRounds is in how many more rounds a new process' command line is read again: between fork and exec it is still
	// that of its parent.
	youngRounds = 3
	// youngWithin is how many process ids before the machine's last one a process may have that is taken for new when the worker
	// starts. Reading all of them again would cost the second round as much as the first.
	youngWithin = 256
	// maxDepth bounds how far up a process' ancestors are followed.
	maxDepth = 64
)

// process is what is kept of each process of the machine.
type process struct {
	seen     uint64 // round in which it was last there
	start    uint64
	image    uint64
	ppid     int
	known    bool // start, image and ppid were read
	young    uint8
	launcher bool // looked at each round, as it may become an engine by exec
	script   bool // looked at more often than others
	denied   bool
	engine   *engine // nil: no engine
}

// engine is what is kept of a process whose command line is an engine's.
type engine struct {
	facts

	set     settings
	env     environment
	id      string // of its container, "" none
	network string // "" unknown
	started time.Time
	// sockets says which listening sockets are whose; each is looked for once.
	sockets map[uint64]owner
}

// running is an engine as one round found it. It is immutable.
type running struct {
	facts

	set       settings
	pid       int
	id        string // full id of its container, "" none
	started   time.Time
	port      int
	url       string
	listening bool
	own       bool // in our own network namespace
	// lost is why it can't be reached, "" if it can.
	lost string
}

// processes goes over the processes of a machine. It is for one goroutine.
type processes struct {
	fs      *procfs
	signs   *signs
	machine *machine
	spaces  *namespaces
	tally   *tally
	slots   uint64 // in how many rounds all processes are looked at again
	scripts uint64 // in how many all scripts are
	round   uint64
	maxNew  int
	fresh   int  // processes that this round may still look at for the first time
	partial bool // there were more
	begins  bool // those that are new may have been there before the worker
	newest  int  // the machine's last process id when the worker began
	all     map[int]*process
	ids     []int
	engines []int // of this round, by id
}

func newProcesses(proc string, known *signs, interval time.Duration, m *machine, t *tally) *processes {
	f := newProcfs(proc)
	return &processes{
		fs: f, signs: known, machine: m, spaces: newNamespaces(f), tally: t,
		slots: max(1, uint64(recheckWithin/interval)), scripts: max(1, uint64(scriptWithin/interval)), all: map[int]*process{}, maxNew: maxNew,
	}
}

// scan goes over all processes once and returns the engines among them, by process id.
func (p *processes) scan() ([]*running, error) {
	ids, err := p.fs.pids(p.ids[:0])
	p.ids = ids
	if err != nil {
		if isGone(err) {
			return nil, errNoProc
		}
		return nil, fmt.Errorf("processes cannot be listed: %w", err)
	}
	p.round++
	p.spaces.reset()
	p.engines = p.engines[:0]
	p.begins = p.round == 1 || p.partial
	if p.round == 1 {
		p.newest = p.machine.lastProcess()
	}
	p.fresh, p.partial = max(p.maxNew, len(ids)/2), false
	for _, pid := range ids {
		p.look(pid)
	}
	for pid, process := range p.all {
		switch {
		case process.seen != p.round:
			delete(p.all, pid)
		case process.engine != nil:
			p.engines = append(p.engines, pid)
		}
	}
	slices.SortFunc(p.engines, func(a, b int) int { return cmp.Or(cmp.Compare(p.all[a].start, p.all[b].start), a-b) })
	var found []*running
	for _, pid := range p.engines {
		if !p.isRoot(pid) {
			continue
		}
		if r := p.resolve(pid, p.all[pid].engine); r != nil {
			found = append(found, r)
		}
	}
	return found, nil
}

// look looks at one process, as closely as need be.
func (p *processes) look(pid int) {
	known := p.all[pid]
	if known == nil {
		p.meet(pid)
		return
	}
	known.seen = p.round
	if known.engine != nil || known.launcher || p.turn(pid, p.slots) || (known.script && p.turn(pid, p.scripts)) {
		first, was := !known.known, *known
		there := p.check(pid, known)
		switch {
		case !there:
			known.seen = 0 // it has ended since the list was made
			return
		case first:
			known.young = max(known.young, 1)
		case known.start != was.start || known.image != was.image:
			p.again(pid, known, was)
			return
		}
	}
	if known.young > 0 {
		known.young--
		if known.engine == nil {
			p.read(pid, known)
		}
	}
}

// meet looks at a process for the first time.
func (p *processes) meet(pid int) {
	if p.fresh--; p.fresh < 0 {
		p.partial = true
		return
	}
	process := &process{seen: p.round, young: youngRounds}
	p.all[pid] = process
	p.read(pid, process)
	if p.begins && !process.script && pid <= p.newest-youngWithin {
		process.young = 0 // most are old
	}
}

// turn reports whether it is a process' turn when each has one in so many rounds.
func (p *processes) turn(pid int, rounds uint64) bool { return uint64(pid)%rounds == p.round%rounds }

// again reads a process that has become another one or runs another program. Workers of an engine, and engines themselves,
// may only have taken a title.
func (p *processes) again(pid int, known *process, was process) {
	*known = process{seen: was.seen, start: known.start, image: known.image, ppid: known.ppid, known: true, young: youngRounds}
	p.read(pid, known)
	if known.engine == nil && was.engine != nil && known.start == was.start {
		if line, err := p.fs.file(pid, "cmdline", maxCmdlineBytes); err == nil && titled(line) {
			known.engine = was.engine
		}
	}
}

// check reads a process' stat and reports whether the process is still there.
func (p *processes) check(pid int, known *process) bool {
	now, err := p.fs.stat(pid)
	if err != nil {
		p.refused(known, pid, err)
		return !isGone(err)
	}
	known.start, known.image, known.ppid, known.known = now.start, now.image, now.ppid, true
	return true
}

// read reads a process' command line and, if it is an engine's, all that is needed of it.
func (p *processes) read(pid int, process *process) {
	line, err := p.fs.file(pid, "cmdline", maxCmdlineBytes)
	if err != nil {
		p.refused(process, pid, err)
		return
	}
	seen := p.signs.glance(line)
	process.launcher, process.script = seen == glanceLauncher, seen == glanceMaybe
	if seen != glanceMaybe {
		return
	}
	sign, rest := p.signs.match(splitArgs(line))
	if sign == nil {
		return
	}
	found := &engine{facts: sign.read(rest), sockets: map[uint64]owner{}}
	if !p.check(pid, process) || !process.known {
		return
	}
	if boot := p.machine.bootTime(); boot > 0 && process.start > 0 {
		found.started = time.Unix(boot, 0).Add(time.Duration(process.start) * time.Second / ticksPerSecond)
	}
	if text, err := p.fs.file(pid, "environ", maxEnvironBytes); err == nil {
		found.env = readEnvironment(bytes.SplitSeq(text, []byte{0}), sign.PortEnv...)
		found.set = found.env.settings()
	} else {
		p.refused(process, pid, err)
	}
	if text, err := p.fs.file(pid, "cgroup", maxCgroupBytes); err == nil {
		found.id = containerID(string(text))
	} else {
		p.refused(process, pid, err)
	}
	found.network = p.fs.network(strconv.Itoa(pid))
	process.engine = found
}

// refused counts, once, a process that may not be looked at. One that has ended is none of our business.
func (p *processes) refused(process *process, pid int, err error) {
	if !isDenied(err) || process.denied {
		return
	}
	process.denied = true
	p.tally.count(reasonUnreadable, "pid", pid)
}

// parent returns the id of a process' parent, 0 if it has none or is gone.
func (p *processes) parent(pid int) int {
	process := p.all[pid]
	if process == nil {
		return 0
	}
	if !process.known {
		if now, err := p.fs.stat(pid); err == nil {
			process.start, process.image, process.ppid, process.known = now.start, now.image, now.ppid, true
		}
	}
	return process.ppid
}

// isRoot reports whether no ancestor of a process is an engine. Of an ancestor that was not looked at yet, nobody knows.
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

// isBelow reports whether a process is root or a descendant of it.
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

// alive reports whether a process is there.
func (p *processes) alive(pid int) bool { return p.all[pid] != nil }

// listens reports whether a port is open in the network of a process.
func (p *processes) listens(pid, port int) bool {
	name := p.fs.network(strconv.Itoa(pid))
	return slices.ContainsFunc(p.spaces.listeners(name, pid), func(l listener) bool { return l.port == port })
}

var errNoProc = fmt.Errorf("this machine shows no processes: %w", fs.ErrNotExist)
