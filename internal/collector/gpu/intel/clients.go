package intel

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

const (
	// clientsEvery is the pause between two scans of the processes.
	clientsEvery = 10 * time.Second
	// longestPause is the longest pause before a process that had no GPU open is read again. The pause begins with clientsEvery and
	// doubles: most processes that use a GPU open it when they start.
	longestPause = 12 * clientsEvery
	// maxProbes bounds the processes that one scan reads, maxFiles the files of each.
	maxProbes  = 2048
	maxFiles   = 2048
	maxClients = 4096
)

// usage is what the processes use of a GPU.
type usage struct {
	processes    []gpu.Process
	known        bool // all processes could be read
	memory, busy gpu.Value

	memoryUnknown bool // a client does not report its memory
}

// clients finds the processes that have a GPU open.
type clients struct {
	at       time.Time
	seen     map[int]*candidate
	last     map[clientKey]client
	devices  map[string]usage
	partial  bool // some processes are in another PID namespace or may not be read
	reported bool // becamePartial returned true for that
	late     bool // a process that has a GPU open, or was never read, has to wait for the next scan
	rounds   int  // scans in a row that read all processes
}

// candidate is a process, and when to read it again.
type candidate struct {
	next   time.Time
	pause  time.Duration
	round  time.Time // when it was last listed
	denied bool      // it may not be read
}

// clientKey identifies a client. pid is set for clients of a suspended GPU, whose id is unknown.
type clientKey struct {
	pci string
	id  uint64
	pid int
}

func newClients() *clients {
	return &clients{seen: map[int]*candidate{}, last: map[clientKey]client{}}
}

// of returns what the processes use of a GPU. The sums are known only if all processes could be read and all clients report their use.
// A GPU that no process has open is idle and empty.
func (c *clients) of(pci string) usage {
	u := c.devices[pci]
	u.known = c.rounds > 0
	switch {
	case !u.known || u.memoryUnknown:
		u.memory = gpu.Value{}
	case u.memory == gpu.Value{}:
		u.memory = gpu.Known(0)
	}
	switch {
	case !u.known || c.rounds < 2:
		u.busy = gpu.Value{}
	case len(u.processes) == 0:
		u.busy = gpu.Known(0)
	}
	return u
}

// found is a client with the process that has it.
type found struct {
	client
	pid int
}

func (f found) key() clientKey {
	if f.asleep {
		return clientKey{f.pci, 0, f.pid}
	}
	return clientKey{f.pci, f.id, 0}
}

// due reports whether it is time for another scan.
func (c *clients) due(now time.Time) bool { return c.devices == nil || now.Sub(c.at) >= clientsEvery }

// becamePartial reports, once each time, that not all processes can be read any more.
func (c *clients) becamePartial() bool {
	became := c.partial && !c.reported
	c.reported = c.partial
	return became
}

// refresh scans the processes. asleep are the files in /dev/dri of suspended GPUs, with the GPU's PCI address.
func (c *clients) refresh(ctx context.Context, root *sysfs.Dir, r *sysfs.Reader, asleep map[string]string, now time.Time) {
	elapsed := now.Sub(c.at)
	c.at = now
	var all []found
	proc, err := root.Sub("proc")
	if err != nil {
		c.partial = true
	} else {
		defer proc.Close()
		all = c.probe(ctx, proc, r, asleep, now)
	}
	c.account(all, elapsed)
}

// probe reads the processes that are due and returns their clients, each once: a client that is open in several files and processes
// counts for the process with the lowest PID.
func (c *clients) probe(ctx context.Context, proc *sysfs.Dir, r *sysfs.Reader, asleep map[string]string, now time.Time) []found {
	due := c.list(proc, now)
	c.late = false
	var all []found
	for n, pid := range due {
		p := c.seen[pid]
		if n >= maxProbes || ctx.Err() != nil {
			c.late = c.late || p.pause == 0
			continue
		}
		list, err := clientsOf(proc, r, asleep, pid)
		p.denied = errors.Is(err, fs.ErrPermission)
		p.pause = min(max(2*p.pause, clientsEvery), longestPause)
		if len(list) > 0 {
			p.pause = 0 // read in each scan
		}
		p.next = now.Add(p.pause)
		if p.pause == longestPause { // spread the processes that started together
			p.next = p.next.Add(-time.Duration(pid%6) * clientsEvery)
		}
		for _, f := range list {
			all = append(all, found{f, pid})
		}
	}
	for _, p := range c.seen {
		c.partial = c.partial || p.denied
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(a.pid, b.pid) })
	have := map[clientKey]bool{}
	all = slices.DeleteFunc(all, func(f found) bool {
		was := have[f.key()]
		have[f.key()] = true
		return was
	})
	if len(all) > maxClients {
		c.late, all = true, all[:maxClients]
	}
	return all
}

