package exporter

import "sync"

const defaultLargeBytes = 12 << 20

// room is memory that the translations of large pages share.
type room struct {
	trim func() // gives back what only waits for a next scrape

	mu   sync.Mutex
	free int
}

// take takes n bytes, if they are there.
func (r *room) take(n int) bool {
	if r.tryTake(n) {
		return true
	}
	r.trim()
	return r.tryTake(n)
}

func (r *room) tryTake(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.free {
		return false
	}
	r.free -= n
	return true
}

func (r *room) give(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += n
}

// trim gives back the memory that waits for the next scrapes of engines with large pages.
func (e *Exporter) trim() {
	e.mu.Lock()
	list := make([]*tracked, 0, len(e.tracked))
	for _, t := range e.tracked {
		list = append(list, t)
	}
	e.mu.Unlock()
	for _, t := range list {
		t.trim()
	}
}
