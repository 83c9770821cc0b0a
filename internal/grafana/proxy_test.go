package grafana

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// upstreamOf starts a stand-in for Grafana and returns the options of a proxy to it.
func upstreamOf(t *testing.T, h http.HandlerFunc) proxyOptions {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	addr := server.Listener.Addr().String()
	return proxyOptions{
		Prefix:         "/grafana",
		Upstream:       func() (string, bool) { return addr, true },
		Status:         func() Status { return Status{Phase: PhaseRunning} },
		PrometheusLink: "/prometheus/",
		Logger:         slog.New(slog.DiscardHandler),
	}
}

// serve starts a server whose client follows no redirects.
func serve(t *testing.T, h http.Handler, start func(*httptest.Server)) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	start(server)
	server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(server.Close)
	return server
}

// ask sends a request; headers are "Name: value".
func ask(t *testing.T, server *httptest.Server, method, path string, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestProxyPassesRequestsOnAsTheyAre(t *testing.T) {
	type seen struct{ Method, URI, Host, Body, Hop string }
	var got seen
	o := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.RequestURI, r.Host, string(body), r.Header.Get("X-Hop") + r.Header.Get("Keep-Alive") + r.Header.Get("Proxy-Authorization")}
		w.Header().Set("Keep-Alive", "timeout=1")
		w.Header().Set("X-Back", "yes")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "answer")
	})
	server := serve(t, newProxy(o), (*httptest.Server).Start)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		for _, uri := range []string{
			"/grafana/",
			"/grafana/d/uid/name?from=0&to=9007199254740991&var-model=a%20b&var-model=c%2Fd;e&x=%zz",
			"/grafana/api/datasources/proxy/uid/p/api/v1/label/a%2Fb/values",
		} {
			resp, answer := ask(t, server, method, uri, strings.NewReader("sent"), "Host: obs.example.com", "Connection: X-Hop", "X-Hop: gone", "Keep-Alive: 1", "Proxy-Authorization: x")
			want := seen{method, uri, "obs.example.com", "sent", ""}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("upstream saw (-want +got):\n%s", d)
			}
			if resp.StatusCode != http.StatusAccepted || answer != "answer" || resp.Header.Get("X-Back") != "yes" || resp.Header.Get("Keep-Alive") != "" {
				t.Errorf("%s %s: %d %v %q", method, uri, resp.StatusCode, resp.Header, answer)
			}
		}
	}
	if resp, body := ask(t, server, "HEAD", "/grafana/x", nil); resp.StatusCode != http.StatusAccepted || body != "" || got.Method != "HEAD" {
		t.Errorf("HEAD: %d %q, upstream saw %s", resp.StatusCode, body, got.Method)
	}
}

func TestProxyKeepsCookiesAndRedirects(t *testing.T) {
	o := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("grafana_session"); err == nil {
			fmt.Fprintf(w, "session %s, encoding %q", c.Value, r.Header.Get("Accept-Encoding"))
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "grafana_session", Value: "s", Path: "/grafana/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
		http.SetCookie(w, &http.Cookie{Name: "grafana_session_expiry", Value: "9", Path: "/grafana/"})
		w.Header().Set("Location", "/grafana/login?redirectTo=%2Fgrafana%2Fd")
		w.WriteHeader(http.StatusFound)
	})
	server := serve(t, newProxy(o), (*httptest.Server).Start)
	resp, _ := ask(t, server, "GET", "/grafana/d", nil)
	want := []string{"grafana_session=s; Path=/grafana/; HttpOnly; SameSite=Lax", "grafana_session_expiry=9; Path=/grafana/"}
	if d := cmp.Diff(want, resp.Header.Values("Set-Cookie")); d != "" {
		t.Error(d)
	}
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || got != "/grafana/login?redirectTo=%2Fgrafana%2Fd" {
		t.Errorf("%d to %s", resp.StatusCode, got)
	}
	if _, body := ask(t, server, "GET", "/grafana/d", nil, "Cookie: grafana_session=abc", "Accept-Encoding: br"); body != `session abc, encoding "br"` {
		t.Errorf("got %s", body)
	}
}

