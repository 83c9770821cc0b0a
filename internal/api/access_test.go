package api_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/api"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// local makes a request look like the specification's curl on the server's own machine.
func local(r *http.Request) *http.Request {
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "localhost:8080"
	return r
}

func oldHTTP(r *http.Request) *http.Request {
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0
	return r
}

const smallMapping = `{"gpustack_metrics":{"gpustack:x":{"type":"gauge","description":"X."}},"runtime_mapping":{}}`

func TestWhoMayDoWhat(t *testing.T) {
	read := func() *http.Request { return request("GET", "/v2/metrics/config", "") }
	change := func() *http.Request { return request("POST", "/v2/metrics/config", smallMapping) }
	with := func(r *http.Request, headers ...string) *http.Request {
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return r
	}
	at := func(r *http.Request, peer, host string) *http.Request {
		r.RemoteAddr, r.Host = peer, host
		return r
	}
	asOpen, asClosed, asStrict := func(*api.Options) {}, func(o *api.Options) { o.DisableAnonymousViewer = true }, func(o *api.Options) { o.NoTrustLoopback = true }
	const bearerAdmin = "Bearer " + adminToken
	for _, tt := range []struct {
		name string
		opts func(*api.Options)
		r    *http.Request
		want int
	}{
		{"anonymous reads", asOpen, read(), 200},
		{"anonymous reads the default by POST", asOpen, request("POST", "/v2/metrics/default-config", ""), 200},
		{"anonymous reads with a foreign token", asOpen, with(read(), "Authorization", "Bearer of-grafana"), 200},
		{"anonymous reads from a page elsewhere", asOpen, with(read(), "Sec-Fetch-Site", "cross-site"), 200},
		{"anonymous changes", asOpen, change(), 401},
		{"anonymous removes a worker", asOpen, request("DELETE", "/v2/workers/1", ""), 401},
		{"admin changes", asOpen, with(change(), "Authorization", bearerAdmin), 200},
		{"admin changes, other case", asOpen, with(change(), "Authorization", "bearer  "+adminToken), 200},
		{"admin changes, Basic", asOpen, with(change(), "Authorization", basic("admin", adminToken)), 200},
		{"other user, Basic", asOpen, with(change(), "Authorization", basic("root", adminToken)), 401},
		{"wrong password", asOpen, with(change(), "Authorization", basic("admin", "grafana")), 401},
		{"wrong token", asOpen, with(change(), "Authorization", "Bearer "+adminToken+"x"), 401},
		{"empty token", asOpen, with(change(), "Authorization", "Bearer "), 401},
		{"worker token is no admin token", asOpen, with(change(), "Authorization", "Bearer "+workerToken), 401},
		{"worker credential is no admin token", asOpen, with(change(), "Authorization", "Bearer cred-1"), 401},

		{"loopback", asOpen, local(change()), 200},
		{"loopback, 127.0.0.1", asOpen, at(change(), "127.0.0.1:5", "127.0.0.1"), 200},
		{"loopback, 127.1.2.3", asOpen, at(change(), "127.0.0.1:5", "127.1.2.3:80"), 200},
		{"loopback, IPv6", asOpen, at(change(), "[::1]:5", "[::1]:80"), 200},
		{"loopback, IPv6 without port", asOpen, at(change(), "[::1]:5", "[::1]"), 200},
		{"loopback, mapped peer", asOpen, at(change(), "[::ffff:127.0.0.1]:5", "LOCALHOST"), 200},
		{"loopback peer, foreign host (DNS rebinding)", asOpen, at(change(), "127.0.0.1:5", "evil.example:80"), 401},
		{"loopback peer, look-alike host", asOpen, at(change(), "127.0.0.1:5", "localhost.evil.example"), 401},
		{"loopback peer, look-alike address", asOpen, at(change(), "127.0.0.1:5", "127.0.0.1.evil.example"), 401},
		{"loopback peer, no host", asOpen, at(change(), "127.0.0.1:5", ""), 401},
		{"foreign peer, loopback host", asOpen, at(change(), "192.0.2.7:5", "localhost"), 401},
		{"foreign peer pretends", asOpen, with(at(change(), "192.0.2.7:5", "localhost"), "X-Forwarded-For", "127.0.0.1"), 401},
		{"unix peer", asOpen, at(change(), "@", "localhost"), 401},
		{"proxied: X-Forwarded-For", asOpen, with(local(change()), "X-Forwarded-For", "10.0.0.1"), 401},
		{"proxied: X-Forwarded-Proto", asOpen, with(local(change()), "X-Forwarded-Proto", "https"), 401},
		{"proxied: Forwarded", asOpen, with(local(change()), "Forwarded", "for=10.0.0.1"), 401},
		{"proxied: X-Real-IP", asOpen, with(local(change()), "X-Real-IP", "10.0.0.1"), 401},
		{"proxied: Via", asOpen, with(local(change()), "Via", "1.1 proxy"), 401},
		{"proxied: a header that nobody listed", asOpen, with(local(change()), "X-Envoy-External-Address", "10.0.0.1"), 401},
		{"proxied: HTTP/1.0, as nginx does", asOpen, oldHTTP(local(change())), 401},
		{"proxied with token", asOpen, with(change(), "X-Forwarded-For", "10.0.0.1", "Authorization", bearerAdmin), 200},
		{"loopback, as curl sends a large mapping", asOpen, with(local(change()), "Accept", "*/*", "User-Agent", "curl/8.5.0", "Content-Type", "application/json", "Expect", "100-continue"), 200},
		{"loopback, as a browser asks", asClosed, with(local(read()), "Accept-Language", "en", "Cookie", "a=b", "Referer", "http://localhost/", "Sec-Fetch-Site", "same-origin", "Upgrade-Insecure-Requests", "1", "Cache-Control", "max-age=0", "If-None-Match", `"9"`), 200},
		{"loopback with a wrong token", asOpen, with(local(change()), "Authorization", "Bearer x"), 401},
		{"loopback not trusted", asStrict, local(change()), 401},
		{"loopback not trusted, token", asStrict, with(local(change()), "Authorization", bearerAdmin), 200},

		{"cross-site page", asOpen, with(local(change()), "Sec-Fetch-Site", "cross-site"), 403},
		{"page on another port", asOpen, with(local(change()), "Sec-Fetch-Site", "same-site"), 403},
		{"cross-site page, old browser", asOpen, with(local(change()), "Origin", "http://evil.example"), 403},
		{"sandboxed page", asOpen, with(local(change()), "Origin", "null"), 403},
		{"cross-site page with the admin's password", asOpen, with(change(), "Sec-Fetch-Site", "cross-site", "Authorization", basic("admin", adminToken)), 403},
		{"own page", asOpen, with(local(change()), "Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:8080"), 200},
		{"own page, old browser", asOpen, with(local(change()), "Origin", "http://localhost:8080"), 200},
		{"cross-site delete", asOpen, with(local(request("DELETE", "/v2/metrics/config", "")), "Sec-Fetch-Site", "cross-site"), 403},

		{"closed: anonymous reads", asClosed, read(), 401},
		{"closed: open mount", asClosed, request("GET", "/", ""), 200},
		{"closed: changes", asClosed, request("GET", "/v2/watch", ""), 401},
		{"closed: OpenAPI", asClosed, request("GET", "/openapi.json", ""), 401},
		{"closed: mount", asClosed, request("GET", "/prometheus/graph", ""), 401},
		{"closed: default by POST", asClosed, request("POST", "/v2/metrics/default-config", ""), 401},
		{"closed: admin reads", asClosed, with(read(), "Authorization", basic("admin", adminToken)), 200},
		{"closed: admin, mount", asClosed, with(request("GET", "/prometheus/graph", ""), "Authorization", bearerAdmin), 200},
		{"closed: loopback reads", asClosed, local(read()), 200},
		{"closed: worker reads", asClosed, with(read(), "Authorization", "Bearer cred-1"), 401},
		{"closed: healthz", asClosed, request("GET", "/healthz", ""), 200},
		{"closed: readyz", asClosed, request("GET", "/readyz", ""), 200},
		{"closed: version", asClosed, request("GET", "/version", ""), 200},

		{"register without token", asOpen, request("POST", "/v2/workers/register", "{}"), 401},
		{"register on loopback without token", asOpen, local(request("POST", "/v2/workers/register", "{}")), 401},
		{"register with the admin token", asOpen, with(request("POST", "/v2/workers/register", "{}"), "Authorization", bearerAdmin), 401},
		{"register, no JSON yet right", asOpen, with(request("POST", "/v2/workers/register", "{}"), "Authorization", "Bearer "+workerToken), 422},
		{"report with the join token", asOpen, with(request("PUT", "/v2/workers/1/report", "{}"), "Authorization", "Bearer "+workerToken), 401},
		{"report as another worker", asOpen, with(request("PUT", "/v2/workers/2/report", "{}"), "Authorization", "Bearer cred-1"), 401},
		{"report of no worker", asOpen, with(request("PUT", "/v2/workers/x/report", "{}"), "Authorization", "Bearer cred-1"), 401},
		{"watch as another worker", asOpen, with(request("GET", "/v2/workers/2/watch", ""), "Authorization", "Bearer cred-1"), 401},
		{"watch anonymously", asOpen, local(request("GET", "/v2/workers/1/watch", "")), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newAPI(t, tt.opts, func(o *api.Options) {
				o.Mounts = map[string]http.Handler{"/prometheus/": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
				o.OpenMounts = map[string]http.Handler{"GET /{$}": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
			})
			w := h.do(tt.r)
			if w.Code != tt.want {
				t.Fatalf("%s %s: %d, want %d: %s", tt.r.Method, tt.r.URL.Path, w.Code, tt.want, w.Body)
			}
			changed := h.mapping.Current().Number != 0 || len(h.inventory.removed) > 0
			if changed != (tt.want == 200 && tt.r.Method == "POST" && tt.r.URL.Path == "/v2/metrics/config") {
				t.Errorf("changed: %t", changed)
			}
			if tt.want < 400 {
				return
			}
			p := problemOf(t, w, tt.want)
			if strings.Contains(p.Detail, adminToken) || strings.Contains(p.Detail, workerToken) {
				t.Errorf("the answer tells a token: %s", p.Detail)
			}
			if tt.want == 401 && !strings.Contains(fmt.Sprint(w.Header()["Www-Authenticate"]), "Bearer") {
				t.Errorf("WWW-Authenticate: %v", w.Header()["Www-Authenticate"])
			}
		})
	}
}

func TestRefusalsSayHowToAuthenticate(t *testing.T) {
	h := newAPI(t)
	for _, tt := range []struct {
		r    *http.Request
		want []string
	}{
		{request("POST", "/v2/metrics/config", smallMapping), []string{"admin token", "file DATA_DIR/admin-token", "Authorization: Bearer", "Basic", "http://localhost"}},
		{request("POST", "/v2/workers/register", "{}"), []string{"join token", "file DATA_DIR/worker-token"}},
		{request("PUT", "/v2/workers/1/report", "{}"), []string{"credential", "register again"}},
	} {
		p := problemOf(t, h.do(tt.r), 401)
		for _, want := range tt.want {
			if !strings.Contains(p.Detail, want) {
				t.Errorf("%s: lacks %q: %s", tt.r.URL.Path, want, p.Detail)
			}
		}
	}
	strict := newAPI(t, func(o *api.Options) { o.NoTrustLoopback = true })
	near := request("POST", "/v2/metrics/config", smallMapping)
	near.RemoteAddr, near.Host = "127.0.0.1:4711", "localhost"
	if p := problemOf(t, strict.do(near), 401); !strings.Contains(p.Detail, "file DATA_DIR/admin-token") {
		t.Errorf("a refused request learns a path, because it came from the server's machine: %s", p.Detail)
	}
	if p := problemOf(t, strict.do(request("POST", "/v2/metrics/config", smallMapping)), 401); strings.Contains(p.Detail, "localhost") {
		t.Errorf("names localhost although it is not trusted: %s", p.Detail)
	}
}

// TestScriptsAreNotOfferedBasic: the browser would ask the user for a password in a window of its own, and the console asks in the page.
func TestScriptsAreNotOfferedBasic(t *testing.T) {
	h := newAPI(t, func(o *api.Options) { o.DisableAnonymousViewer = true })
	for _, c := range []struct {
		headers []string
		offered bool
	}{
		{nil, true},
		{[]string{"Accept", "*/*"}, true},
		{[]string{"Accept", "text/html", "Sec-Fetch-Dest", "document"}, true},
		{[]string{"Accept", "application/json"}, false},
		{[]string{"Accept", "text/event-stream"}, false},
		{[]string{"Accept", "*/*", "Sec-Fetch-Dest", "empty"}, false},
	} {
		for _, token := range []string{"", "Bearer wrong"} {
			r := request("GET", "/v2/workers", "", c.headers...)
			if token != "" {
				r.Header.Set("Authorization", token)
			}
			w := h.do(r)
			challenges := strings.Join(w.Header()["Www-Authenticate"], "; ")
			if w.Code != http.StatusUnauthorized || !strings.Contains(challenges, "Bearer") || strings.Contains(challenges, "Basic") != c.offered {
				t.Errorf("%v with %q: %d %s, Basic offered: want %t", c.headers, token, w.Code, challenges, c.offered)
			}
		}
	}
}
