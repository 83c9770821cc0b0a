package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// If reading needs a right, a page of another site cannot use the browser's: a stored password or a loopback address. A link from
// there still works.
func TestCrossSiteReadsAreRefused(t *testing.T) {
	g := &authorizer{crossOrigin: http.NewCrossOriginProtection()}
	for _, tc := range []struct {
		site, mode string
		refused    bool
	}{
		{"", "", false},
		{"none", "navigate", false},
		{"same-origin", "cors", false},
		{"cross-site", "navigate", false},
		{"cross-site", "no-cors", true},
		{"cross-site", "cors", true},
		{"same-site", "cors", true},
		{"cross-site", "", true},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/workers", http.NoBody)
		if tc.site != "" {
			r.Header.Set("Sec-Fetch-Site", tc.site)
			r.Header.Set("Sec-Fetch-Mode", tc.mode)
		}
		if err := g.checkSite(r); (err != nil) != tc.refused {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}
