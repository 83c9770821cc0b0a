// Package metricspage serves metrics pages: a page in one piece, compressed for whoever asks, and what every page says about
// the process that serves it.
package metricspage

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// writeTimeout bounds how long a client may take to read its page.
const writeTimeout = 30 * time.Second

// maxIdleBytes bounds the memory for a compressed page that is kept for the next one.
const maxIdleBytes = 1 << 20

// Page is a page that is ready to be sent. It comes in parts of any size.
type Page interface {
	io.WriterTo
	Len() int
}

// Replier answers with pages. It keeps the large state of compression from page to page. The zero value is ready for use, by
// several goroutines.
type Replier struct{ zippers, stages sync.Pool }

// Reply answers with the page, compressed if the client asks for it. The page is not needed any more when it returns.
func (rp *Replier) Reply(w http.ResponseWriter, r *http.Request, contentType string, page Page) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Vary", "Accept-Encoding")
	if wantsGzip(r.Header) {
		z, ok := rp.zippers.Get().(*zipper)
		if !ok {
			z = newZipper()
		}
		defer func() {
			if z.buf.Cap() <= maxIdleBytes {
				rp.zippers.Put(z)
			}
		}()
		if compressed, err := z.compress(page); err == nil {
			h.Set("Content-Encoding", "gzip")
			page = bytes.NewReader(compressed)
		}
	}
	h.Set("Content-Length", strconv.Itoa(page.Len()))
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // a recorder in a test has no deadlines
	rp.send(w, page)
	_ = rc.Flush()
	_ = rc.SetWriteDeadline(time.Time{})
}

// stageBytes is how much of a page goes to the system at once: parts are small, and each call costs.
const stageBytes = 128 << 10

func (rp *Replier) send(w io.Writer, page Page) {
	stage, ok := rp.stages.Get().(*bufio.Writer)
	if !ok {
		stage = bufio.NewWriterSize(nil, stageBytes)
	}
	stage.Reset(w)
	if _, err := page.WriteTo(stage); err == nil {
		_ = stage.Flush()
	}
	stage.Reset(nil)
	rp.stages.Put(stage)
}

// zipper compresses at level 1: higher ones would cost more than all the rest of a page.
type zipper struct {
	buf bytes.Buffer
	zw  *gzip.Writer
}

func newZipper() *zipper {
	z := &zipper{}
	z.zw, _ = gzip.NewWriterLevel(&z.buf, gzip.BestSpeed) // fails for unknown levels only
	return z
}

// compress returns bytes that are valid until the next call.
func (z *zipper) compress(page Page) ([]byte, error) {
	z.buf.Reset()
	z.zw.Reset(&z.buf)
	if _, err := page.WriteTo(z.zw); err != nil {
		return nil, err
	}
	if err := z.zw.Close(); err != nil {
		return nil, err
	}
	return z.buf.Bytes(), nil
}

// wantsGzip reports whether the client accepts gzip and has not given it the weight 0.
func wantsGzip(h http.Header) bool {
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
