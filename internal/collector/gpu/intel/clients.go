package intel

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

const (
	// clientsEvery is the pause between two looks at processes.
	clientsEvery = 10 * time.Second
	// longestPause is how long a process that had no card open is not looked at again. It begins with clientsEvery and doubles:
	// who opens a card does so when it starts.
	longestPause = 12 * clientsEvery
	maxProcesses = 65536
	// maxProbes bounds the processes looked at in one go, maxFiles the files of each.
	maxProbes  = 2048
	maxFiles   = 2048
	maxClients = 4096
)

// usage is what processes use of a card.
type usage struct {
	processes    []gpu.Process
	known        bool // all processes could be looked at
	memory, busy gpu.Value

	untold bool // a client doesn't tell its memory
}

// clients looks for the processes that have a card open.
type clients struct {
	at     time.Time
	seen   map[int]*candidate
	last   map[clientKey]client
	cards  map[string]usage
	denied bool // a process may not be looked at
	late   bool // a process that is due has to wait for the next look
	rounds int  // looks in a row that saw all processes
}

// candidate is a process, and when to look at it again.
type candidate struct {
	next  time.Time
	pause time.Duration
	round time.Time // when it was last listed
}

type clientKey struct {
	pci string
	id  uint64
}

func newClients() *clients {
	return &clients{seen: map[int]*candidate{}, last: map[clientKey]client{}}
}

// of returns what processes use of a card. Sums over some processes would be sums of nothing in particular: they are told if
// all processes could be looked at and all clients tell. A card that nobody has open is idle and empty.
func (c *clients) of(pci string) usage {
	u := c.cards[pci]
	u.known = c.rounds > 0
	switch {
	case !u.known || u.untold:
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

// refresh looks at processes, now and then. It returns true when it finds for the first time that it may not look at all.
func (c *clients) refresh(ctx context.Context, root *sysfs.Dir, r *sysfs.Reader, now time.Time) (denied bool) {
	if c.cards != nil && now.Sub(c.at) < clientsEvery {
		return false
	}
	elapsed := now.Sub(c.at)
	c.at = now
	proc, err := root.Sub("proc")
	if err != nil {
		return false
	}
	defer proc.Close()
	was := c.denied
	all := c.probe(ctx, proc, r, now)
	c.account(all, elapsed)
	return c.denied && !was
}

// probe looks at the processes that are due and returns their clients, each once: a client may be open in several files and
// processes, and counts for the one with the lowest number.
func (c *clients) probe(ctx context.Context, proc *sysfs.Dir, r *sysfs.Reader, now time.Time) []found {
	c.denied, c.late = false, false
	var pids []int
	for _, name := range proc.Names(".") {
		if pid, err := strconv.Atoi(name); err == nil && pid > 0 && len(pids) < maxProcesses {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	var all []found
	have := map[clientKey]bool{}
	probes := 0
	for _, pid := range pids {
		p := c.seen[pid]
		if p == nil {
			p = &candidate{next: now}
			c.seen[pid] = p
		}
		p.round = now
		if p.next.After(now) {
			continue
		}
		if probes++; probes > maxProbes || ctx.Err() != nil {
			c.late = true
			continue
		}
		list, err := clientsOf(proc, r, pid)
		switch {
		case errors.Is(err, fs.ErrPermission):
			c.denied = true
			p.pause = 0
		case len(list) > 0:
			p.pause = 0 // looked at each time
		default:
			p.pause = min(max(2*p.pause, clientsEvery), longestPause)
		}
		p.next = now.Add(p.pause)
		if p.pause == longestPause { // spread those that began together
			p.next = p.next.Add(-time.Duration(pid%6) * clientsEvery)
		}
		for _, f := range list {
			if key := (clientKey{f.pci, f.id}); !have[key] && len(all) < maxClients {
				have[key] = true
				all = append(all, found{f, pid})
			}
		}
	}
	for pid, p := range c.seen {
		if p.round != now {
			delete(c.seen, pid)
		}
	}
	return all
}

// clientsOf returns the clients of a process. One that ends meanwhile has none.
func clientsOf(proc *sysfs.Dir, r *sysfs.Reader, pid int) ([]client, error) {
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
	var list []client
	for _, name := range names[:min(len(names), maxFiles)] {
		target, err := files.Link(name)
		if err != nil || !strings.HasPrefix(target, "/dev/dri/") {
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

// share is what a process, or with pid 0 everybody, had of a class of a card's engines.
type share struct {
	pci, class string
	pid        int
}

// account sums up what clients use. What a card's engines did needs two looks at it.
func (c *clients) account(all []found, elapsed time.Duration) {
	cards := map[string]usage{}
	shares := map[share]float64{}
	last := make(map[clientKey]client, len(all))
	for _, f := range all {
		key := clientKey{f.pci, f.id}
		last[key] = f.client
		u := cards[f.pci]
		p := u.process(f.pid)
		if f.memory >= 0 {
			p.Memory, u.memory = sum(p.Memory, float64(f.memory)), sum(u.memory, float64(f.memory))
		} else {
			u.untold = true
		}
		cards[f.pci] = u
		if before, ok := c.last[key]; ok {
			f.since(before, float64(elapsed), shares)
		}
	}
	for s, had := range shares { // the busiest class is how busy the card is
		u := cards[s.pci]
		to := &u.busy
		if s.pid != 0 {
			to = &u.process(s.pid).Use
		}
		*to = gpu.Known(min(1, max(had, value(*to))))
		cards[s.pci] = u
	}
	c.last, c.cards = last, cards
	if c.rounds++; c.denied || c.late {
		c.rounds = 0
	}
}

// since adds what a client had of each class since the look before.
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
