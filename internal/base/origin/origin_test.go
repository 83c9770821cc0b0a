package origin_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stackscope/stackscope/internal/base/origin"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		headers []string
		tls     bool
		want    string
	}{
		{nil, false, "http://gpu-head:8080"},
		{nil, true, "https://gpu-head:8080"},
		{[]string{"X-Forwarded-Proto", "https"}, false, "https://gpu-head:8080"},
		{[]string{"X-Forwarded-Proto", "http, https", "X-Forwarded-Host", "ai.example.com:8443, inner"}, true, "http://ai.example.com:8443"},
		{[]string{"X-Forwarded-Proto", "javascript", "X-Forwarded-Host", "evil.example/x?"}, false, "http://gpu-head:8080"},
		{[]string{"X-Forwarded-Host", "user@evil.example"}, false, "http://gpu-head:8080"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Host = "gpu-head:8080"
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		for i := 0; i < len(c.headers); i += 2 {
			r.Header.Set(c.headers[i], c.headers[i+1])
		}
		if got := origin.Of(r); got != c.want {
			t.Errorf("%v: %s, want %s", c.headers, got, c.want)
		}
	}
}
