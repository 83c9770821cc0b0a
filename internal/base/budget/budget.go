// Package budget bounds the memory that large metrics pages and what they become take together.
package budget

import (
	"errors"
	"sync"
)

// Budget is the memory of --large-pages-memory in two pools, neither of which can empty the other. A page is given back when it is
// translated, a result only when the last page of its scrape has come: a page that had to wait for results could wait for itself.
type Budget struct {
	Pages   *Pool // pages that are being read or translated
	Results *Pool // translated pages, and what is remembered for their next scrape
}

// New makes a Budget. Of 7 bytes, pages have 4 and results 3: a page is larger than its samples in the worker's own form.
func New(bytes int64) Budget {
	pages := bytes * 4 / 7
	return Budget{Pages: NewPool(pages), Results: NewPool(bytes - pages)}
}

// ErrExhausted says that a Share could not grow.
var ErrExhausted = errors.New("other pages take all the memory for large pages")

// ErrSlow is what the reading of a page is aborted with: it took too long while others waited for its memory.
var ErrSlow = errors.New("a large page came slowly while others waited for its memory")

// Pool is a number of bytes with two kinds of holders: those that can do without call TryTake and Give, those that would rather wait
// have a Share. It is safe for concurrent use.
type Pool struct {
	size int64

	mu      sync.Mutex
	free    int64
	taken   int64 // by TryTake
	reclaim func()
	holders int      // shares that hold something
	waiting []*Share // for more
	reading []*Share // that hold something and are not complete
}

// NewPool makes a Pool of so many bytes.
func NewPool(bytes int64) *Pool { return &Pool{size: bytes, free: bytes, reclaim: func() {}} }

// Size returns how many bytes there are in all.
func (p *Pool) Size() int64 { return p.size }

// Free returns how many bytes nobody holds.
func (p *Pool) Free() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.free
}

// OnShortage sets what is called before TryTake fails: a function that gives back what is held for later use only. It is set before
// the first TryTake.
func (p *Pool) OnShortage(reclaim func()) { p.reclaim = reclaim }

// TryTake takes n bytes if they are free, and reports whether they were.
func (p *Pool) TryTake(n int64) bool {
	if p.takeFree(n) {
		return true
	}
	p.reclaim()
	return p.takeFree(n)
}

func (p *Pool) takeFree(n int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n > p.free {
		return false
	}
	p.free -= n
	p.taken += n
	return true
}

// Give returns n bytes that TryTake took.
func (p *Pool) Give(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free += n
	p.taken -= n
	p.serve()
}
