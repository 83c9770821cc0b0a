// Package externalprom answers queries by asking a Prometheus that the operator runs: the routes of its HTTP API that dashboards need,
// and no others. It bounds requests, answers, time and memory, and keeps the credentials of the address to itself.
package externalprom

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/routes"
)

const (
	// maxRequest bounds the body of a request, which holds an expression and a time range.
	maxRequest = 256 << 10
	// maxAnswer bounds an answer, and answersMemory all that are being fetched, and again all that clients are reading.
	maxAnswer     = 16 << 20
	answersMemory = 64 << 20
	maxReaders    = 512
	// maxConcurrent is how many requests the Prometheus gets at once. Others wait.
	maxConcurrent = 16
	// maxWait bounds the time that a request waits for its turn, and timeout all of its time.
	maxWait      = 30 * time.Second
	timeout      = 2 * time.Minute
	dialTimeout  = 5 * time.Second
	idleTimeout  = 90 * time.Second
	maxRedirects = 3
	// logEvery bounds how often failures are logged.
	logEvery = 10 * time.Second
)

// Options configure a Handler. Those without a default are required.
type Options struct {
	// URL is a result of ParseURL.
	URL *url.URL
	// PathPrefix is the path of Prometheus on this server, such as /prometheus.
	PathPrefix string
	Logger     *slog.Logger
}

// Handler passes queries on.
type Handler struct {
	opts    Options
	base    *url.URL // without credentials
	marker  string   // names this handler in the header Via
	client  *http.Client
	answers *answer.Store
	memory  *budget.Pool
	slots   chan struct{}
	mux     *routes.Mux
	logger  *slog.Logger

	mu     sync.Mutex
	logged time.Time
}

// New returns a handler.
func New(o Options) *Handler {
	h := &Handler{
		opts: o, base: new(*o.URL), marker: "stackscope-" + rand.Text(),
		answers: answer.NewStore(answer.Options{MaxBytes: answersMemory, MaxReaders: maxReaders}),
		memory:  budget.NewPool(answersMemory), slots: make(chan struct{}, maxConcurrent), mux: routes.NewMux(),
		logger: o.Logger.With(logging.KeyComponent, "external-prometheus"),
	}
	h.base.User = nil
	h.client = h.newClient()
	for path, methods := range paths() {
		for _, method := range methods {
			h.mux.HandleFunc(method+" "+o.PathPrefix+"/api/v1"+path, h.pass)
		}
	}
	return h
}

// paths are what is passed on, below /api/v1, with the methods that Prometheus has for them.
func paths() map[string][]string {
	both, get := []string{http.MethodGet, http.MethodPost}, []string{http.MethodGet}
	return map[string][]string{
		"/query": both, "/query_range": both, "/series": both, "/labels": both,
		"/label/{name}/values": get, "/metadata": get, "/status/buildinfo": get,
	}
}

// Routes implements routes.Lister.
func (h *Handler) Routes() []routes.Route { return h.mux.Routes() }

// Address returns the address of the Prometheus without its credentials.
func (h *Handler) Address() string { return h.base.String() }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// mayLog reports whether a failure may be logged now.
func (h *Handler) mayLog() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.logged) < logEvery {
		return false
	}
	h.logged = time.Now()
	return true
}
