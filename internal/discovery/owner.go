package discovery

import (
	"sync"
	"time"
)

const (
	// ownerFor is how long an answer stands without looking, noOwnerFor how long "nobody's" does.
	ownerFor   = 10 * time.Second
	noOwnerFor = 3 * time.Second
	// maxOwners bounds the answers that are kept.
	maxOwners = 4096
)

// owners answers which engine a process belongs to.
type owners struct {
	mu      sync.Mutex
	fs      *procfs
	of      *snapshot // the answers are good for
	answers map[int]answer
}

type answer struct {
	key   string
	start uint64
	until time.Time
}

// Owner returns the key of the engine to whose process tree or container a process belongs. Answers are kept for some
// seconds; a process whose id was another one's before then is asked about anew.
func (d *Discovery) Owner(pid int) (key string, ok bool) {
	if pid <= 0 {
		return "", false
	}
	return d.owners.find(d.now.Load(), pid, time.Now())
}

func (o *owners) find(now *snapshot, pid int, at time.Time) (key string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of != now || len(o.answers) >= maxOwners {
		o.of, o.answers = now, map[int]answer{}
	}
	known, kept := o.answers[pid]
	if kept && at.Before(known.until) {
		return known.key, known.key != ""
	}
	first, err := o.fs.stat(pid)
	if err != nil {
		delete(o.answers, pid)
		return "", false
	}
	if !kept || known.key == "" || known.start != first.start {
		known = answer{key: o.walk(now, pid, first), start: first.start}
	}
	known.until = at.Add(ownerFor)
	if known.key == "" {
		known.until = at.Add(noOwnerFor)
	}
	o.answers[pid] = known
	return known.key, known.key != ""
}

// walk follows a process' ancestors to an engine's root process, and looks whether it is in an engine's container.
func (o *owners) walk(now *snapshot, pid int, at stat) string {
	above := pid
	for range maxDepth {
		if key := now.byPID[above]; key != "" {
			return key
		}
		if above = at.ppid; above <= 1 {
			break
		}
		var err error
		if at, err = o.fs.stat(above); err != nil {
			break
		}
	}
	if key := now.byPID[above]; key != "" {
		return key
	}
	if len(now.byContainer) == 0 {
		return ""
	}
	text, err := o.fs.file(pid, "cgroup", maxCgroupBytes)
	if err != nil {
		return ""
	}
	return now.byContainer[containerID(string(text))]
}
