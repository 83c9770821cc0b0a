package webconfig

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// What the toolkit lets through by a content that nobody has looked at isn't answered: it reads the file by itself.
func TestContentThatNobodyLookedAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("http_server_config: {http2: true}\n")
	f, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, changes := 0, false
	d := &door{file: f, inner: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { answer++ })}
	d.toolkit = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if changes {
			write("")
		}
		d.serve(w, r)
	})
	for _, want := range []int{http.StatusOK, http.StatusServiceUnavailable} {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if w.Code != want || answer != 1 {
			t.Errorf("%d, answered %d times; want %d", w.Code, answer, want)
		}
		changes = true
	}
}
