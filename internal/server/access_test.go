package server

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/crypto/bcrypt"

	"github.com/stackscope/stackscope/internal/base/accesstable"
	"github.com/stackscope/stackscope/internal/base/routes"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/tests/programs"
)

var update = flag.Bool("update", false, "write the table of who may ask what")

const accessTable = "testdata/access.txt"

// Who owns a connection is told by its port.
const (
	ownersPort  = 1001
	anothersUID = 4_000_000_000
)

// accessServer is a server as its handlers are put together, with a fleet of two workers.
type accessServer struct {
	*Server
	t        *testing.T
	handlers map[*listener]http.Handler // as they were put together; serving bounds them
	workers  [2]fleet.Joined
	revoked  int64 // the id of one that was removed
	peers    int
}

// accessModes are the ways to start the server that change who may do what.
var accessModes = []struct {
	name string
	set  func(*testing.T, *Options)
}{
	{"default", func(*testing.T, *Options) {}},
	{"--disable-anonymous-viewer", func(_ *testing.T, o *Options) { o.DisableAnonymousViewer = true }},
	{"--no-trust-loopback", func(_ *testing.T, o *Options) { o.NoTrustLoopback = true }},
	{"--web.config.file", func(t *testing.T, o *Options) { t.Helper(); o.WebConfigFile = usersFile(t) }},
}

func startForAccess(t *testing.T, set func(*Options)) *accessServer {
	t.Helper()
	o := DefaultOptions()
	o.DataDir = t.TempDir()
	o.Host, o.Port, o.MetricsPort, o.Grafana.Disabled = "127.0.0.1", 0, 0, true
	o.ownerUID = func(client, _ netip.AddrPort) (uint32, error) {
		if client.Port() == ownersPort {
			return uint32(os.Geteuid()), nil
		}
		return anothersUID, nil
	}
	o.ui = fstest.MapFS{
		"index.html": {Data: []byte("<!doctype html>")}, "favicon.svg": {Data: []byte("<svg/>")}, "assets/x": {Data: []byte("x")},
	}
	o.consoleFiles = fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}, "console/assets/x": {Data: []byte("x")}}
	set(&o)
	if !o.DisableBuiltinObservability && o.GrafanaURL == "" {
		o.PrometheusPort = programs.FreePort(t)
	}
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	a := &accessServer{Server: s, t: t, handlers: map[*listener]http.Handler{}}
	for _, l := range s.listeners() {
		a.handlers[l] = l.srv.Handler
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	if s.prom != nil {
		<-s.prom.Ready()
	}
	a.refill()
	return a
}

// refill puts back what a request that was allowed has taken away.
func (a *accessServer) refill() {
	a.t.Helper()
	ctx := context.Background()
	for _, w := range a.inventory.Revoked() {
		if w.ID == a.revoked {
			continue
		}
		if err := a.inventory.Allow(ctx, w.ID); err != nil {
			a.t.Fatal(err)
		}
	}
	if !slices.ContainsFunc(a.inventory.Revoked(), func(w fleet.RevokedWorker) bool { return w.ID == a.revoked }) {
		joined, err := a.inventory.Register(ctx, fleet.Registration{UUID: "uuid-removed", Name: "removed", Address: "192.0.2.1", MetricsPort: 10161})
		if err == nil {
			a.revoked = joined.Worker.ID
			err = a.inventory.RemoveWorker(ctx, a.revoked)
		}
		if err != nil {
			a.t.Fatal(err)
		}
	}
	for i := range a.workers {
		if id := a.workers[i].Worker.ID; id != 0 && a.inventory.Authenticate(id, a.workers[i].Credential) {
			continue
		}
		name := fmt.Sprintf("worker-%d", i)
		joined, err := a.inventory.Register(ctx, fleet.Registration{UUID: "uuid-" + name, Name: name, Address: "192.0.2.1", MetricsPort: 10151 + i})
		if err != nil {
			a.t.Fatal(err)
		}
		a.workers[i] = joined
		report := fleet.Report{Instances: []fleet.ReportedInstance{{Name: name + "-qwen", Model: "qwen", Runtime: "vLLM", State: fleet.InstanceRunning}}}
		if _, err := a.inventory.Report(ctx, joined.Worker.ID, report); err != nil {
			a.t.Fatal(err)
		}
	}
}

