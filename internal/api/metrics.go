package api

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"

	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/routes"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Bounds of the metrics listener's answers.
const (
	// maxPageHold bounds the answers in memory, except for the newest one.
	maxPageHold = 96 << 20
	// maxPageReaders bounds the clients that read them.
	maxPageReaders = 1024
)

const (
	targetsPath      = "/metrics/targets"
	proxyTargetsPath = "/metrics/proxy-targets"
)

// MetricsOptions configure the pages of the metrics listener. All but Readers and Logger are required.
type MetricsOptions struct {
	// WritePage calls send once with the page; the bytes are not used after send returns.
	WritePage func(send func(page []byte))
	// ContentType is the page's.
	ContentType string
	// Snapshot returns the inventory, from which the targets are made; it is immutable.
	Snapshot func() *fleet.Snapshot
	// Targets and ProxyTargets return lists of target groups as HTTP service discovery encodes them; nil is an empty list.
	Targets, ProxyTargets func(*fleet.Snapshot) any
	// Readers remembers who reads the targets; nil: nobody does.
	Readers *TargetReaders
	Logger  *slog.Logger // nil: silent
}

// NewMetrics returns the handler of the metrics listener: /metrics, /metrics/targets, /metrics/proxy-targets and a page
// that links them. It is open to everybody. Concurrent requests share one encoding.
func NewMetrics(o MetricsOptions) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	logger := o.Logger.With(logging.KeyComponent, "metrics")
	store := answer.NewStore(answer.Options{MaxBytes: maxPageHold, MaxReaders: maxPageReaders})
	page := answer.NewSource(answer.SourceOptions[struct{}]{
		Store: store, ContentType: o.ContentType, Compress: true,
		Make: func(_ struct{}, w io.Writer) (err error) {
			o.WritePage(func(page []byte) { _, err = w.Write(page) })
			return err
		},
	})
	if o.Readers == nil {
		o.Readers = new(TargetReaders)
	}
	targets := func(path string, list func(*fleet.Snapshot) any) http.Handler {
		return o.Readers.counted(path, answer.NewSource(answer.SourceOptions[*fleet.Snapshot]{
			Store: store, ContentType: "application/json", Current: o.Snapshot,
			Make: func(s *fleet.Snapshot, w io.Writer) error {
				err := writeTargets(w, list(s))
				if err != nil {
					logger.Error("targets cannot be encoded", "error", err)
				}
				return err
			},
		}))
	}
	mux := routes.NewMux()
	mux.Handle("GET /metrics", page)
	mux.Handle("GET /metrics/{$}", page)
	mux.Handle("GET "+targetsPath, targets(targetsPath, o.Targets))
	mux.Handle("GET "+proxyTargetsPath, targets(proxyTargetsPath, o.ProxyTargets))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		writePage(w, indexPage{Title: "stackscope server metrics", Version: buildinfo.Get().Version, Links: []Link{
			{"/metrics", "Metrics"},
			{targetsPath, "Scrape targets for HTTP service discovery"},
			{proxyTargetsPath, "Scrape targets behind a proxy"},
		}})
	})
	for _, r := range mux.Routes() {
		mux.Needs(r.Pattern, open.String())
	}
	return mux
}

func writeTargets(w io.Writer, groups any) error {
	data, err := json.Marshal(groups)
	if err != nil {
		return err
	}
	if string(data) == "null" {
		data = []byte("[]")
	}
	_, err = w.Write(data)
	return err
}