func TestPrefixWithoutSlashIsRedirected(t *testing.T) {
	o := upstreamOf(t, func(http.ResponseWriter, *http.Request) { t.Error("was passed on") })
	for _, ok := range []bool{true, false} {
		addr, _ := o.Upstream()
		o.Upstream = func() (string, bool) { return addr, ok }
		server := serve(t, newProxy(o), (*httptest.Server).Start)
		for path, want := range map[string]string{"/grafana": "grafana/", "/grafana?orgId=1": "grafana/?orgId=1"} {
			resp, _ := ask(t, server, "GET", path, nil, "Accept: text/html")
			if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusTemporaryRedirect || got != want {
				t.Errorf("%s: %d to %q, want %q", path, resp.StatusCode, got, want)
			}
		}
	}
}

func TestProxyStreams(t *testing.T) {
	next := make(chan struct{})
	o := upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "part %d\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	server := serve(t, newProxy(o), (*httptest.Server).Start)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/grafana/api/stream", http.NoBody)
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for i := range 3 { // each part comes before the next one is made
		line, err := lines.ReadString('\n')
		if want := fmt.Sprintf("part %d\n", i); err != nil || line != want {
			t.Fatalf("got %q, %v; want %q", line, err, want)
		}
		next <- struct{}{}
	}
}

func TestProxyPassesBigBodies(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 2<<20) // 32 MiB
	o := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%x", sum.Sum(nil)))
		_, _ = w.Write(big)
	})
	server := serve(t, newProxy(o), (*httptest.Server).Start)
	resp, body := ask(t, server, "POST", "/grafana/api/dashboards/db", bytes.NewReader(big))
	if want := fmt.Sprintf("%x", sha256.Sum256(big)); resp.Header.Get("X-Sum") != want {
		t.Error("the request's body changed on its way")
	}
	if body != string(big) {
		t.Error("the answer's body changed on its way")
	}
}

func TestProxyUnderTLS(t *testing.T) {
	o := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Forwarded-Proto"), " ", r.Host)
	})
	server := serve(t, newProxy(o), func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.StartTLS()
	})
	resp, body := ask(t, server, "GET", "/grafana/", nil, "Host: example.com")
	if body != "https example.com" || resp.ProtoMajor != 2 {
		t.Errorf("HTTP/%d: %s", resp.ProtoMajor, body)
	}
}

func TestUpstreamThatFails(t *testing.T) {
	hangUp := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	o := upstreamOf(t, hangUp)
	lines := new(logLines)
	o.Logger = lines.logger()
	server := serve(t, newProxy(o), (*httptest.Server).Start)
	for range 5 {
		resp, body := ask(t, server, "POST", "/grafana/api/ds/query", strings.NewReader("{}"))
		if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, "the connection to it broke") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	}
	if n := strings.Count(lines.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings for 5 failures:\n%s", n, lines)
	}
	resp, body := ask(t, server, "GET", "/grafana/d/x", nil, "Accept: text/html,*/*;q=0.8")
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "<h1>Grafana did not answer</h1>") || !strings.Contains(body, `href="../../prometheus/"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}

	o.Upstream = func() (string, bool) { return "127.0.0.1:1", true }
	server = serve(t, newProxy(o), (*httptest.Server).Start)
	if resp, body := ask(t, server, "GET", "/grafana/api/health", nil, "Accept: text/html"); resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, "connection refused") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}

	calls := 0 // it has gone, and the supervisor knows by the time the request has failed
	o.Upstream = func() (string, bool) { calls++; return "127.0.0.1:1", calls == 1 }
	o.Status = func() Status { return Status{Phase: PhaseWaiting, Reason: "it was killed"} }
	server = serve(t, newProxy(o), (*httptest.Server).Start)
	if resp, body := ask(t, server, "GET", "/grafana/api/health", nil); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "it was killed") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestUpstreamThatDiesInTheMidstOfAnAnswer(t *testing.T) {
	o := upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "200000")
		_, _ = w.Write(make([]byte, 100000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	server := serve(t, newProxy(o), (*httptest.Server).Start)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/grafana/", http.NoBody)
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the client takes %d bytes for the whole answer", len(body))
	}
}

func TestUpstreamThatIsSlowIsBounded(t *testing.T) {
	release := make(chan struct{})
	o := upstreamOf(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) }) // before the upstream's own cleanup, which waits for its handler
	h := newProxy(o)
	h.(*proxy).reverse.Transport.(*http.Transport).ResponseHeaderTimeout = 50 * time.Millisecond
	server := serve(t, h, (*httptest.Server).Start)
	if resp, body := ask(t, server, "GET", "/grafana/api/ds/query", nil); resp.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, "took too long") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