// asker is somebody who sends a request.
type asker struct {
	name string
	sign func(*accessServer, *http.Request)
}

// far sends a request from another machine; each is another one.
func far(a *accessServer, r *http.Request) {
	a.peers++
	r.RemoteAddr, r.Host = fmt.Sprintf("198.18.%d.%d:50000", a.peers>>8&255, a.peers&255), "stackscope.example"
}

// near sends it from the server's own machine.
func near(port int) func(*accessServer, *http.Request) {
	return func(a *accessServer, r *http.Request) {
		a.peers++
		r.RemoteAddr, r.Host = fmt.Sprintf("127.1.%d.%d:%d", a.peers>>8&255, a.peers&255, port), "localhost"
	}
}

func bearing(token func(*accessServer) string) func(*accessServer, *http.Request) {
	return func(a *accessServer, r *http.Request) {
		far(a, r)
		r.Header.Set("Authorization", "Bearer "+token(a))
	}
}

func withHeaders(from func(*accessServer, *http.Request), headers ...string) func(*accessServer, *http.Request) {
	return func(a *accessServer, r *http.Request) {
		from(a, r)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
}

var fromOtherSite = []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}

var accessAskers = []asker{
	{"anonymous, another machine", far},
	{"server's user, its machine", near(ownersPort)},
	{"another local user", near(ownersPort + 1)},
	{"forwarded by a local proxy", withHeaders(near(ownersPort), "X-Forwarded-For", "198.18.0.1")},
	{"rebound host name", func(a *accessServer, r *http.Request) { near(ownersPort)(a, r); r.Host = "evil.example" }},
	{"page of another site", withHeaders(near(ownersPort), fromOtherSite...)},
	{"wrong token", bearing(func(*accessServer) string { return "no-token-of-this-server" })},
	{"join token", bearing(func(a *accessServer) string { return a.workerToken })},
	{"the worker itself", bearing(func(a *accessServer) string { return a.workers[0].Credential })},
	{"another worker", bearing(func(a *accessServer) string { return a.workers[1].Credential })},
	{"read token", bearing(func(a *accessServer) string { return a.readToken })},
	{"admin token (Bearer)", bearing(func(a *accessServer) string { return a.adminToken })},
	{"admin token (Basic)", func(a *accessServer, r *http.Request) { far(a, r); r.SetBasicAuth("admin", a.adminToken) }},
	{"admin token (Basic), page of another site", func(a *accessServer, r *http.Request) {
		withHeaders(far, fromOtherSite...)(a, r)
		r.SetBasicAuth("admin", a.adminToken)
	}},
	{"user of the web configuration file", func(a *accessServer, r *http.Request) { far(a, r); r.SetBasicAuth("prometheus", "secret") }},
}

