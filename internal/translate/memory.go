package translate

// memory counts the bytes that a Result or a Raw holds. Each may hold ownBytes; beyond them it requests more from its owner.
type memory struct {
	more    func(bytes int) bool
	left    int
	granted int
}

// Sizes of memory.
const (
	// ownBytes is what each may hold without a request.
	ownBytes = 2 << 20
	// grantBytes is the unit of requests.
	grantBytes = 1 << 20
)

// reset begins a page, of which nothing is held yet.
func (m *memory) reset(more func(int) bool) {
	m.more = more
	m.left = ownBytes + m.granted
}

// take takes n bytes and requests more if needed. It reports whether there were enough.
func (m *memory) take(n int) bool {
	if n > m.left && !m.request(n) {
		return false
	}
	m.left -= n
	return true
}

// request requests so much more that n bytes are left.
func (m *memory) request(n int) bool {
	more := (n - m.left + grantBytes - 1) / grantBytes * grantBytes
	if m.granted+more > MaxPageMemory || m.more != nil && !m.more(more) {
		return false
	}
	m.granted += more
	m.left += more
	return true
}

// freeMemory forgets what only makes the next page faster, and reports whether n bytes are then left for the lines of this
// page.
func (r *Result) freeMemory(n int) bool {
	if c := r.fast.recording; c != nil {
		r.memory.release(c.page.PageBytes())
		r.fast.drop()
	}
	return n <= r.memory.left || r.labels.forgetToFree(n)
}

// release returns n bytes.
func (m *memory) release(n int) { m.left += n }
