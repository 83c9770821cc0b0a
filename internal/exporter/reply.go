package exporter

import (
	"bytes"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/stackscope/stackscope/internal/exposition"
)

// Bounds of the time that engines are given for one scrape.
const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = 30 * time.Second
	maxMargin      = 500 * time.Millisecond
	// marginShare of the scrape's time is kept for the rest of the page.
	marginShare = 0.1
	// writeTimeout bounds how long a client may take to read its page.
	writeTimeout = 30 * time.Second
)

const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// engineTime returns how long the engines of a scrape may take: what Prometheus waits, less a margin.
func engineTime(h http.Header) time.Duration {
	timeout := defaultTimeout
	if seconds, err := strconv.ParseFloat(h.Get(timeoutHeader), 64); err == nil && seconds > 0 && !math.IsNaN(seconds) {
		timeout = time.Duration(min(seconds, maxTimeout.Seconds()) * float64(time.Second))
	}
	margin := min(time.Duration(marginShare*float64(timeout)), maxMargin)
	return timeout - margin
}

// reply answers with the page in one piece, compressed if the client asks for it.
func (e *Exporter) reply(w http.ResponseWriter, r *http.Request, page []byte) {
	h := w.Header()
	h.Set("Content-Type", exposition.ContentType)
	h.Set("Vary", "Accept-Encoding")
	if wantsGzip(r.Header) {
		z, _ := e.zippers.Get().(*zipper)
		defer e.zippers.Put(z)
		if compressed, err := z.compress(page); err == nil {
			h.Set("Content-Encoding", "gzip")
			page = compressed
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(page)))
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = w.Write(page)
	_ = rc.Flush()
	_ = rc.SetWriteDeadline(time.Time{})
}

// zipper compresses at level 1: higher ones would cost more than all the rest of a scrape.
type zipper struct {
	buf bytes.Buffer
	zw  *gzip.Writer
}

func newZipper() *zipper {
	z := &zipper{}
	z.zw, _ = gzip.NewWriterLevel(&z.buf, gzip.BestSpeed) // fails for unknown levels only
	return z
}

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
		q, weighted := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !weighted || err == nil && weight > 0
	}
	return false
}
