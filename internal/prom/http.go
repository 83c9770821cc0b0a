package prom

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/prometheus/util/httputil"

	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/base/routes"
)

const (
	// maxHeldBytes bounds the answers that are being read, but for the newest one, and maxReaders their readers.
	maxHeldBytes = 96 << 20
	maxReaders   = 2048
)

// routes is the table of everything under PathPrefix. There is no way here to reload, stop or delete anything.
func (p *Prometheus) routes() (routes.Lister, error) {
	answers := answer.NewStore(answer.Options{MaxBytes: maxHeldBytes, MaxReaders: maxReaders})
	pages, err := newPages(p.opts.UI, p.opts.PathPrefix, p.isReady, answers)
	if err != nil {
		return nil, err
	}
	prefix := p.opts.PathPrefix
	passing := newPassing(p.around.registry)
	mux := routes.NewMux()
	mux.Handle(prefix+"/api/v1/", http.StripPrefix(prefix+"/api/v1", answers.Buffer(p.guarded(func(c *core) http.Handler { return c.api }), passing)))
	mux.HandleFunc("GET "+prefix+"/api/v1/status/walreplay", p.walReplay)
	mux.Handle("GET "+prefix+"/federate", answers.Buffer(p.guarded(func(c *core) http.Handler {
		return httputil.CompressionHandler{Handler: quiet(p.hidden, c.federate)}
	}), passing))
	mux.Handle("GET "+prefix+"/metrics", answer.NewSource(answer.SourceOptions[struct{}]{
		Store: answers, ContentType: "text/plain; version=0.0.4; charset=utf-8", Compress: true,
		Make: func(_ struct{}, w io.Writer) error {
			var page bytes.Buffer
			if err := p.AppendMetrics(&page); err != nil {
				p.logger.Warn("some of Prometheus' own metrics cannot be read", "error", err)
			}
			_, err := page.WriteTo(w)
			return err
		},
	}))
	mux.HandleFunc("GET "+prefix+"/-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "Prometheus is Healthy.")
	})
	mux.HandleFunc("GET "+prefix+"/-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !p.isReady() {
			p.unavailable(w)
			return
		}
		_, _ = fmt.Fprintln(w, "Prometheus is Ready.")
	})
	if prefix != "" {
		mux.Handle("GET "+prefix, redirect(path.Base(prefix)+"/"))
	}
	pages.register(mux)
	return routes.With(p.whileOut(mux), func() []routes.Route { return routes.Sorted(append(mux.Routes(), p.apiRoutes()...)) }), nil
}

// whileOut answers 503 everywhere but at the metrics while the data can't be opened, and says why.
func (p *Prometheus) whileOut(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := p.health.out.Load()
		if out == nil || r.URL.Path == p.opts.PathPrefix+"/metrics" {
			next.ServeHTTP(w, r)
			return
		}
		text := fmt.Sprintf("The embedded Prometheus is out of service: %v.\nWhat to do: %s.\nThe API, service discovery and Grafana go on.", out, out.way())
		http.Error(w, p.hidden.For(r.Context(), text), http.StatusServiceUnavailable)
	})
}

// guarded serves a request by a handler of the core, while there is one.
func (p *Prometheus) guarded(handler func(*core) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := p.core.Load()
		if c == nil || !p.requests.enter() {
			p.unavailable(w)
			return
		}
		debug.SetPanicOnFault(true) // a mapped file that the disk doesn't give back fails this request alone
		p.requests.through(handler(c), w, r)
	})
}

func (p *Prometheus) isReady() bool { return p.core.Load() != nil && !p.requests.stopping() }

// unavailable answers as a separate Prometheus does while it starts or stops; the UI tells the two apart by the header.
func (p *Prometheus) unavailable(w http.ResponseWriter) {
	if p.requests.stopping() {
		w.Header().Set("X-Prometheus-Stopping", "true")
		http.Error(w, "Prometheus is stopping.", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("X-Prometheus-Stopping", "false")
	w.Header().Set("Retry-After", "1")
	http.Error(w, "Prometheus is starting: it reads its write-ahead log.", http.StatusServiceUnavailable)
}

// walReplay tells how far the write-ahead log has been read. Unlike the API's own answer it works while that is going on, which
// is when the UI asks.
func (p *Prometheus) walReplay(w http.ResponseWriter, _ *http.Request) {
	type progress struct {
		Min     int `json:"min"`
		Max     int `json:"max"`
		Current int `json:"current"`
	}
	s := p.stats.Head.WALReplayStatus
	s.RLock()
	data := progress{s.Min, s.Max, s.Current}
	s.RUnlock()
	_ = httpjson.Write(w, http.StatusOK, struct {
		Status string   `json:"status"`
		Data   progress `json:"data"`
	}{"success", data})
}

// httpMetrics counts and times the API's requests under the names of a separate Prometheus.
type httpMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newHTTPMetrics(reg prometheus.Registerer) httpMetrics {
	m := httpMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prometheus_http_requests_total",
			Help: "Requests to the HTTP API.",
		}, []string{"handler", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "prometheus_http_request_duration_seconds",
			Help:    "Time to answer requests to the HTTP API.",
			Buckets: []float64{.1, .2, .4, 1, 3, 8, 20, 60, 120},
		}, []string{"handler"}),
	}
	reg.MustRegister(m.requests, m.duration)
	return m
}

// instrument wraps the handler of a route. The name is the route's pattern, never a path that somebody asked for.
func (m httpMetrics) instrument(name string, next http.HandlerFunc) http.HandlerFunc {
	label := prometheus.Labels{"handler": "/api/v1" + name}
	return promhttp.InstrumentHandlerCounter(m.requests.MustCurryWith(label),
		promhttp.InstrumentHandlerDuration(m.duration.MustCurryWith(label), next))
}
