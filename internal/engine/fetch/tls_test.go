package fetch

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// listen serves each connection with handle.
func listen(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				handle(c)
				_ = c.Close()
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// replayed is a connection whose first bytes were read already.
type replayed struct {
	net.Conn
	from io.Reader
}

func (r replayed) Read(p []byte) (int, error) { return r.from.Read(p) }

// tlsOnly is a server that speaks TLS and does with plain HTTP what plain does.
func tlsOnly(t *testing.T, config *tls.Config, plain func(net.Conn)) string {
	t.Helper()
	return listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		if first, err := r.Peek(1); err != nil || first[0] != 0x16 { // a handshake
			plain(c)
			return
		}
		_ = tls.Server(replayed{c, r}, config).Handshake()
	})
}

// An engine that speaks TLS and is declared with http:// is told from one whose connection breaks.
func TestPlainHTTPToAnEngineThatSpeaksTLS(t *testing.T) {
	withCertificate := httptest.NewUnstartedServer(nil)
	withCertificate.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	withCertificate.StartTLS()
	defer withCertificate.Close()
	config := &tls.Config{Certificates: withCertificate.TLS.Certificates}
	clients := &tls.Config{Certificates: config.Certificates, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
	closes := func(net.Conn) {}
	alerts := func(c net.Conn) { _, _ = io.WriteString(c, "\x15\x03\x01\x00\x02\x02\x46") }
	resets := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }
	says := func(body string) string {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, http.StatusBadRequest) })
	}
	for name, c := range map[string]struct {
		address string
		reason  Reason
		want    string
	}{
		"closes, as uvicorn":    {tlsOnly(t, config, closes), ReasonTLS, "it speaks TLS: write https:// in the URL"},
		"resets":                {tlsOnly(t, config, resets), ReasonTLS, "it speaks TLS: write https:// in the URL"},
		"alerts, as OpenSSL":    {tlsOnly(t, config, alerts), ReasonTLS, "it speaks TLS: write https:// in the URL"},
		"wants a certificate":   {tlsOnly(t, clients, closes), ReasonTLS, "it speaks TLS: write https:// in the URL"},
		"nginx":                 {says("<html><center>The plain HTTP request was sent to HTTPS port</center>"), ReasonTLS, "it speaks TLS: write https:// in the URL"},
		"Apache":                {says("Reason: You're speaking plain HTTP to an SSL-enabled server port."), ReasonTLS, "it speaks TLS: write https:// in the URL"},
		"another 400":           {says(`{"error":{"message":"model name is missing from the request"}}`), ReasonHTTPStatus, "answered 400 Bad Request"},
		"no TLS, closes":        {listen(t, closes), ReasonLost, "the connection was closed before the answer was complete: see the engine's log; is the port right?"},
		"no TLS, resets":        {listen(t, resets), ReasonLost, "the connection was closed before the answer was complete: see the engine's log; is the port right?"},
		"no TLS, closes on all": {listen(t, func(c net.Conn) { _, _ = io.ReadAtLeast(c, make([]byte, 1), 1) }), ReasonLost, "the connection was closed before the answer was complete: see the engine's log; is the port right?"},
	} {
		t.Run(name, func(t *testing.T) {
			f := New(Options{})
			defer f.Close()
			for range 2 {
				_, err := f.Fetch(t.Context(), target(t, c.address))
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Reason != c.reason || e.Error() != c.want || (e.Kind == WrongAnswer) == (c.reason == ReasonLost) {
					t.Errorf("got %#v, want reason %s, %q", err, c.reason, c.want)
				}
			}
		})
	}
}

// Each way to fail has its reason, which is a label's value.
func TestReasons(t *testing.T) {
	answers := func(status int, body string) string {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	secure.StartTLS()
	defer secure.Close()
	plain := answers(http.StatusOK, vllmPage)
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct {
		address string
		want    Reason
	}{
		"refused":           {gone.URL, ReasonRefused},
		"no such host":      {"http://engine.invalid:8000", ReasonDNS},
		"401":               {answers(http.StatusUnauthorized, ""), ReasonUnauthorized},
		"403":               {answers(http.StatusForbidden, ""), ReasonUnauthorized},
		"404":               {answers(http.StatusNotFound, ""), ReasonNotFound},
		"501":               {answers(http.StatusNotImplemented, ""), ReasonHTTPStatus},
		"HTML":              {answers(http.StatusOK, "<html>"), ReasonNotMetrics},
		"JSON":              {answers(http.StatusOK, `{"a":1}`), ReasonNotMetrics},
		"text":              {answers(http.StatusOK, "I am nginx\n"), ReasonNotMetrics},
		"bad certificate":   {secure.URL, ReasonTLS},
		"https without TLS": {"https" + plain[len("http"):], ReasonTLS},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Options{}).Fetch(t.Context(), target(t, c.address))
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != c.want {
				t.Errorf("got %#v, want reason %s", err, c.want)
			}
		})
	}
}
