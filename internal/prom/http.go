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
	// maxHeldBytes bounds the responses that clients are reading, except the newest one; maxReaders bounds their readers.
	maxHeldBytes = 96 << 20
	maxReaders   = 2048
)

// routes returns the handler of everything under PathPrefix. No route reloads, stops or deletes anything.
func (p *Prometheus) routes() (routes.Lister, error) {
	answers := answer.NewStore(answer.Options{MaxBytes: maxHeldBytes, MaxReaders: maxReaders})
	pages, err := newPages(p.opts.UI, p.opts.PathPrefix, p.isReady, answers)
	if err != nil {
		return nil, err
	}
	prefix := p.opts.PathPrefix
	slowReaders := newSlowReaderPolicy(p.shared.registry)
	mux := routes.NewMux()
	mux.Handle(prefix+"/api/v1/", http.StripPrefix(prefix+"/api/v1", answers.Buffer(p.withCore(func(c *core) http.Handler { return c.api }), slowReaders)))
	mux.HandleFunc("GET "+prefix+"/api/v1/status/walreplay", p.walReplay)
	mux.Handle("GET "+prefix+"/federate", answers.Buffer(p.withCore(func(c *core) http.Handler {
		return httputil.CompressionHandler{Handler: hideDataDir(p.hidden, c.federate)}
	}), slowReaders))
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
	return routes.With(p.refuseDuringOutage(mux), func() []routes.Route { return routes.Sorted(append(mux.Routes(), p.apiRoutes()...)) }), nil
}

// PortHandler returns the handler of a port of Prometheus' own: that of Handler, and at / a redirect to the UI, as a Prometheus with a
// route prefix has it.
func (p *Prometheus) PortHandler() http.Handler {
	prefix := p.opts.PathPrefix
	if prefix == "" {
		return p.handler
	}
	mux := routes.NewMux()
	mux.Handle("GET /{$}", redirect(prefix[1:]+"/"))
	mux.Handle("/", p.handler)
	return routes.With(mux, func() []routes.Route {
		list := []routes.Route{{Pattern: "GET /{$}"}}
		if inner, ok := p.handler.(routes.Lister); ok {
			list = append(list, inner.Routes()...)
		}
		return routes.Sorted(list)
	})
}

// refuseDuringOutage answers 503 with the cause on all paths except /metrics while the data can't be opened.
func (p *Prometheus) refuseDuringOutage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := p.health.outage.Load()
		if out == nil || r.URL.Path == p.opts.PathPrefix+"/metrics" {
			next.ServeHTTP(w, r)
			return
		}
		text := fmt.Sprintf("The embedded Prometheus is out of service: %v.\nWhat to do: %s.\nThe API, service discovery and Grafana still work.", out, out.remedy())
		http.Error(w, p.hidden.For(r.Context(), text), http.StatusServiceUnavailable)
	})
}

// withCore serves a request with a handler of the core, and answers 503 while there is none.
func (p *Prometheus) withCore(handler func(*core) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := p.core.Load()
		if c == nil || !p.requests.begin() {
			p.unavailable(w)
			return
		}
		debug.SetPanicOnFault(true) // an I/O error of a mapped file fails only this request
		p.requests.serve(handler(c), w, r)
	})
}

func (p *Prometheus) isReady() bool { return p.core.Load() != nil && !p.requests.stopping() }

// unavailable answers as a separate Prometheus does while it starts or stops. The UI distinguishes the two by the header.
func (p *Prometheus) unavailable(w http.ResponseWriter) {
	if p.requests.stopping() {
		w.Header().Set("X-Prometheus-Stopping", "true")
		http.Error(w, "Prometheus is stopping.", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("X-Prometheus-Stopping", "false")
	w.Header().Set("Retry-After", "1")
	http.Error(w, "Prometheus is starting: it replays its write-ahead log.", http.StatusServiceUnavailable)
}

// walReplay returns the progress of the WAL replay. The UI requests it during the replay, when Prometheus' own API is not yet there.
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

// httpMetrics are the request metrics of the API, named as in a separate Prometheus.
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

// instrument wraps the handler of a route. The name is the route's pattern, never a requested path.
func (m httpMetrics) instrument(name string, next http.HandlerFunc) http.HandlerFunc {
	label := prometheus.Labels{"handler": "/api/v1" + name}
	return promhttp.InstrumentHandlerCounter(m.requests.MustCurryWith(label),
		promhttp.InstrumentHandlerDuration(m.duration.MustCurryWith(label), next))
}
