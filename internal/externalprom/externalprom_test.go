package externalprom_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/externalprom"
)

// asking returns a server that asks the Prometheus at address, and its handler.
func asking(t *testing.T, address string) *httptest.Server {
	t.Helper()
	u, err := externalprom.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(externalprom.New(externalprom.Options{URL: u, PathPrefix: "/prometheus", Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(server.Close)
	return server
}

func upstream(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

type result struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, server *httptest.Server, method, path, form string, headers ...string) result {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return result{resp.StatusCode, resp.Header, string(body)}
}

// faultOf returns the error of an answer in the form of Prometheus' API.
func faultOf(t *testing.T, got result) string {
	t.Helper()
	var answer struct{ Status, ErrorType, Error string }
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || answer.Status != "error" || answer.ErrorType == "" {
		t.Errorf("%d is no error of Prometheus' API: %s", got.status, got.body)
	}
	return answer.Error
}

const success = `{"status":"success","data":{"resultType":"vector","result":[]}}`

func answerJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// TestQueriesArePassedOn: the path, the parameters and the form arrive as they are, and nothing else of the client does.
func TestQueriesArePassedOn(t *testing.T) {
	type seen struct{ Method, URI, Form, Authorization, Cookie, Forwarded string }
	var got seen
	prometheus := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		got = seen{r.Method, r.RequestURI, string(body), user + "/" + password, r.Header.Get("Cookie"), r.Header.Get("X-Forwarded-For")}
		w.Header().Set("Set-Cookie", "session=secret")
		answerJSON(w, http.StatusOK, success)
	})
	server := asking(t, strings.Replace(prometheus.URL, "http://", "http://reader:p%40ss@", 1)+"/tenant/")
	for _, c := range []struct{ method, path, form, want string }{
		{"GET", "/query?query=up%7Bjob%3D%22a%20b%22%7D&time=1", "", ""},
		{"POST", "/query", "query=up&time=1.5", ""},
		{"GET", "/query_range?query=up&start=1&end=2&step=15", "", ""},
		{"POST", "/query_range?x=%zz", "query=up", ""},
		{"GET", "/series?match[]=up", "", ""},
		{"POST", "/labels", "match[]=up", ""},
		{"GET", "/label/a%2Fb/values", "", ""},
		{"GET", "/metadata?limit=1", "", ""},
		{"GET", "/status/buildinfo", "", ""},
	} {
		res := ask(t, server, c.method, "/prometheus/api/v1"+c.path, c.form, "Authorization", "Bearer admin-token", "Cookie", "a=b", "X-Forwarded-For", "192.0.2.1")
		if diff := cmp.Diff(seen{c.method, "/tenant/api/v1" + c.path, c.form, "reader/p@ss", "", ""}, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.method, c.path, diff)
		}
		if res.status != http.StatusOK || res.body != success || res.header.Get("Content-Type") != "application/json" || res.header.Get("Set-Cookie") != "" {
			t.Errorf("%s %s: %d %v %s", c.method, c.path, res.status, res.header, res.body)
		}
	}
}

// TestNothingElseIsPassedOn: neither what changes or tells more, nor another host's pages.
func TestNothingElseIsPassedOn(t *testing.T) {
	prometheus := upstream(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s was passed on", r.Method, r.RequestURI) })
	server := asking(t, prometheus.URL)
	for _, c := range []struct{ method, path string }{
		{"POST", "/admin/tsdb/delete_series"},
		{"POST", "/write"},
		{"GET", "/status/config"},
		{"GET", "/targets"},
		{"GET", "/alerts"},
		{"DELETE", "/series"},
		{"PUT", "/query"},
		{"POST", "/metadata"},
		{"GET", "/label/x"},
		{"GET", "/query/"},
		{"GET", "/query%2f..%2fadmin"},
	} {
		if res := ask(t, server, c.method, "/prometheus/api/v1"+c.path, ""); res.status != http.StatusNotFound && res.status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d", c.method, c.path, res.status)
		}
	}
	if res := ask(t, server, "POST", "/prometheus/api/v1/query", "", "Content-Type", "application/json"); res.status != http.StatusUnsupportedMediaType {
		t.Errorf("JSON: %d", res.status)
	}
	large := "query=" + strings.Repeat("x", 300<<10)
	if res := ask(t, server, "POST", "/prometheus/api/v1/query", large); res.status != http.StatusRequestEntityTooLarge || !strings.Contains(faultOf(t, res), "256 KiB") {
		t.Errorf("a large form: %d %s", res.status, res.body)
	}
}

// TestFaultsOfQueriesArePassedOn as Prometheus gives them.
func TestFaultsOfQueriesArePassedOn(t *testing.T) {
	const text = `{"status":"error","errorType":"bad_data","error":"1:4: parse error"}`
	for _, status := range []int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		server := asking(t, upstream(t, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, status, text) }).URL)
		if res := ask(t, server, "GET", "/prometheus/api/v1/query?query=up(", ""); res.status != status || res.body != text {
			t.Errorf("%d %s, want %d", res.status, res.body, status)
		}
	}
}

