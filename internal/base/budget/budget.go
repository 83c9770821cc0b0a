// Package budget bounds the memory that large metrics pages and what they become take together.
package budget

import (
	"errors"
	"sync"
)

// Budget is the memory of --large-pages-memory. Pages and results have separate pools, because a shared one could deadlock: the results
// of a scrape are held until its last page is translated, and that page could then wait for their memory.
type Budget struct {
	Pages   *Pool // pages that are being read or translated
	Results *Pool // translated pages, and what is remembered for their next scrape
}

// New makes a Budget. Pages get 4/7 of the bytes and results 3/7, since a page takes more memory than its result.
func New(bytes int64) Budget {
	pages := bytes * 4 / 7
	return Budget{Pages: NewPool(pages), Results: NewPool(bytes - pages)}
}

// ErrExhausted says that a Share could not grow.
var ErrExhausted = errors.New("other pages take all the memory for large pages")

// ErrSlow is the error with which the reading of a page is aborted that took too long while others waited for its memory.
var ErrSlow = errors.New("a large page came slowly while others waited for its memory")

// Pool is a number of bytes. Whoever can do without calls TryTake and Give; whoever has to wait for bytes uses a Share. A Pool is safe
// for concurrent use.
type Pool struct {
	size int64

	mu      sync.Mutex
	free    int64
	taken   int64 // by TryTake
	reclaim func()
	holders int      // how many shares hold something
	waiting []*Share // shares that wait for more
	reading []*Share // shares that hold something and are not complete
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

// OnShortage sets a function that TryTake calls before it fails. It should give back what is held for later use only. OnShortage must
// be called before the first TryTake.
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
