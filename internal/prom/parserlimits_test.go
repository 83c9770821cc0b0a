package prom

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Every route that parses an expression refuses one that is too large, and says why.
func TestRoutesRefuseExpressionsThatAreTooLarge(t *testing.T) {
	in := start(t, Options{})
	for route, parameter := range map[string]string{
		"/api/v1/query": "query", "/api/v1/query_range": "query", "/api/v1/query_exemplars": "query", "/api/v1/format_query": "query", "/api/v1/parse_query": "query",
		"/api/v1/series": "match[]", "/api/v1/labels": "match[]", "/api/v1/label/job/values": "match[]", "/federate": "match[]",
		"/api/v1/rules": "match[]", "/api/v1/targets/metadata": "match_target",
	} {
		values := url.Values{parameter: {strings.Repeat("(", 1000)}, "start": {"1"}, "end": {"2"}, "step": {"1"}}
		if status, body := get(t, in.url+route+"?"+values.Encode()); status != http.StatusBadRequest || !strings.Contains(body, "nested more than 200 deep") {
			t.Errorf("%s: %d %.200s", route, status, body)
		}
	}
}
