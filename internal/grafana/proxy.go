package grafana

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"path"
	"strings"
	"time"
)

const (
	dialTimeout = 5 * time.Second
	// headerTimeout is long because Grafana answers a query when its data source has.
	headerTimeout     = 2 * time.Minute
	idleTimeout       = 90 * time.Second
	maxIdle           = 64
	maxResponseHeader = 256 << 10
	// maxUpgrades bounds the WebSockets that are open at once. Grafana itself takes 100 by default.
	maxUpgrades = 256
	// logEvery bounds how often the same kind of trouble is logged.
	logEvery = 10 * time.Second
)

// proxyOptions configure newProxy.
type proxyOptions struct {
	// Prefix is where Grafana serves, such as /grafana; requests come with it. Empty: at the root.
	Prefix string
	// Upstream returns the host and port that Grafana answers at, or false while it doesn't.
	Upstream func() (addr string, ok bool)
	Status   func() Status
	// Tokens are credentials of ours, which never reach Grafana.
	Tokens []string
	// PrometheusLink is the path of Prometheus' pages, beside the last element of Prefix; empty: there are none.
	PrometheusLink string
	Logger         *slog.Logger
}

// proxy passes requests on to the Grafana that runs on this machine.
type proxy struct {
	opts     proxyOptions
	reverse  *httputil.ReverseProxy
	upgrades *upgrades
	trouble  *limited
}

// newProxy returns a handler for everything under Prefix: Grafana's answers, or a page that says why there are none.
func newProxy(o proxyOptions) http.Handler {
	creds := newCredentials(o.Tokens)
	p := &proxy{opts: o, upgrades: newUpgrades(maxUpgrades), trouble: newLimited(o.Logger, logEvery)}
	p.reverse = &httputil.ReverseProxy{
		Transport: newTransport(nil),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host, _ = r.In.Context().Value(upstreamKey{}).(string)
			r.Out.URL.RawQuery = r.In.URL.RawQuery // as it came: nothing here depends on it
			creds.strip(r.Out.Header)
			dropIdentity(r.Out.Header)
			setForwarded(r)
		},
		ErrorHandler: p.failed,
		ErrorLog:     slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return p
}

// upstreamKey is the context key of the address that a request goes to.
type upstreamKey struct{}

// newTransport returns the bounds on talking to a Grafana. What a body and a WebSocket may take is theirs to say.
func newTransport(proxyOf func(*http.Request) (*url.URL, error)) *http.Transport {
	return &http.Transport{
		Proxy:                  proxyOf,
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true, // what the client accepts is between it and Grafana
	}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == p.opts.Prefix && p.opts.Prefix != "" {
		addSlash(w, r)
		return
	}
	addr, ok := p.opts.Upstream()
	if !ok {
		p.notRunning(w, r)
		return
	}
	ctx := context.WithValue(r.Context(), upstreamKey{}, addr)
	if isUpgrade(r) {
		upgraded, done, err := p.upgrades.open(ctx)
		if err != nil {
			p.trouble.warn("websocket refused", "error", err)
			answer(w, r, p.opts.Prefix, problem(http.StatusServiceUnavailable, "Too many open connections", err.Error()))
			return
		}
		defer done()
		ctx = upgraded
	}
	p.reverse.ServeHTTP(w, r.WithContext(ctx))
}

// addSlash redirects /grafana to /grafana/. The address is a relative one, so that it is right below any path that a proxy in
// front of us takes away.
func addSlash(w http.ResponseWriter, r *http.Request) {
	target := path.Base(r.URL.Path) + "/"
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// failed answers in Grafana's place when it didn't.
func (p *proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client has gone, or we are stopping: nobody reads an answer
	}
	p.trouble.warn("grafana did not answer a request", "method", r.Method, "path", bounded(r.URL.Path), "error", err)
	if _, ok := p.opts.Upstream(); !ok {
		p.notRunning(w, r)
		return
	}
	status, reason := blame(err)
	doc := problem(status, "Grafana did not answer", reason+"; try again, and look at the server's log for lines of the component grafana")
	answer(w, r, p.opts.Prefix, doc.withPrometheus(p.opts, r))
}

// blame returns the status and the words for an error of talking to a Grafana. They have no addresses: anybody may read them.
func blame(err error) (status int, reason string) {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return http.StatusGatewayTimeout, "it took too long"
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return http.StatusBadGateway, "nothing listens where it should (connection refused)"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return http.StatusBadGateway, "it closed the connection in the midst of the request"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return http.StatusBadGateway, fmt.Sprintf("no address is known for the host %q", dns.Name)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return http.StatusBadGateway, "its TLS certificate is not trusted by this machine"
	}
	return http.StatusBadGateway, "talking to it failed"
}

// bounded cuts what a client chose for the log.
func bounded(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