// TestFaultsOfTheAddress: each says which address was asked, without its password, and what to do.
func TestFaultsOfTheAddress(t *testing.T) {
	elsewhere := upstream(t, func(http.ResponseWriter, *http.Request) { t.Error("a redirect to another host was followed") })
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		status int
		want   string
	}{
		"closed":       {nil, http.StatusBadGateway, "connection refused"},
		"unauthorized": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, http.StatusBadGateway, "credentials"},
		"no API":       {http.NotFound, http.StatusBadGateway, "no API of Prometheus"},
		"login page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<form>")
		}, http.StatusBadGateway, "text/html"},
		"broken": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "internal secret", http.StatusInternalServerError)
		}, http.StatusBadGateway, "500"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/x?token=secret", http.StatusTemporaryRedirect)
		}, http.StatusBadGateway, elsewhere.URL + ", which is not followed"},
		"breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			answerJSON(w, http.StatusOK, "{")
		}, http.StatusBadGateway, "broke"},
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			piece := make([]byte, 1<<20)
			for range 17 {
				_, _ = w.Write(piece)
			}
		}, http.StatusUnprocessableEntity, "16 MiB"},
	} {
		address := closed.URL
		if c.answer != nil {
			address = upstream(t, c.answer).URL
		}
		server := asking(t, strings.Replace(address, "http://", "http://reader:hunter2@", 1))
		res := ask(t, server, "POST", "/prometheus/api/v1/query", "query=up")
		text := faultOf(t, res)
		if res.status != c.status || !strings.Contains(text, c.want) || strings.Contains(res.body, "hunter2") || strings.Contains(res.body, "secret") {
			t.Errorf("%s: %d %s, want %d with %q", name, res.status, text, c.status, c.want)
		}
		if name != "too large" && (!strings.Contains(text, address) || !strings.Contains(text, "--prometheus-url") && !strings.Contains(text, "log")) {
			t.Errorf("%s: does not say which address, or what to do: %s", name, text)
		}
	}
}

// TestRedirectsOnTheSameHost are followed, with the form.
func TestRedirectsOnTheSameHost(t *testing.T) {
	prometheus := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/new/") {
			http.Redirect(w, r, "/new"+r.URL.Path, http.StatusPermanentRedirect)
			return
		}
		user, _, _ := r.BasicAuth()
		answerJSON(w, http.StatusOK, fmt.Sprintf(`{"query":%q,"user":%q}`, r.FormValue("query"), user))
	})
	server := asking(t, strings.Replace(prometheus.URL, "http://", "http://reader:x@", 1))
	if res := ask(t, server, "POST", "/prometheus/api/v1/query", "query=up"); res.body != `{"query":"up","user":"reader"}` {
		t.Errorf("%d %s", res.status, res.body)
	}
	endless := asking(t, upstream(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }).URL)
	if res := ask(t, endless, "GET", "/prometheus/api/v1/query?query=up", ""); res.status != http.StatusBadGateway {
		t.Errorf("an endless redirect: %d %s", res.status, res.body)
	}
}

// TestAddressOfThisServer: the first request finds out.
func TestAddressOfThisServer(t *testing.T) {
	var server *httptest.Server
	front := upstream(t, func(w http.ResponseWriter, r *http.Request) { server.Config.Handler.ServeHTTP(w, r) })
	server = asking(t, front.URL+"/prometheus")
	if res := ask(t, server, "GET", "/prometheus/api/v1/query?query=up", ""); res.status != http.StatusLoopDetected || !strings.Contains(faultOf(t, res), "this server") {
		t.Errorf("%d %s", res.status, res.body)
	}
}

// TestTLSIsVerified: a certificate that nobody vouches for is refused.
func TestTLSIsVerified(t *testing.T) {
	prometheus := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("was asked") }))
	prometheus.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	prometheus.StartTLS()
	t.Cleanup(prometheus.Close)
	res := ask(t, asking(t, prometheus.URL), "GET", "/prometheus/api/v1/query?query=up", "")
	if res.status != http.StatusBadGateway || !strings.Contains(faultOf(t, res), "certificate") {
		t.Errorf("%d %s", res.status, res.body)
	}
}

// TestLargeAnswersAreCompressed for clients that take it, whatever the Prometheus did.
func TestLargeAnswersAreCompressed(t *testing.T) {
	text := `{"status":"success","data":["` + strings.Repeat("a", 1<<20) + `"]}`
	server := asking(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Accept-Encoding") == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, text)
			_ = z.Close()
			return
		}
		_, _ = io.WriteString(w, text)
	}).URL)
	if res := ask(t, server, "GET", "/prometheus/api/v1/labels", ""); res.body != text { // the client decompresses
		t.Errorf("%d, %d bytes", res.status, len(res.body))
	}
	if res := ask(t, server, "GET", "/prometheus/api/v1/labels", "", "Accept-Encoding", "gzip"); res.header.Get("Content-Encoding") != "gzip" || len(res.body) > 64<<10 {
		t.Errorf("%v, %d bytes", res.header, len(res.body))
	}
	if res := ask(t, server, "GET", "/prometheus/api/v1/labels", "", "Accept-Encoding", "identity"); res.header.Get("Content-Encoding") != "" || res.body != text {
		t.Errorf("%v, %d bytes", res.header, len(res.body))
	}
}

func TestParseURL(t *testing.T) {
	for given, want := range map[string]string{
		"":                        "",
		"  ":                      "",
		"http://prom:9090":        "http://prom:9090",
		" https://p.example.com/": "https://p.example.com",
		"http://u:p@prom/team//":  "http://u:p@prom/team",
		"http://[::1]:9090":       "http://[::1]:9090",
	} {
		u, err := externalprom.ParseURL(given)
		got := ""
		if u != nil {
			got = u.String()
		}
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", given, got, err)
		}
	}
	for _, given := range []string{
		"prom:9090", "ftp://prom", "http://", "http://prom:", "http://prom?x=1", "http://prom#x", "http://pr om", "http://prom/api/v1", "http://u:hunter2%@prom", "http://u:hunter2/@prom:x",
	} {
		u, err := externalprom.ParseURL(given)
		if err == nil || u != nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, %v", given, u, err)
		}
	}
}