// list updates the list of processes and returns those that are due, the longest overdue first. If it lacks the kernel's threads, this
// is a container with its own PID namespace, in which other processes are missing, too.
func (c *clients) list(proc *sysfs.Dir, now time.Time) (due []int) {
	c.partial = proc.Text("2/comm") != "kthreadd"
	for _, name := range proc.Names(".") {
		pid, err := strconv.Atoi(name)
		if err != nil || pid <= 0 {
			continue
		}
		p := c.seen[pid]
		if p == nil {
			p = &candidate{next: now}
			c.seen[pid] = p
		}
		p.round = now
		if !p.next.After(now) {
			due = append(due, pid)
		}
	}
	maps.DeleteFunc(c.seen, func(_ int, p *candidate) bool { return !p.round.Equal(now) })
	slices.SortFunc(due, func(a, b int) int { return cmp.Or(c.seen[a].next.Compare(c.seen[b].next), cmp.Compare(a, b)) })
	return due
}

// clientsOf returns the clients of a process. A process that has ended has none.
func clientsOf(proc *sysfs.Dir, r *sysfs.Reader, asleep map[string]string, pid int) ([]client, error) {
	dir, err := proc.Sub(strconv.Itoa(pid))
	if err != nil {
		return nil, nil //nolint:nilerr // it ended
	}
	defer dir.Close()
	files, err := dir.Sub("fd")
	if err != nil {
		return nil, err
	}
	defer files.Close()
	names, err := files.List(".")
	if err != nil {
		return nil, err
	}
	// Most processes open the GPU early, as a low file descriptor.
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	var list []client
	for _, name := range names[:min(len(names), maxFiles)] {
		target, err := files.Link(name)
		node, ours := strings.CutPrefix(target, "/dev/dri/")
		if err != nil || !ours {
			continue
		}
		if pci, sleeps := asleep[node]; sleeps {
			list = append(list, client{pci: pci, memory: -1, asleep: true})
			continue
		}
		b, err := dir.Read("fdinfo/"+name, r.Buffer())
		if err != nil {
			continue
		}
		if c, ok := parseFdinfo(b); ok && len(list) < maxClients {
			list = append(list, c)
		}
	}
	return list, nil
}

// share identifies the use of a class of a GPU's engines by a process; pid 0 is the sum of all processes.
type share struct {
	pci, class string
	pid        int
}

// account sums up what the clients use. The use of engines needs two scans.
func (c *clients) account(all []found, elapsed time.Duration) {
	devices := map[string]usage{}
	shares := map[share]float64{}
	last := make(map[clientKey]client, len(all))
	for _, f := range all {
		key := f.key()
		last[key] = f.client
		u := devices[f.pci]
		p := u.process(f.pid)
		if f.memory >= 0 {
			p.Memory, u.memory = sum(p.Memory, float64(f.memory)), sum(u.memory, float64(f.memory))
		} else {
			u.memoryUnknown = true
		}
		devices[f.pci] = u
		if before, ok := c.last[key]; ok {
			f.since(before, float64(elapsed), shares)
		}
	}
	for s, had := range shares { // the busiest class is how busy the GPU is
		u := devices[s.pci]
		to := &u.busy
		if s.pid != 0 {
			to = &u.process(s.pid).Use
		}
		*to = gpu.Known(min(1, max(had, value(*to))))
		devices[s.pci] = u
	}
	c.last, c.devices = last, devices
	if c.rounds++; c.partial || c.late {
		c.rounds = 0
	}
}

// since adds a client's use of each class since the previous scan.
func (f found) since(before client, elapsed float64, shares map[share]float64) {
	for _, e := range f.engines {
		i := slices.IndexFunc(before.engines, func(x engine) bool { return x.class == e.class })
		if i < 0 {
			continue
		}
		if had, ok := e.busySince(before.engines[i], elapsed); ok {
			shares[share{f.pci, e.class, 0}] += had
			shares[share{f.pci, e.class, f.pid}] += had
		}
	}
}

// process returns the entry of a process, a new one if it has none.
func (u *usage) process(pid int) *gpu.Process {
	for i := range u.processes {
		if u.processes[i].PID == pid {
			return &u.processes[i]
		}
	}
	u.processes = append(u.processes, gpu.Process{PID: pid})
	return &u.processes[len(u.processes)-1]
}

func value(v gpu.Value) float64 {
	n, _ := v.Get()
	return n
}

func sum(v gpu.Value, n float64) gpu.Value { return gpu.Known(value(v) + n) }
