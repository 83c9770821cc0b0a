//go:build linux

package attack

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/accesstable"
	"github.com/stackscope/stackscope/tests/programs"
)

// TestAccessOverSockets: the programs as they are built decide as the table says, for a route of each right.
func TestAccessOverSockets(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "internal", "server", "testdata", "access.txt"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := accesstable.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	sample := []string{
		"GET /readyz", "GET /v2/workers", "GET /prometheus/api/v1/labels", "POST /prometheus/api/v1/admin/tsdb/snapshot",
		"PUT /v2/workers/{id}/report", "POST /v2/workers/register", "DELETE /v2/metrics/config",
	}
	for _, mode := range []string{"default", "--disable-anonymous-viewer", "--no-trust-loopback"} {
		var flags []string
		if mode != "default" {
			flags = append(flags, mode)
		}
		s := serve(t, flags...)
		workers := make([]joined, 2)
		for i := range workers {
			if workers[i], err = s.join(fmt.Sprint("node-", i), 0); err != nil {
				t.Fatal(err)
			}
		}
		programs.Eventually(t, time.Minute, "Prometheus", func() error {
			if status, body, err := s.send(http.MethodGet, "/prometheus/-/ready", s.adminToken, nil); err != nil || status != http.StatusOK {
				return fmt.Errorf("%d %s, %w", status, body, err)
			}
			return nil
		})
		clients := socketClients(s, workers)
		asked := 0
		for _, row := range table.Rows {
			if row.Mode != mode || row.Port != "API" || !slices.Contains(sample, row.Route) {
				continue
			}
			for i, name := range table.Clients {
				sign, can := clients[name]
				if !can {
					continue
				}
				asked++
				if got := askOverSocket(t, s, row.Route, workers[0], sign); got != row.Results[i] {
					t.Errorf("%s, %s as %q: %s, the table has %s", mode, row.Route, name, got, row.Results[i])
				}
			}
		}
		if want := len(sample) * len(clients); asked != want {
			t.Errorf("%s: %d requests, want %d: the routes or the clients are not those of the table", mode, asked, want)
		}
		s.Stop(syscall.SIGTERM)
	}
}

// socketClients are the clients of the table that can run on this machine. The keys are their names in the table.
func socketClients(s *server, workers []joined) map[string]func(*http.Request) {
	header := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Set(pairs[i], pairs[i+1])
			}
		}
	}
	bearer := func(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }
	otherSite := header("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	basic := func(r *http.Request) { r.SetBasicAuth("admin", s.adminToken) }
	return map[string]func(*http.Request){
		"server's user, its machine":                func(*http.Request) {},
		"forwarded by a local proxy":                header("X-Forwarded-For", "198.18.0.1"),
		"rebound host name":                         func(r *http.Request) { r.Host = "evil.example" },
		"page of another site":                      otherSite,
		"wrong token":                               bearer("no-token-of-this-server"),
		"join token":                                bearer(s.joinToken),
		"the worker itself":                         bearer(workers[0].Credential),
		"another worker":                            bearer(workers[1].Credential),
		"admin token (Bearer)":                      bearer(s.adminToken),
		"admin token (Basic)":                       basic,
		"admin token (Basic), page of another site": func(r *http.Request) { otherSite(r); basic(r) },
	}
}

func askOverSocket(t *testing.T, s *server, route string, w joined, sign func(*http.Request)) string {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	path = accesstable.Fill(path, map[string]string{"id": fmt.Sprint(w.ID)})
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	sign(r)
	// Each comes from an address of its own, as in the table.
	from := net.IPv4(127, 1, byte(rand.IntN(250)), byte(1+rand.IntN(250)))
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	resp, err := (&http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatalf("%s: %v", route, err)
	}
	resp.Body.Close()
	return accesstable.Result(resp.StatusCode)
}
