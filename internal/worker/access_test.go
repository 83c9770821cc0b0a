package worker

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/stackscope/stackscope/internal/base/accesstable"
	"github.com/stackscope/stackscope/internal/base/routes"
)

var update = flag.Bool("update", false, "write the table of who may ask what")

// TestAccess: the worker's port answers everybody, but where its web configuration file has users, and every route that it serves is in
// the table.
func TestAccess(t *testing.T) {
	askers := []struct {
		name string
		sign func(*http.Request)
	}{
		{"anonymous, another machine", func(*http.Request) {}},
		{"anonymous, the worker's machine", func(r *http.Request) { r.RemoteAddr, r.Host = "127.0.0.1:50000", "localhost" }},
		{"rebound host name", func(r *http.Request) { r.RemoteAddr, r.Host = "127.0.0.1:50000", "evil.example" }},
		{"page of another site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
		{"any token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer any") }},
		{"wrong password", func(r *http.Request) { r.SetBasicAuth("prometheus", "wrong") }},
		{"user of the web configuration file", func(r *http.Request) { r.SetBasicAuth("prometheus", "right") }},
	}
	var got accesstable.Table
	for _, as := range askers {
		got.Clients = append(got.Clients, as.name)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(users, fmt.Appendf(nil, "basic_auth_users:\n  prometheus: %s\n", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []struct{ name, file string }{{"default", ""}, {"--web.config.file", users}} {
		o := DefaultOptions()
		o.DataDir, o.MetricsHost, o.MetricsPort, o.Discover, o.WebConfigFile = t.TempDir(), "127.0.0.1", 0, nil, mode.file
		w, err := New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		served, ok := w.handler.(routes.Lister)
		if !ok {
			t.Fatal("the handler of the metrics port can't list its routes: register them in a routes.Mux, and pass them on with routes.With or routes.Under where something is put around it")
		}
		for _, route := range served.Routes() {
			row := accesstable.Row{Port: "worker's metrics", Route: route.Pattern, Right: route.Right, Mode: mode.name}
			for _, as := range askers {
				r := httptest.NewRequestWithContext(t.Context(), route.Method(), accesstable.Fill(route.Path(), nil), http.NoBody)
				r.RemoteAddr = "198.18.0.1:50000"
				as.sign(r)
				verdict, _ := accesstable.Send(w.port.Handler(), r)
				row.Results = append(row.Results, verdict)
			}
			got.Rows = append(got.Rows, row)
		}
	}
	accesstable.Check(t, "testdata/access.txt", *update, got)
}
