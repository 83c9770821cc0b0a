// Package metricspage serves metrics pages: a page in one piece, compressed for whoever asks, and what every page says about
// the process that serves it.
package metricspage

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// writeTimeout bounds how long a client may take to read its page.
const writeTimeout = 30 * time.Second

// Replier answers with pages. It keeps the large state of compression from page to page. The zero value is ready for use, by
// several goroutines.
type Replier struct{ zippers sync.Pool }

// Reply answers with the page, compressed if the client asks for it.
func (rp *Replier) Reply(w http.ResponseWriter, r *http.Request, contentType string, page []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Vary", "Accept-Encoding")
	if wantsGzip(r.Header) {
		z, ok := rp.zippers.Get().(*zipper)
		if !ok {
			z = newZipper()
		}
		defer rp.zippers.Put(z)
		if compressed, err := z.compress(page); err == nil {
			h.Set("Content-Encoding", "gzip")
			page = compressed
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(page)))
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // a recorder in a test has no deadlines
	_, _ = w.Write(page)
	_ = rc.Flush()
	_ = rc.SetWriteDeadline(time.Time{})
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
func (z *zipper) compress(page []byte) ([]byte, error) {
	z.buf.Reset()
	z.zw.Reset(&z.buf)
	if _, err := z.zw.Write(page); err != nil {
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
