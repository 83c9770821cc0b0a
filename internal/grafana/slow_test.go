package grafana

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of simulated time: what is dialled is accepted.
type pipes struct {
	conns chan net.Conn
	over  chan struct{}
}

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.conns <- there
	return here, nil
}

// Accept implements net.Listener.
func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p pipes) Close() error { close(p.over); return nil }

// Addr implements net.Listener.
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// bothProxies are ours to the Grafana that we run and to an external one, with what they talk over.
func bothProxies(t *testing.T, addr string) map[string]struct {
	http.Handler
	*http.Transport
} {
	t.Helper()
	embedded := newProxy(proxyOptions{
		Prefix: "/grafana", Upstream: func() (string, bool) { return addr, true }, Status: func() Status { return Status{Phase: PhaseRunning} },
		Logger: slog.New(slog.DiscardHandler),
	})
	elsewhere := externalTo(t, "http://"+addr+"/grafana")
	return map[string]struct {
		http.Handler
		*http.Transport
	}{
		"embedded": {embedded, embedded.(*proxy).reverse.Transport.(*http.Transport)},
		"external": {elsewhere, elsewhere.(*external).reverse.Transport.(*http.Transport)},
	}
}

// Grafana answers a query when Prometheus has, which takes up to two minutes by Prometheus' own limit: an answer within that
// arrives. One that never comes is told of.
func TestSlowQueriesAreAnswered(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		want  int
	}{
		{0, http.StatusOK},
		{30 * time.Second, http.StatusOK},
		{115 * time.Second, http.StatusOK},
		{time.Hour, http.StatusGatewayTimeout},
	} {
		for _, name := range []string{"embedded", "external"} {
			synctest.Test(t, func(t *testing.T) {
				ln := pipes{make(chan net.Conn), make(chan struct{})}
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body) // a pipe keeps nothing
					select {
					case <-time.After(c.takes):
						fmt.Fprint(w, "answer")
					case <-r.Context().Done():
					}
				})}
				go func() { _ = server.Serve(ln) }()
				p := bothProxies(t, "127.0.0.1:3000")[name]
				p.DialContext = ln.dial
				w, begun := httptest.NewRecorder(), time.Now()
				p.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/grafana/api/ds/query", strings.NewReader("{}")))
				if w.Code != c.want || time.Since(begun) > 10*time.Minute {
					t.Errorf("%s, an answer that takes %s: %d %s after %s", name, c.takes, w.Code, w.Body, time.Since(begun))
				}
				p.CloseIdleConnections()
				_ = server.Close()
			})
		}
	}
}

// Who asks for no compression gets the answer as Grafana sent it, with the length by which a download knows that it is whole.
func TestCompressionIsTheClients(t *testing.T) {
	const answer = "an answer that is long enough"
	asked := ""
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked = r.Header.Get("Accept-Encoding"); strings.Contains(asked, "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("compressed"))
			return
		}
		fmt.Fprint(w, answer)
	}))
	defer upstream.Close()
	for name, p := range bothProxies(t, upstream.Listener.Addr().String()) {
		server := serve(t, p, (*httptest.Server).Start)
		server.Client().Transport.(*http.Transport).DisableCompression = true // else it asks for gzip by itself
		resp, body := ask(t, server, "GET", "/grafana/api/x", nil)
		if body != answer || resp.ContentLength != int64(len(answer)) || asked != "" {
			t.Errorf("%s, as it is: %q of length %d; Grafana was asked for %q", name, body, resp.ContentLength, asked)
		}
		resp, body = ask(t, server, "GET", "/grafana/api/x", nil, "Accept-Encoding: gzip")
		if body != "compressed" || resp.Header.Get("Content-Encoding") != "gzip" || resp.ContentLength != int64(len(body)) || asked != "gzip" {
			t.Errorf("%s, with gzip: %q of length %d; Grafana was asked for %q", name, body, resp.ContentLength, asked)
		}
	}
}

// Whether an external Grafana's URL leads back to us may change, as when a proxy in front is mended: it is found out again, but
// not for every page.
func TestLoopsAreLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const host = "obs.example.com"
		h := externalTo(t, "http://"+host+"/grafana").(*external)
		var state string
		asked := 0
		h.reverse.Transport = transport(func(r *http.Request) (*http.Response, error) {
			asked++
			switch state {
			case "loops":
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w.Result(), nil
			case "away":
				return nil, io.ErrUnexpectedEOF
			}
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
		})
		open := func() int {
			r := &http.Request{Method: http.MethodGet, Host: host, URL: &url.URL{Path: "/grafana/d/x"}, Header: http.Header{"Accept": {"text/html"}}}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r.WithContext(t.Context()))
			return w.Code
		}
		for _, c := range []struct {
			state string
			want  int
			asked int // whether the target is, at three pages
		}{
			{"away", http.StatusFound, 3}, // what is not known is asked again
			{"loops", http.StatusLoopDetected, 1},
			{"another", http.StatusFound, 1},
			{"loops", http.StatusLoopDetected, 1},
		} {
			state, asked = c.state, 0
			for range 3 {
				if got := open(); got != c.want {
					t.Errorf("%s: %d, want %d", c.state, got, c.want)
				}
			}
			if asked != c.asked {
				t.Errorf("%s: the target was asked %d times for three pages, want %d", c.state, asked, c.asked)
			}
			time.Sleep(2 * time.Minute)
		}
	})
}
