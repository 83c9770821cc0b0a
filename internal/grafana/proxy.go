package grafana

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"path"
	"syscall"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/base/paths"
)

const (
	dialTimeout = 5 * time.Second
	// headerTimeout is long because Grafana answers a query only after its datasource has.
	headerTimeout     = 2 * time.Minute
	idleTimeout       = 90 * time.Second
	maxIdle           = 64
	maxResponseHeader = 256 << 10
	// maxUpgrades bounds the WebSockets that are open at once. Grafana itself takes 100 by default.
	maxUpgrades = 256
	// logEvery bounds how often the same kind of trouble is logged.
	logEvery = 10 * time.Second
	// maxLogged bounds what the log repeats of a request.
	maxLogged = 200
)

// proxyOptions configure newProxy.
type proxyOptions struct {
	// Prefix is the path under which Grafana serves, such as /grafana. Requests have it. Empty: the root.
	Prefix string
	// Upstream returns Grafana's host and port. ok is false while Grafana does not answer.
	Upstream func() (addr string, ok bool)
	Status   func() Status
	// Tokens are stackscope's own credentials. They are never passed to Grafana.
	Tokens []string
	// Dir is Grafana's directory. It is removed from answers to clients that have no credentials.
	Dir *paths.Hidden
	// PrometheusLink is the path of Prometheus' UI, relative to the parent of Prefix; empty: there is none.
	PrometheusLink string
	Logger         *slog.Logger
}

// proxy passes requests to the Grafana that runs on this machine.
type proxy struct {
	opts     proxyOptions
	reverse  *httputil.ReverseProxy
	upgrades *upgrades
	trouble  limited
}

// newProxy returns a handler for everything under Prefix. It answers with Grafana's answer, or with a page that says why Grafana
// does not answer.
func newProxy(o proxyOptions) http.Handler {
	own := newCredentials(o.Tokens)
	transport := newTransport()
	p := &proxy{opts: o, upgrades: newUpgrades(maxUpgrades, transport.CloseIdleConnections), trouble: limited{every: logEvery}}
	p.reverse = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host, _ = r.In.Context().Value(upstreamKey{}).(string)
			r.Out.URL.RawQuery = r.In.URL.RawQuery // unchanged, even if malformed: the proxy does not read it
			endBody(r.Out)
			own.strip(r.Out.Header)
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

// newTransport returns a transport with limits on everything except the duration of a body or a WebSocket.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true, // the client and Grafana negotiate it
	}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == p.opts.Prefix {
		addSlash(w, r)
		return
	}
	addr, ok := p.opts.Upstream()
	if !ok {
		status := p.opts.Status()
		if status.Phase != PhaseAbsent || !toConsole(w, r, p.opts.Prefix) {
			p.answer(w, r, p.explain(status))
		}
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), upstreamKey{}, addr))
	p.upgrades.serve(w, r, p.reverse, func(n notice) { p.answer(w, r, n) })
}

// addSlash redirects /grafana to /grafana/. The Location is relative, because a proxy in front of us may have removed the first
// part of the path.
func addSlash(w http.ResponseWriter, r *http.Request) {
	target := path.Base(r.URL.Path) + "/"
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// failed answers a request that Grafana did not answer.
func (p *proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone, or the server is stopping
	}
	if skipped, ok := p.trouble.allow(); ok {
		p.opts.Logger.Warn("a request to grafana failed", "method", clip.End(r.Method, maxLogged), "path", clip.End(r.URL.Path, maxLogged), "error", err, "unlogged", skipped)
	}
	if _, ok := p.opts.Upstream(); !ok {
		p.answer(w, r, p.explain(p.opts.Status()))
		return
	}
	status, reason := blame(err)
	p.answer(w, r, notice{
		Status: status, Title: "Grafana did not answer", Reason: reason,
		Text: "Try again. If it fails again, see the server's log, lines with component=grafana.",
	})
}

// blame returns the status and the text for an error of a request to Grafana. The text has no addresses: every user may see it.
func blame(err error) (status int, reason string) {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return http.StatusGatewayTimeout, "it took too long"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return http.StatusBadGateway, "nothing listens where it should (connection refused)"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return http.StatusBadGateway, fmt.Sprintf("no address is known for the host %q", dns.Name)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return http.StatusBadGateway, "its TLS certificate is not trusted by this machine"
	}
	return http.StatusBadGateway, "the connection to it broke"
}
