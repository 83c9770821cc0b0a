package prom

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/paths"
)

// TestErrorsOfTheStorageNameNoPath: the TSDB says which of its files can't be read, and anybody may ask for what is in it.
func TestErrorsOfTheStorageNameNoPath(t *testing.T) {
	hidden := paths.Hide("/srv/telling/prometheus", "DATA_DIR/prometheus")
	failing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		writeAPIError(w, http.StatusUnprocessableEntity, "execution", errors.New("corruption in head chunk file /srv/telling/prometheus/chunks_head/000001"))
	})
	for _, tc := range []struct {
		path, accept string
		knows        bool
	}{
		{"/query", "", false},
		{"/query", "gzip", false},
		{"/read", "gzip", false},
		{"/query", "", true},
	} {
		r := httptest.NewRequestWithContext(paths.WithClient(t.Context(), func() bool { return tc.knows }), http.MethodGet, tc.path, http.NoBody)
		r.Header.Set("Accept-Encoding", tc.accept)
		w := httptest.NewRecorder()
		hideDataDirInAPI(hidden, failing).ServeHTTP(w, r)
		body := io.Reader(w.Body)
		if w.Header().Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		} else if tc.accept == "gzip" && tc.path == "/query" {
			t.Errorf("%+v: not compressed", tc)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		want := "head chunk file DATA_DIR/prometheus/chunks_head/000001"
		if tc.knows {
			want = "head chunk file /srv/telling/prometheus/chunks_head/000001"
		}
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(string(text), want) {
			t.Errorf("%+v: %d %s", tc, w.Code, text)
		}
	}
}

// TestStatusPagesNameNoPlace: Prometheus' UI needs the members, and everybody can read them.
func TestStatusPagesNameNoPlace(t *testing.T) {
	t.Parallel()
	in := start(t, Options{ShownDir: "DATA_DIR/prometheus"})
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"runtimeinfo": `"CWD":"","hostname":""`,
		"flags":       `"storage.tsdb.path":"DATA_DIR/prometheus"`,
		"config":      `"yaml":`,
		"tsdb":        `"headStats":`,
		"tsdb/blocks": `"blocks":`,
	} {
		_, body := get(t, in.url+"/api/v1/status/"+path)
		if !strings.Contains(body, want) || strings.Contains(body, in.opts.Dir) || strings.Contains(body, cwd) {
			t.Errorf("%s lacks %s, or names a place: %s", path, want, body)
		}
	}
}
