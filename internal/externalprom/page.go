package externalprom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/stackscope/stackscope/internal/base/budget"
)

const pieceBytes = 64 << 10

// page is an answer of the Prometheus, in pieces whose memory is counted.
type page struct {
	pool        *budget.Pool
	status      int
	contentType string
	pieces      [][]byte
	size        int
}

// read reads the whole answer.
func (p *page) read(r io.Reader) error {
	for {
		if p.size >= maxAnswer {
			// The answer may end exactly here.
			if n, err := fill(r, make([]byte, 1)); n == 0 {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
			return &fault{status: http.StatusUnprocessableEntity, kind: "execution", text: fmt.Sprintf("the answer has more than %d MiB: ask for fewer series, a shorter time range or a larger step", maxAnswer>>20)}
		}
		if !p.pool.TryTake(pieceBytes) {
			return &fault{status: http.StatusServiceUnavailable, kind: "unavailable", retry: true, text: fmt.Sprintf("the answers of other queries take all %d MiB that there are for them: try again in a moment", answersMemory>>20)}
		}
		piece := make([]byte, pieceBytes)
		p.pieces = append(p.pieces, piece)
		n, err := fill(r, piece)
		p.pieces[len(p.pieces)-1] = piece[:n]
		p.size += n
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fill reads until piece is full. Unlike io.ReadFull it returns the reader's own error: io.EOF after the last byte, and another one for
// a body that broke off.
func fill(r io.Reader, piece []byte) (n int, err error) {
	for n < len(piece) && err == nil {
		var read int
		read, err = r.Read(piece[n:])
		n += read
	}
	return n, err
}

// WriteTo implements io.WriterTo.
func (p *page) WriteTo(w io.Writer) (written int64, err error) {
	for _, piece := range p.pieces {
		n, err := w.Write(piece)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// reader returns a reader of the page, which is valid until free.
func (p *page) reader() io.Reader {
	readers := make([]io.Reader, len(p.pieces))
	for i, piece := range p.pieces {
		readers[i] = bytes.NewReader(piece)
	}
	return io.MultiReader(readers...)
}

// free gives the memory back.
func (p *page) free() {
	p.pool.Give(int64(len(p.pieces)) * pieceBytes)
	p.pieces = nil
}
