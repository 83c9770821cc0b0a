package fetch

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/stackscope/stackscope/internal/base/budget"
)

// Sizes of the memory for pages.
const (
	// smallPageBytes is how much every page may take without the memory that pages share.
	smallPageBytes   = 1 << 20
	firstBufferBytes = 64 << 10
	// largeStep is how much a large page takes of the shared memory at a time.
	largeStep = 1 << 20
)

var errTooLarge = errors.New("page is too large")

// pageMemory holds one page: a small one in a buffer that is reused, a large one in memory that is mapped for it and unmapped on
// release.
type pageMemory struct {
	buf   *[]byte
	pool  *sync.Pool
	share *budget.Share
	large []byte // nil: the page is in buf
}

// memory returns memory for a page. abort ends the reading of the page.
func (f *Fetcher) memory(abort func(error)) *pageMemory {
	buf, _ := f.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new(make([]byte, 0, firstBufferBytes))
	}
	return &pageMemory{buf: buf, pool: &f.buffers, share: f.large.NewShare(abort)}
}

// release gives the memory back. A second call does nothing.
func (m *pageMemory) release() {
	if m.large != nil {
		freeLarge(m.large)
		m.large = nil
	}
	m.share.Release()
	if m.buf != nil {
		m.pool.Put(m.buf)
		m.buf = nil
	}
}

// readAll reads all of r, at most limit bytes. size is how many there will be, or -1.
func (m *pageMemory) readAll(ctx context.Context, r io.Reader, size, limit int64) ([]byte, error) {
	b := (*m.buf)[:0]
	if n := min(size+1, limit+1, smallPageBytes); int64(cap(b)) < n {
		b = make([]byte, 0, n)
	}
	*m.buf = b // else an excerpt could be of the page before
	for {
		switch {
		case len(b) < cap(b):
		case cap(b) < smallPageBytes:
			b = append(make([]byte, 0, min(2*cap(b), smallPageBytes)), b...)
		default:
			var err error
			if b, err = m.grow(ctx, b, limit+1); err != nil {
				return nil, err
			}
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if m.large == nil {
			*m.buf = b
		}
		switch {
		case int64(len(b)) > limit:
			return nil, errTooLarge // limit+1 bytes were read, if there are so many
		case errors.Is(err, io.EOF):
			m.share.Complete()
			return b, nil
		case err != nil:
			return nil, err
		}
	}
}

// grow returns the full b with more capacity, at most most bytes in all.
func (m *pageMemory) grow(ctx context.Context, b []byte, most int64) ([]byte, error) {
	more := min(int64(largeStep), most-int64(cap(b)))
	if err := m.share.Grow(ctx, more); err != nil {
		return nil, err
	}
	if m.large == nil {
		large, err := allocateLarge(int(most))
		if err != nil {
			return nil, err
		}
		m.large = large
		copy(large, b)
	}
	return m.large[: len(b) : len(b)+int(more)], nil
}