// usersFile returns a web configuration file with a user.
func usersFile(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(path, fmt.Appendf(nil, "basic_auth_users:\n  prometheus: %s\n", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ask sends a request as somebody and returns what became of it.
func (a *accessServer) ask(l *listener, method, path string, as asker) (verdict string, status int) {
	defer a.refill()
	r := httptest.NewRequestWithContext(a.t.Context(), method, path, bytes.NewReader(nil))
	local, err := net.ResolveTCPAddr("tcp", loopbackAddress(l.ln))
	if err != nil {
		a.t.Fatal(err)
	}
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
	as.sign(a, r)
	return accesstable.Send(a.handlers[l], r)
}

// parameters are those of paths: of what is there.
func (a *accessServer) parameters(path string) map[string]string {
	p := map[string]string{"id": "1", "name": "job", "uid": "stackscope-fleet"}
	if strings.HasPrefix(path, "/v2/workers/") {
		p["id"] = fmt.Sprint(a.workers[0].Worker.ID)
	}
	if strings.HasPrefix(path, "/v2/revoked-workers/") {
		p["id"] = fmt.Sprint(a.revoked)
	}
	return p
}

// routes returns what a listener says that it serves.
func (a *accessServer) routes(l *listener) []routes.Route {
	list, ok := a.handlers[l].(routes.Lister)
	if !ok {
		a.t.Fatalf("the handler of the %s listener can't list its routes: register them in a routes.Mux, and pass them on with routes.With or routes.Under where something is put around it", l.name)
	}
	return list.Routes()
}

// rows asks for every route as everybody.
func (a *accessServer) rows(mode string, of func(routes.Route) bool) []accesstable.Row {
	var rows []accesstable.Row
	for _, l := range a.listeners() {
		for _, r := range a.routes(l) {
			if !of(r) {
				continue
			}
			row := accesstable.Row{Port: l.name, Route: r.Pattern, Right: r.Right, Mode: mode}
			for _, as := range accessAskers {
				method := r.Method()
				if method == "" {
					method = http.MethodGet
				}
				verdict, _ := a.ask(l, method, accesstable.Fill(r.Path(), a.parameters(r.Path())), as)
				row.Results = append(row.Results, verdict)
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// TestAccessToExternalPrometheus: its routes need the right that the embedded one's need, whether that runs or not.
func TestAccessToExternalPrometheus(t *testing.T) {
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(outside.Close)
	text, err := os.ReadFile(accessTable)
	if err != nil {
		t.Fatal(err)
	}
	table, err := accesstable.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range accessModes {
		for _, off := range []bool{false, true} {
			a := startForAccess(t, func(o *Options) {
				mode.set(t, o)
				o.PrometheusURL, o.DisableBuiltinObservability = outside.URL, off
			})
			asked := a.externalProm.Routes()
			rows := a.rows(mode.name, func(r routes.Route) bool {
				return slices.ContainsFunc(asked, func(own routes.Route) bool { return own.Pattern == r.Pattern })
			})
			if len(rows) < len(asked) {
				t.Errorf("%d of %d routes are listed", len(rows), len(asked))
			}
			known := accesstable.Table{Clients: table.Clients}
			for _, row := range rows {
				known.Rows = append(known.Rows, table.Rows[slices.IndexFunc(table.Rows, func(r accesstable.Row) bool {
					return r.Port == row.Port && r.Route == row.Route && r.Mode == row.Mode
				})])
			}
			for _, d := range known.Compare(accesstable.Table{Clients: table.Clients, Rows: rows}) {
				t.Error(d)
			}
		}
	}
}

func ofGrafana(r routes.Route) bool { return strings.HasPrefix(r.Path(), grafanaPrefix) }

// TestAccess: nobody may ask for what the table doesn't let him, and every route that is served is in it.
func TestAccess(t *testing.T) {
	outside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(outside.Close)
	var got accesstable.Table
	for _, as := range accessAskers {
		got.Clients = append(got.Clients, as.name)
	}
	for _, mode := range accessModes {
		a := startForAccess(t, func(o *Options) { mode.set(t, o) })
		got.Rows = append(got.Rows, a.rows(mode.name, func(r routes.Route) bool { return !ofGrafana(r) })...)
		g := startForAccess(t, func(o *Options) { mode.set(t, o); o.GrafanaURL = outside.URL })
		got.Rows = append(got.Rows, g.rows(mode.name, ofGrafana)...)
	}
	slices.SortStableFunc(got.Rows, func(a, b accesstable.Row) int {
		path := func(r accesstable.Row) string { return (routes.Route{Pattern: r.Route}).Path() }
		return cmp.Or(strings.Compare(a.Port, b.Port), strings.Compare(path(a), path(b)), strings.Compare(a.Route, b.Route))
	})
	accesstable.Check(t, accessTable, *update, got)
}
