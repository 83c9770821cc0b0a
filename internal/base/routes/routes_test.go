package routes_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/routes"
)

func TestMuxListsWhatIsRegistered(t *testing.T) {
	inner := routes.NewMux()
	inner.HandleFunc("GET /sub/page", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	m := routes.NewMux()
	m.Needs("POST /change", "admin")
	m.HandleFunc("POST /change", func(http.ResponseWriter, *http.Request) {})
	guarded := routes.Under("viewer", inner, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(w, r) }))
	m.Handle("/sub/", guarded)
	m.Handle("/sub", guarded) // the same routes again
	want := []routes.Route{{Pattern: "POST /change", Right: "admin"}, {Pattern: "/sub"}, {Pattern: "/sub/"}, {Pattern: "GET /sub/page", Right: "viewer"}}
	if diff := cmp.Diff(want, m.Routes()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, r := range m.Routes() {
		if r.Pattern == "GET /sub/page" && (r.Method() != "GET" || r.Path() != "/sub/page") || r.Pattern == "/sub" && (r.Method() != "" || r.Path() != "/sub") {
			t.Errorf("%+v: method %q, path %q", r, r.Method(), r.Path())
		}
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/sub/page", http.NoBody))
	if w.Code != http.StatusTeapot {
		t.Errorf("the mux answers %d", w.Code)
	}
}
