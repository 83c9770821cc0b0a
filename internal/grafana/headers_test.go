package grafana

import (
	"crypto/tls"
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCredentialsOfOursStayHere(t *testing.T) {
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	c := newCredentials([]string{"admin-token-0123456789", "", "worker-token-0123456789"})
	for value, passes := range map[string]bool{
		"Bearer admin-token-0123456789":              false,
		"bearer   worker-token-0123456789 ":          false,
		"Token admin-token-0123456789":               false,
		"admin-token-0123456789":                     false,
		basic("admin:admin-token-0123456789"):        false,
		basic("admin-token-0123456789:"):             false,
		basic("api_key:worker-token-0123456789"):     false,
		basic("admin:grafana"):                       true,
		basic("admin:"):                              true,
		basic("no colon"):                            true,
		"Basic !!!":                                  true,
		"Bearer glsa_HOruNAb7SOiCdshU8algkrq7FDsNSa": true,
		"Bearer admin-token-012345678":               true,
		"Bearer":                                     true,
		"":                                           true,
	} {
		for _, name := range []string{"Authorization", "X-DS-Authorization"} {
			h := http.Header{}
			h.Set(name, value)
			c.strip(h)
			if got := len(h) == 1 && h.Get(name) == value; got != passes {
				t.Errorf("%s: %q passes: %v, want %v", name, value, got, passes)
			}
		}
	}
	h := http.Header{"Authorization": {"Bearer admin-token-0123456789", "Bearer glsa_x"}}
	c.strip(h)
	if d := cmp.Diff(http.Header{"Authorization": {"Bearer glsa_x"}}, h); d != "" {
		t.Error(d)
	}
}

func TestNobodyClaimsAnIdentity(t *testing.T) {
	h := http.Header{}
	for _, name := range []string{
		"X-WEBAUTH-USER", "x-webauth-role", "X-Webauth-Groups", "X-Grafana-User", "X-Grafana-Id", "Remote-User", "X-Remote-User", "X-Forwarded-User",
		"X-Auth-Request-Email", "X-Authenticated-User",
	} {
		h.Set(name, "admin")
	}
	kept := http.Header{"Accept": {"*/*"}, "X-Grafana-Org-Id": {"1"}, "X-Grafana-Device-Id": {"d"}, "X-Dashboard-Uid": {"u"}, "Cookie": {"a=b"}, "X-Forwarded-Proto": {"https"}}
	maps.Copy(h, kept)
	dropIdentity(h)
	if d := cmp.Diff(kept, h); d != "" {
		t.Error(d)
	}
}

func TestForwardedHeaders(t *testing.T) {
	for name, tc := range map[string]struct {
		tls      bool
		in, want http.Header
	}{
		"direct": {want: http.Header{"X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Host": {"obs.example.com:8080"}, "X-Forwarded-Proto": {"http"}}},
		"direct, TLS": {tls: true, want: http.Header{
			"X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Host": {"obs.example.com:8080"}, "X-Forwarded-Proto": {"https"},
		}},
		"behind a proxy that ends TLS": {
			in: http.Header{"X-Forwarded-For": {"203.0.113.9"}, "X-Forwarded-Host": {"public.example.com"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"443"}, "X-Forwarded-Prefix": {"/a"}},
			want: http.Header{
				"X-Forwarded-For": {"203.0.113.9, 192.0.2.7"}, "X-Forwarded-Host": {"public.example.com"}, "X-Forwarded-Proto": {"https"},
				"X-Forwarded-Port": {"443"}, "X-Forwarded-Prefix": {"/a"},
			},
		},
		"behind two that change Host": {
			in:   http.Header{"X-Forwarded-Host": {"public.example.com:8443, inner.example.com"}},
			want: http.Header{"X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Host": {"public.example.com:8443"}, "X-Forwarded-Proto": {"http"}},
		},
		"nonsense": {
			in:   http.Header{"X-Forwarded-Host": {"a b/c@d"}},
			want: http.Header{"X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Host": {"obs.example.com:8080"}, "X-Forwarded-Proto": {"http"}},
		},
		"behind two, the inner one with TLS to us": {
			tls:  true,
			in:   http.Header{"X-Forwarded-For": {"203.0.113.9", "198.51.100.1"}, "X-Forwarded-Proto": {"http"}},
			want: http.Header{"X-Forwarded-For": {"203.0.113.9, 198.51.100.1, 192.0.2.7"}, "X-Forwarded-Host": {"obs.example.com:8080"}, "X-Forwarded-Proto": {"http"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := httptest.NewRequest(http.MethodGet, "http://obs.example.com:8080/grafana/", nil)
			in.RemoteAddr = "192.0.2.7:1234"
			if tc.tls {
				in.TLS = &tls.ConnectionState{}
			}
			maps.Copy(in.Header, tc.in)
			var got http.Header
			seen := upstreamOf(t, func(_ http.ResponseWriter, r *http.Request) {
				if got = r.Header; r.Host != tc.want.Get("X-Forwarded-Host") {
					t.Errorf("Host is %q", r.Host)
				}
			})
			newProxy(seen).ServeHTTP(httptest.NewRecorder(), in)
			got.Del("Accept-Encoding")
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
	// An address that isn't host and port, as on a Unix socket.
	in := httptest.NewRequest(http.MethodGet, "http://x/", nil)
	in.RemoteAddr = "@"
	out := in.Clone(t.Context())
	setForwarded(&httputil.ProxyRequest{In: in, Out: out})
	if got := out.Header.Values("X-Forwarded-For"); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}
