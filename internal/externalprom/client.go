package externalprom

import (
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"
)

func (h *Handler) newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: dialTimeout,
			ForceAttemptHTTP2:   true,
			MaxConnsPerHost:     maxConcurrent,
			MaxIdleConnsPerHost: maxConcurrent,
			IdleConnTimeout:     idleTimeout,
		},
		CheckRedirect: h.checkRedirect,
	}
}

// redirectError says that a redirect was not followed, and where it led.
type redirectError struct{ to string }

func (e *redirectError) Error() string { return "it redirects to " + e.to + ", which is not followed" }

// checkRedirect lets redirects stay with the same host: another one would get the query, and could answer anything.
func (h *Handler) checkRedirect(r *http.Request, via []*http.Request) error {
	if r.URL.Scheme != h.base.Scheme || r.URL.Host != h.base.Host || len(via) > maxRedirects {
		to := url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host}
		return &redirectError{to.String()}
	}
	return nil
}

// check returns an error for what is no answer of Prometheus' API. The status 401 is never passed on: a browser would ask its user for a
// password of this server.
func (h *Handler) check(resp *http.Response) error {
	bad := func(text string) error {
		return &fault{status: http.StatusBadGateway, kind: "unavailable", text: h.Address() + " " + text}
	}
	switch resp.StatusCode {
	case http.StatusLoopDetected:
		return &fault{status: http.StatusLoopDetected, kind: "unavailable", text: h.Address() + " leads back to this server: give --prometheus-url the address of another Prometheus"}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return bad(fmt.Sprintf("answered %s: put the credentials into --prometheus-url, as https://USER:PASSWORD@HOST", resp.Status))
	case http.StatusNotFound:
		return &fault{status: http.StatusBadGateway, kind: "unavailable", missing: true, text: h.Address() + " answered 404: there is no API of Prometheus below this address; see --prometheus-url"}
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := err == nil && kind == "application/json"
	// Those that Prometheus' API gives for an expression, its parameters and its own limits.
	known := []int{http.StatusOK, http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable}
	switch {
	case isJSON && slices.Contains(known, resp.StatusCode):
		return nil
	case resp.StatusCode == http.StatusOK:
		return bad(fmt.Sprintf("answered with %.60q and not with JSON: it is no Prometheus, or a proxy in front of it wants a login; see --prometheus-url", resp.Header.Get("Content-Type")))
	}
	return bad("answered " + resp.Status + "; see its log")
}

// unreachable returns the error of a request that was not answered, in words. It has no credentials, and nothing of the request.
func (h *Handler) unreachable(err error) error {
	f := &fault{status: http.StatusBadGateway, kind: "unavailable", retry: true}
	reason := "the connection to it broke"
	if redirect, ok := errors.AsType[*redirectError](err); ok {
		reason, f.retry = redirect.Error()+": give the final address as --prometheus-url", false
	} else if timedOut, ok := errors.AsType[net.Error](err); ok && timedOut.Timeout() {
		f.status, f.kind = http.StatusGatewayTimeout, "timeout"
		reason = "it took too long"
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		reason = "nothing listens there (connection refused)"
	} else if dns, ok := errors.AsType[*net.DNSError](err); ok {
		reason = fmt.Sprintf("no address is known for the host %q", dns.Name)
	} else if verification, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		reason = "its TLS certificate is not trusted by this machine: " + verification.Err.Error()
	}
	f.text = fmt.Sprintf("%s did not answer: %s. It is the one that this server was given as --prometheus-url: check it from the server's machine", h.Address(), reason)
	return f
}
