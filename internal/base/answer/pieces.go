package answer

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// pieceBytes is how much of an answer one write passes to the system. Larger pieces mean fewer system calls.
const pieceBytes = 64 << 10

// piecePool keeps pieces for the next answers.
var piecePool = sync.Pool{New: func() any { return new(make([]byte, 0, pieceBytes)) }}

// pieces is a buffer that grows without copying. The zero value is empty.
type pieces struct {
	list []*[]byte
	size int
}

// Write appends p.
func (b *pieces) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if len(b.list) == 0 || len(*b.list[len(b.list)-1]) == pieceBytes {
			b.list = append(b.list, piecePool.Get().(*[]byte))
		}
		last := b.list[len(b.list)-1]
		n := min(len(p), pieceBytes-len(*last))
		*last = append(*last, p[:n]...)
		p = p[n:]
	}
	b.size += total
	return total, nil
}

// WriteTo writes all to w.
func (b *pieces) WriteTo(w io.Writer) (n int64, err error) {
	for _, piece := range b.list {
		wrote, err := w.Write(*piece)
		n += int64(wrote)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (b *pieces) free() {
	for _, piece := range b.list {
		*piece = (*piece)[:0]
		piecePool.Put(piece)
	}
	b.list, b.size = nil, 0
}

// gzipWriters keeps compressors, whose state is large. Level 1 is used because higher levels cost more than the rest of a page together.
var gzipWriters = sync.Pool{New: func() any {
	zw, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for unknown levels only
	return zw
}}

func compress(dst *pieces, write func(io.Writer) (int64, error)) error {
	zw := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(zw)
	zw.Reset(dst)
	if _, err := write(zw); err != nil {
		return err
	}
	return zw.Close()
}

// WantsGzip reports whether the client accepts gzip and has not given it the weight 0.
func WantsGzip(h http.Header) bool {
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, params, _ := strings.Cut(part, ";")
		if name := strings.TrimSpace(coding); !strings.EqualFold(name, "gzip") && name != "*" {
			continue
		}
		key, value, weighted := strings.Cut(strings.ReplaceAll(params, " ", ""), "=")
		if !weighted || !strings.EqualFold(key, "q") {
			return true
		}
		q, err := strconv.ParseFloat(value, 64)
		return err == nil && q > 0
	}
	return false
}
