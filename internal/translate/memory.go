package translate

import "github.com/stackscope/stackscope/internal/base/budget"

// memory counts the bytes that a Result or a Raw holds: its output lines, its label templates and its page template. Beyond
// OwnMemory it takes them from a pool, in units of grantBytes, and keeps what it took for the next page until giveBack.
type memory struct {
	pool    *budget.Pool // nil: unlimited
	left    int          // of OwnMemory and granted
	granted int          // by the pool
}

// grantBytes is the unit in which memory is taken from the pool.
const grantBytes = 1 << 20

// reset begins a page, of which nothing is held yet.
func (m *memory) reset(pool *budget.Pool) {
	if pool != m.pool {
		m.giveBack()
		m.pool = pool
	}
	m.left = OwnMemory + m.granted
}

// take takes n bytes, from the pool if needed. It reports whether there were enough.
func (m *memory) take(n int) bool {
	if n > m.left && !m.request(n) {
		return false
	}
	m.left -= n
	return true
}

// request takes so much from the pool that n bytes are left.
func (m *memory) request(n int) bool {
	more := (n - m.left + grantBytes - 1) / grantBytes * grantBytes
	if m.granted+more > MaxPageMemory || m.pool != nil && !m.pool.TryTake(int64(more)) {
		return false
	}
	m.granted += more
	m.left += more
	return true
}

// freeMemory forgets what only makes the next page faster, and reports whether n bytes are then left for the lines of this
// page.
func (r *Result) freeMemory(n int) bool {
	r.dropRecording()
	return n <= r.memory.left || r.labels.forgetToFree(n)
}

// dropRecording ends the attempt to make a template of the page.
func (r *Result) dropRecording() {
	if c := r.fast.recording; c != nil {
		r.memory.release(c.page.PageBytes())
		r.fast.drop()
	}
}

// release returns n bytes, for use by the same page.
func (m *memory) release(n int) { m.left += n }

// giveBack returns all memory to the pool.
func (m *memory) giveBack() {
	if m.pool != nil {
		m.pool.Give(int64(m.granted))
	}
	m.granted = 0
}
