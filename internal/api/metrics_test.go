package api_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/fleet"
)

func newMetrics(page string, groups any) http.Handler {
	return api.NewMetrics(api.MetricsOptions{
		WritePage:   func(send func([]byte)) { send([]byte(page)) },
		ContentType: "text/plain; version=0.0.4; charset=utf-8",
		Snapshot:    func() *fleet.Snapshot { return nil },
		Targets:     func(*fleet.Snapshot) any { return groups }, ProxyTargets: func(*fleet.Snapshot) any { return nil },
	})
}

func TestMetricsPage(t *testing.T) {
	page := strings.Repeat("up 1\n", 1000)
	h := newMetrics(page, nil)
	for _, tt := range []struct {
		accept string
		zipped bool
	}{{"", false}, {"gzip", true}, {"br;q=1.0, GZIP;q=0.8, *;q=0.1", true}, {"gzip;q=0", false}, {"gzip; q=0.0, deflate", false}, {"deflate", false}, {"xgzip", false}} {
		for _, path := range []string{"/metrics", "/metrics/", "/metrics"} { // the pooled compressor serves more than once
			r := httptest.NewRequest("GET", path, nil)
			if tt.accept != "" {
				r.Header.Set("Accept-Encoding", tt.accept)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 200 || w.Header().Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" || w.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
				t.Fatalf("%d %v", w.Code, w.Header())
			}
			var body io.Reader = w.Body
			if got := w.Header().Get("Content-Encoding") == "gzip"; got != tt.zipped {
				t.Errorf("Accept-Encoding %q: gzip %t", tt.accept, got)
			}
			if tt.zipped {
				gz, err := gzip.NewReader(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				body = gz
			}
			if got, err := io.ReadAll(body); err != nil || string(got) != page {
				t.Errorf("Accept-Encoding %q: %d bytes, %v", tt.accept, len(got), err)
			}
		}
	}
}

func TestTargets(t *testing.T) {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	h := newMetrics("", []group{{[]string{"[::1]:10151"}, map[string]string{"cluster_id": "1"}}})
	for path, want := range map[string]string{
		"/metrics/targets":       `[{"targets":["[::1]:10151"],"labels":{"cluster_id":"1"}}]`,
		"/metrics/proxy-targets": `[]`,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v %s", path, w.Header(), w.Body)
		}
	}
	w := httptest.NewRecorder()
	newMetrics("", []group{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics/targets", nil))
	if w.Body.String() != "[]" {
		t.Errorf("no targets: %s", w.Body)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if !strings.Contains(w.Body.String(), `href="/metrics/targets"`) {
		t.Errorf("root page: %s", w.Body)
	}
}
