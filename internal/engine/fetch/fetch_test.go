package fetch

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/enginepages"
)

const vllmPage = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen"} 3.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="qwen"} 1200.0
`

func hint(status int) string {
	switch status {
	case http.StatusInternalServerError:
		return "MindIE serves metrics only with MIES_SERVICE_MONITOR_MODE=1 in its environment"
	case http.StatusNotFound, http.StatusOK:
		return "SGLang serves metrics only when it is started with --enable-metrics"
	}
	return ""
}

func target(t *testing.T, address string) Target {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return NewTarget(u, "/metrics", hint)
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func gzipped(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.Bytes()
}

// hanging answers nothing until the client goes away or the test ends.
func hanging(t *testing.T) http.HandlerFunc {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}
}

func TestFetch(t *testing.T) {
	var accept, encoding, agent string
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		accept, encoding, agent = r.Header.Get("Accept"), r.Header.Get("Accept-Encoding"), r.UserAgent()
		w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0")
		_, _ = io.WriteString(w, vllmPage)
	})
	f := New(Options{})
	page, err := f.Fetch(t.Context(), target(t, address))
	if err != nil {
		t.Fatal(err)
	}
	if string(page.Body) != vllmPage || page.ContentType != "application/openmetrics-text; version=1.0.0" {
		t.Errorf("got %q of %q", page.Body, page.ContentType)
	}
	page.Release()
	page.Release()
	if page.Body != nil {
		t.Error("body is there after Release")
	}
	if accept != "text/plain;version=0.0.4" || encoding != "identity" || !strings.HasPrefix(agent, "stackscope/") {
		t.Errorf("asked with Accept %q, Accept-Encoding %q, User-Agent %q", accept, encoding, agent)
	}
}

func TestFetchTakesGzipThatWasNotAskedFor(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(gzipped(vllmPage))
	})
	f := New(Options{})
	for range 3 { // pooled readers too
		page, err := f.Fetch(t.Context(), target(t, address))
		if err != nil || string(page.Body) != vllmPage {
			t.Fatalf("got %q, %v", page.Body, err)
		}
		page.Release()
	}
}

func TestFetchKeepsConnections(t *testing.T) {
	var connections atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, vllmPage)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	f := New(Options{})
	for range 5 {
		page, err := f.Fetch(t.Context(), target(t, s.URL))
		if err != nil {
			t.Fatal(err)
		}
		page.Release()
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for 5 fetches", n)
	}
}

func TestFetchOfAnEngineThatHasJustStarted(t *testing.T) {
	address := serve(t, func(http.ResponseWriter, *http.Request) {})
	page, err := New(Options{}).Fetch(t.Context(), target(t, address))
	if err != nil || len(page.Body) != 0 {
		t.Errorf("got %q, %v", page.Body, err)
	}
}

func TestFetchFollowsOneRedirectOnItsHost(t *testing.T) {
	for _, status := range []int{301, 302, 307, 308} {
		address := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/metrics" {
				http.Redirect(w, r, "/metrics/", status)
				return
			}
			_, _ = io.WriteString(w, vllmPage)
		})
		page, err := New(Options{}).Fetch(t.Context(), target(t, address))
		if err != nil || string(page.Body) != vllmPage {
			t.Errorf("%d: got %q, %v", status, page.Body, err)
		}
	}
}

func TestFetchSendsCredentialsAndNeverShowsThem(t *testing.T) {
	var user, password string
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		http.Error(w, "no", http.StatusUnauthorized)
	})
	tg := target(t, strings.Replace(address, "http://", "http://ops:hunter2@", 1))
	_, err := New(Options{}).Fetch(t.Context(), tg)
	if user != "ops" || password != "hunter2" {
		t.Errorf("sent %q, %q", user, password)
	}
	if want := "answered 401 Unauthorized: it does not accept the credentials in the URL"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, text := range []string{fmt.Sprint(err), tg.String(), tg.URL(), tg.LogValue().String()} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "ops") {
			t.Errorf("shows credentials: %s", text)
		}
	}
}

func TestFetchOfBadEngines(t *testing.T) {
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, vllmPage) })
	dead := httptest.NewServer(nil)
	dead.Close()
	bomb := gzipped(strings.Repeat("vllm:x 1\n", 300_000)) // 2.7 MB in 8 KB
	damaged := gzipped(vllmPage)
	damaged[len(damaged)-6] ^= 0xff // checksum
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	encoded := func(encoding string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", encoding)
			_, _ = w.Write(body)
		}
	}
	redirectTo := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, "vllm:x 1\n"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		address string
		kind    Kind
		want    string
	}{
		"down":           {address: dead.URL, kind: Refused, want: "connection refused at 127.0.0.1:"},
		"no host":        {address: "http://engine.invalid:8000", kind: NoAnswer, want: "its host name engine.invalid cannot be resolved"},
		"hangs":          {handler: hanging(t), kind: NoAnswer, want: "no complete answer before the scrape's deadline"},
		"endless":        {handler: endless, kind: NoAnswer, want: "no complete answer before the scrape's deadline"},
		"HTML":           {handler: answer(200, "text/html", "<!doctype html><p>hi"), want: "answered HTML, not a metrics page: is the URL the engine's?"},
		"HTML untyped":   {handler: answer(200, "", "\n <html>"), want: "answered HTML"},
		"HTML by type":   {handler: answer(200, "text/html; charset=utf-8", "hello there"), want: "answered HTML"},
		"JSON":           {handler: answer(200, "application/json", `{"error":"x"}`), want: "answered JSON, not a metrics page"},
		"JSON list":      {handler: answer(200, "text/plain", `[{"iter":1}]`), want: "answered JSON, not a metrics page: is the URL the engine's? SGLang serves metrics only"},
		"JSON, spaced":   {handler: answer(200, "text/plain", "{\n  \"iter\": 1}"), want: "answered JSON, not a metrics page: is the URL the engine's? SGLang serves metrics only"},
		"JSON, one line": {handler: answer(200, "text/plain", `{"iter":1}`), want: "answered JSON, not a metrics page: is the URL the engine's? SGLang serves metrics only"},
		"text":           {handler: answer(200, "text/plain", "Hello World\nI am nginx\n"), want: "answered text, not a metrics page"},
		"protobuf":       {handler: answer(200, "application/vnd.google.protobuf", "\n\x05xyz"), want: "answered protobuf"},
		"500":            {handler: answer(500, "application/json", `{"e":1}`), want: "answered 500 Internal Server Error: MindIE serves metrics only with MIES_SERVICE_MONITOR_MODE=1"},
		"404":            {handler: answer(404, "", ""), want: "answered 404 Not Found: is the URL the engine's? SGLang serves metrics only when it is started with --enable-metrics"},
		"503":            {handler: answer(503, "", ""), want: "answered 503 Service Unavailable"},
		"401":            {handler: answer(401, "", ""), want: "answered 401 Unauthorized: give credentials in the URL"},
		"204":            {handler: answer(204, "", ""), want: "answered 204 No Content"},
		"other host":     {handler: http.RedirectHandler(other+"/metrics", http.StatusTemporaryRedirect).ServeHTTP, want: "answered with a redirect to another host"},
		"other scheme": {handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+r.Host+"/", http.StatusTemporaryRedirect)
		}, want: "answered with a redirect to https://127.0.0.1:"},
		"redirect to no page": {handler: redirectTo("javascript:alert(1)"), want: "answered with a redirect that leads to no HTTP address: is the URL the engine's?"},
		"long host":           {handler: redirectTo("http://" + strings.Repeat("ü", 4000) + "/"), want: "another host"},
		"host of odd bytes":   {handler: redirectTo("http://a\xffb/"), want: "another host, a\uFFFDb, "},
		"redirect loop":       {handler: http.RedirectHandler("/metrics", http.StatusTemporaryRedirect).ServeHTTP, want: "answered with a second redirect"},
		"no gzip":             {handler: encoded("gzip", []byte(vllmPage)), want: "Content-Encoding gzip, but the body is not gzip"},
		"damaged gzip":        {handler: encoded("gzip", damaged), want: "Content-Encoding gzip, but the body is not gzip or is damaged"},
		"cut gzip":            {handler: encoded("gzip", gzipped(vllmPage)[:60]), kind: NoAnswer, want: "the connection was closed before the answer was complete"},
		"brotli":              {handler: encoded("br", []byte("x")), want: `answered with Content-Encoding "br" though the request accepts none`},
		"gzip bomb":           {handler: encoded("gzip", bomb), want: "answered with a page of more than 1 MiB"},
		"too large":           {handler: answer(200, "", strings.Repeat("vllm:x 1\n", 200_000)), want: "answered with a page of more than 1 MiB"},
		"too large, stated":   {handler: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "2000000") }, want: "more than 1 MiB"},
		"cut": {handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2000")
			_, _ = io.WriteString(w, vllmPage)
		}, kind: NoAnswer, want: "closed before the answer was complete"},
	} {
		t.Run(name, func(t *testing.T) {
			address := c.address
			if c.handler != nil {
				address = serve(t, c.handler)
			}
			deadline := time.Minute
			if strings.Contains(c.want, "deadline") {
				deadline = 400 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			page, err := New(Options{MaxPageBytes: 1 << 20}).Fetch(ctx, target(t, address))
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got page %.40q, error %v", page.Body, err)
			}
			if e.Kind != c.kind || !strings.Contains(e.Error(), c.want) || strings.Contains(e.Error(), "\n") {
				t.Errorf("got kind %d, %q; want kind %d, %q", e.Kind, e, c.kind, c.want)
			}
			if text := e.Error(); len(text) > 500 || !utf8.ValidString(text) {
				t.Errorf("what an engine sends makes a message of %d bytes: %.600q", len(text), text)
			}
		})
	}
}

func TestFetchOfOtherProtocols(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, vllmPage) }))
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	secure.StartTLS()
	defer secure.Close()
	// Speaks first, perhaps before it is asked, and then waits for the other side, as SSH does.
	other := listen(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	// Reads a request and sends an answer that begins well.
	answering := func(rest string) string {
		return listen(t, func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+rest)
			}
		})
	}
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	for address, want := range map[string]string{
		"https" + strings.TrimPrefix(plain, "http"): "it does not speak TLS: write http:// in the URL",
		"https" + strings.TrimPrefix(other, "http"): "it does not speak TLS: write http:// in the URL",
		secure.URL: "its TLS certificate is not accepted: ",
		"http" + strings.TrimPrefix(secure.URL, "https"): "it speaks TLS: write https:// in the URL",
		other: "it does not speak HTTP: is the port right?",
		answering("Transfer-Encoding: chunked\r\n\r\nzz\r\n" + vllmPage):      "its answer is not valid HTTP: is the port right?",
		answering("no header\r\n\r\n"):                                        "its answer is not valid HTTP: is the port right?",
		answering("X: " + strings.Repeat("x", 2*maxHeaderBytes) + "\r\n\r\n"): "answered with too large headers: is the URL the engine's?",
	} {
		_, err := New(Options{}).Fetch(t.Context(), target(t, address))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", address, err, want)
		}
	}
	trusting := New(Options{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}}})
	if page, err := trusting.Fetch(t.Context(), target(t, secure.URL)); err != nil || string(page.Body) != vllmPage {
		t.Errorf("TLS: %v", err)
	}
}

// The text of an error must not differ from one scrape to the next, or each scrape would log it.
func TestErrorsStayTheSame(t *testing.T) {
	reset := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	})
	f := New(Options{})
	var texts []string
	for range 3 {
		_, err := f.Fetch(t.Context(), target(t, reset))
		texts = append(texts, fmt.Sprint(err))
	}
	if texts[0] != texts[1] || texts[1] != texts[2] {
		t.Errorf("got %q", texts)
	}
}

func TestFetchIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err := New(Options{}).Fetch(ctx, target(t, serve(t, hanging(t))))
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Cancelled {
		t.Errorf("got %v", err)
	}
}

func TestPagesThatAreAccepted(t *testing.T) {
	for _, c := range []struct{ contentType, body string }{
		{"text/html", vllmPage},
		{"application/json", "# TYPE a gauge\na 1\n"},
		{"", "a 1"},
		{"", `a{b="c d}"} NaN 1700000000000`},
		{"", `{"quoted.name",a="b"} 1`},
		{"", `{"quoted.name"} 1`},
		{"", "not a sample at all\n\na_1:x 4\n"},
		{"", "\ufeff# TYPE a gauge"},
		{"", " \r\n"},
		{"bad / type / here", "a 1"},
	} {
		if err := checkIsMetrics(c.contentType, []byte(c.body)); err != nil {
			t.Errorf("%q as %q: %v", c.body, c.contentType, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{vllmPage, `{"a":1}`, `{"a"`, `{"`, "<", "a{", `a{b="\`, "a 1"} {
		f.Add("text/plain", s)
	}
	f.Fuzz(func(_ *testing.T, contentType, body string) {
		_ = checkIsMetrics(contentType, []byte(body))
	})
}

func BenchmarkFetch(b *testing.B) {
	page := strings.Repeat(vllmPage, 300)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		_, _ = io.WriteString(w, page)
	}))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		b.Fatal(err)
	}
	f := New(Options{})
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		p, err := f.Fetch(b.Context(), NewTarget(u, "/metrics", nil))
		if err != nil {
			b.Fatal(err)
		}
		p.Release()
	}
}

func TestPagesOfEnginesAreAccepted(t *testing.T) {
	enginepages.Each(t, func(t *testing.T, p enginepages.Page) { //nolint:thelper // the body of a test: its own lines are wanted
		if err := checkIsMetrics("", p.Text); err != nil {
			t.Error(err)
		}
	})
}

func TestTargetOnAnotherPort(t *testing.T) {
	tg := target(t, "http://u:p@[::1]:8002")
	if got := tg.OnPort("8002", "8000").URL(); got != "http://[::1]:8000" {
		t.Errorf("got %s", got)
	}
	if got := tg.OnPort("1027", "1026").URL(); got != "http://[::1]:8002" {
		t.Errorf("got %s", got)
	}
	if got := tg.URL(); got != "http://[::1]:8002" {
		t.Errorf("the target itself is %s now", got)
	}
}
