package discovery

import (
	"sync"
	"time"
)

const (
	// ownerTTL is how long an answer is cached, noOwnerTTL how long "no engine" is.
	ownerTTL   = 10 * time.Second
	noOwnerTTL = 3 * time.Second
	// maxOwnerAnswers bounds the cache.
	maxOwnerAnswers = 4096
)

// ownerCache answers which engine a process belongs to.
type ownerCache struct {
	mu       sync.Mutex
	fs       *procfs
	snapshot *snapshot // that the answers are from
	answers  map[int]answer
}

type answer struct {
	key   string
	start uint64
	until time.Time
}

// Owner returns the key of the engine to whose process tree or container a process belongs. Answers are cached for some seconds,
// then checked against the process' start time, since its id may have been reused.
func (d *Discovery) Owner(pid int) (key string, ok bool) {
	if pid <= 0 {
		return "", false
	}
	return d.owners.find(d.current.Load(), pid, time.Now())
}

func (o *ownerCache) find(now *snapshot, pid int, at time.Time) (key string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.snapshot != now || len(o.answers) >= maxOwnerAnswers {
		o.snapshot, o.answers = now, map[int]answer{}
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
		known = answer{key: o.lookUp(now, pid, first), start: first.start}
	}
	known.until = at.Add(ownerTTL)
	if known.key == "" {
		known.until = at.Add(noOwnerTTL)
	}
	o.answers[pid] = known
	return known.key, known.key != ""
}

// lookUp finds an engine's root process among a process and its ancestors, else the engine of its container.
func (o *ownerCache) lookUp(now *snapshot, pid int, at stat) string {
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
