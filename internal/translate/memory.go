package translate

// memory is what a Result or a Raw may hold: some of its own, and more where its owner has it.
type memory struct {
	more    func(bytes int) bool
	left    int
	granted int
}

// Sizes of memory.
const (
	// ownBytes is what each may hold without asking.
	ownBytes = 2 << 20
	// grantBytes is how much is asked for at a time.
	grantBytes = 1 << 20
)

// reset begins a page: nothing is held.
func (m *memory) reset(more func(int) bool) {
	m.more = more
	m.left = ownBytes + m.granted
}

// take takes n bytes, if they are there.
func (m *memory) take(n int) bool {
	if n > m.left && !m.request(n) {
		return false
	}
	m.left -= n
	return true
}

// ask gets more.
func (m *memory) request(n int) bool {
	more := (n - m.left + grantBytes - 1) / grantBytes * grantBytes
	if m.granted+more > MaxPageMemory || m.more != nil && !m.more(more) {
		return false
	}
	m.granted += more
	m.left += more
	return true
}

// makeRoom forgets what serves the next page, if that leaves n bytes for lines of this one.
func (r *Result) freeMemory(n int) bool {
	if c := r.fast.recording; c != nil {
		r.memory.release(c.page.PageBytes())
		r.fast.drop()
	}
	return n <= r.memory.left || r.labels.forgetToFree(n)
}

// give gives n bytes back.
func (m *memory) release(n int) { m.left += n }
