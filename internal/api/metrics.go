package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/metricspage"
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
	replier := new(metricspage.Replier)
	mux := http.NewServeMux()
	page := func(w http.ResponseWriter, r *http.Request) {
		o.WritePage(func(page []byte) { replier.Reply(w, r, o.ContentType, bytes.NewReader(page)) })
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
