package answer

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// pieceBytes is how much of an answer goes to the system at once: each call costs.
const pieceBytes = 64 << 10

// spare are pieces for the next answers.
var spare = sync.Pool{New: func() any { return new(make([]byte, 0, pieceBytes)) }}

// pieces are bytes that grow without being moved. The zero value is empty.
type pieces struct {
	list []*[]byte
	size int
}

// Write appends p.
func (b *pieces) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if len(b.list) == 0 || len(*b.list[len(b.list)-1]) == pieceBytes {
			b.list = append(b.list, spare.Get().(*[]byte))
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
		spare.Put(piece)
	}
	b.list, b.size = nil, 0
}

// zippers keep the large state of compression. They compress at level 1: higher ones would cost more than all the rest of a page.
var zippers = sync.Pool{New: func() any {
	zw, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails for unknown levels only
	return zw
}}

func compress(dst *pieces, write func(io.Writer) (int64, error)) error {
	zw := zippers.Get().(*gzip.Writer)
	defer zippers.Put(zw)
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
