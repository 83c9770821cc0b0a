package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/logging"
)

// MetricsOptions configure the pages of the metrics listener. All but Logger are required.
type MetricsOptions struct {
	// WritePage calls send once with the page; the bytes are not used after send returns.
	WritePage func(send func(page []byte))
	// ContentType is the page's.
	ContentType string
	// Targets and ProxyTargets return lists of target groups as HTTP service discovery encodes them; nil is an empty list.
	Targets, ProxyTargets func() any
	Logger                *slog.Logger // nil: silent
}

// NewMetrics returns the handler of the metrics listener: /metrics, /metrics/targets, /metrics/proxy-targets and a page
// that links them. It is open to everybody.
func NewMetrics(o MetricsOptions) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	logger := o.Logger.With(logging.KeyComponent, "metrics")
	compressors := &sync.Pool{New: newCompressor}
	mux := http.NewServeMux()
	page := func(w http.ResponseWriter, r *http.Request) {
		o.WritePage(func(page []byte) { writeMetrics(w, r, o.ContentType, page, compressors, logger) })
	}
	mux.HandleFunc("GET /metrics", page)
	mux.HandleFunc("GET /metrics/{$}", page)
	mux.HandleFunc("GET /metrics/targets", func(w http.ResponseWriter, _ *http.Request) { writeTargets(w, o.Targets(), logger) })
	mux.HandleFunc("GET /metrics/proxy-targets", func(w http.ResponseWriter, _ *http.Request) { writeTargets(w, o.ProxyTargets(), logger) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		writePage(w, indexPage{Title: "stackscope server metrics", Version: buildinfo.Get().Version, Links: []Link{
			{"/metrics", "Metrics"},
			{"/metrics/targets", "Scrape targets for HTTP service discovery"},
			{"/metrics/proxy-targets", "Scrape targets behind a proxy"},
		}})
	})
	return mux
}

func writeTargets(w http.ResponseWriter, groups any, logger *slog.Logger) {
	data, err := json.Marshal(groups)
	if err != nil {
		http.Error(w, "targets cannot be encoded", http.StatusInternalServerError)
		logger.Error("targets cannot be encoded", "error", err)
		return
	}
	if string(data) == "null" {
		data = []byte("[]")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data)
}

// compressor keeps gzip's large state between scrapes.
type compressor struct {
	buf bytes.Buffer
	gz  *gzip.Writer
}

// newCompressor uses level 1: a higher one would cost more than making the page.
func newCompressor() any {
	c := &compressor{}
	c.gz, _ = gzip.NewWriterLevel(&c.buf, gzip.BestSpeed) // fails for unknown levels alone
	return c
}

// compress returns bytes that are valid until the next call.
func (c *compressor) compress(page []byte) ([]byte, error) {
	c.buf.Reset()
	c.gz.Reset(&c.buf)
	if _, err := c.gz.Write(page); err != nil {
		return nil, err
	}
	if err := c.gz.Close(); err != nil {
		return nil, err
	}
	return c.buf.Bytes(), nil
}

func writeMetrics(w http.ResponseWriter, r *http.Request, contentType string, page []byte, compressors *sync.Pool, logger *slog.Logger) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		c := compressors.Get().(*compressor)
		defer compressors.Put(c)
		small, err := c.compress(page)
		if err != nil {
			logger.Error("metrics page cannot be compressed", "error", err)
		} else {
			h.Set("Content-Encoding", "gzip")
			page = small
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(page)))
	_, _ = w.Write(page)
}

// acceptsGzip reads an Accept-Encoding header; gzip;q=0 forbids it.
func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		coding, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		key, value, ok := strings.Cut(strings.ReplaceAll(params, " ", ""), "=")
		if !ok || !strings.EqualFold(key, "q") {
			return true
		}
		q, err := strconv.ParseFloat(value, 64)
		return err == nil && q > 0
	}
	return false
}
