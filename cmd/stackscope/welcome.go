package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/ownaddress"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/grafana"
	"github.com/stackscope/stackscope/internal/server"
)

// databaseFile shows that a directory is a server's.
const databaseFile = "stackscope.db"

// settle gives the data directory and the port, where none is named, the user's defaults. It returns what the user should know.
func (f *serverFlags) settle(u command.User) (notes []string) {
	var chosen []string
	if f.Port == nil && f.TLSCert == "" {
		port := u.Port(f.Host)
		f.Port, f.chosenPort = &port, port != command.SystemPort
		if f.chosenPort {
			chosen = append(chosen, fmt.Sprintf("port %d instead of %d", port, command.SystemPort))
		}
	}
	if f.DataDir == "" {
		dir, note := u.DataDir(databaseFile)
		f.DataDir = dir
		if dir != u.SystemDir {
			chosen = append(chosen, "data in "+dir)
		}
		if note != "" {
			notes = append(notes, "note: "+note)
		}
	}
	if len(chosen) > 0 {
		notes = append([]string{"not root: " + strings.Join(chosen, ", ")}, notes...)
	}
	return notes
}

// open makes the server.
func (f *serverFlags) open(ctx context.Context, o server.Options) (*server.Server, error) {
	srv, err := server.New(ctx, o)
	if err != nil && f.chosenPort && strings.HasPrefix(err.Error(), fmt.Sprintf("port %d is taken", o.Port)) {
		return nil, fmt.Errorf("%w, for example --port %d (%d is the default where port %d needs root)", err, o.Port+1, o.Port, command.SystemPort)
	}
	return srv, err
}

// greeting is what a server prints when it has started: where to go, and how a worker joins.
type greeting struct {
	title      string
	local      string // the server's address on this machine; empty: only the outer one works
	outer      string // its address elsewhere; empty: it is not reachable from other machines
	tokenFile  string
	adminToken string // the file with the token that reading needs; empty: reading is open
	container  string // the name of the container; empty: none
	prometheus bool
	grafana    string // a path of the server, or an address; empty: there is none
	hasWorker  bool   // the process has a worker, too
	workerAddr string // where that serves its metrics; empty: nowhere
	notes      []string
}

func (f *serverFlags) greeting(ctx context.Context, srv *server.Server) greeting {
	g := greeting{
		tokenFile:  filepath.Join(absolute(f.DataDir), command.JoinTokenFile),
		prometheus: !f.DisableBuiltinObservability && f.GrafanaURL == "",
		grafana:    f.GrafanaURL,
	}
	if g.grafana == "" && srv.GrafanaStatus().Phase != grafana.PhaseAbsent {
		g.grafana = "/grafana/"
	}
	if f.DisableAnonymousViewer {
		g.adminToken = absolute(srv.AdminTokenPath())
	}
	if command.InContainer(os.Getenv) {
		g.container, _ = os.Hostname()
	}
	g.local, g.outer = addresses(ctx, srv.Addr(), f.TLSCert != "", f.ServerExternalURL, g.container != "")
	return g
}

// addresses returns where a server that listens at bound is reached, on its own machine and from others.
func addresses(ctx context.Context, bound string, secure bool, external string, container bool) (local, outer string) {
	host, port, err := net.SplitHostPort(bound)
	if err != nil {
		return "http://" + bound, ""
	}
	url := func(host string) string {
		scheme, usual := "http", "80"
		if secure {
			scheme, usual = "https", "443"
		}
		if port == usual {
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			return scheme + "://" + host
		}
		return scheme + "://" + net.JoinHostPort(host, port)
	}
	ip := net.ParseIP(host)
	switch {
	case external != "":
		outer = strings.TrimSuffix(external, "/")
	case ip.IsLoopback():
		return url("localhost"), ""
	case container:
		return "", url("HOST")
	case secure: // a certificate is for names
		if name, err := os.Hostname(); err == nil {
			return "", url(name)
		}
	}
	if outer == "" {
		outer = url(ownaddress.Find(ctx, host, ""))
	}
	if secure || container || !ip.IsUnspecified() {
		return "", outer
	}
	return url("localhost"), outer
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// join is how a worker joins.
func (g *greeting) join() terminal.Join {
	j := terminal.Join{Server: g.outer, TokenFile: g.tokenFile, Container: g.container}
	switch {
	case g.container != "":
	case g.outer == "":
		j.Server = g.local
		if g.hasWorker { // two workers of a machine need two names and two ports
			j.Flags = []string{"--worker-name", "second", "--worker-metrics-port", "0"}
		}
	default:
		host := strings.TrimPrefix(strings.TrimPrefix(g.outer, "https://"), "http://")
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host, _, _ = strings.Cut(host, "/")
		j.Login = terminal.Login(host)
	}
	return j
}

func (g *greeting) welcome() terminal.Welcome {
	w := terminal.Welcome{Title: g.title + ", version " + buildinfo.Get().Version, Notes: g.notes}
	first := g.local
	if first == "" {
		first = g.outer
	}
	w.Pages = append(w.Pages, terminal.Page{Name: "console", Address: first + "/"})
	if g.local != "" && g.outer != "" {
		w.Pages = append(w.Pages, terminal.Page{Name: "", Address: g.outer + "/", Note: "from other machines"})
	}
	if g.prometheus {
		w.Pages = append(w.Pages, terminal.Page{Name: "Prometheus", Address: first + "/prometheus/"})
	}
	switch {
	case strings.HasPrefix(g.grafana, "/"):
		w.Pages = append(w.Pages, terminal.Page{Name: "Grafana", Address: first + g.grafana, Note: "it starts within some seconds"})
	case g.grafana != "":
		w.Pages = append(w.Pages, terminal.Page{Name: "Grafana", Address: g.grafana})
	}
	if _, port, err := net.SplitHostPort(g.workerAddr); err == nil && g.local != "" {
		w.Pages = append(w.Pages, terminal.Page{Name: "worker's metrics", Address: "http://localhost:" + port + "/metrics"})
	}
	if g.adminToken != "" {
		w.Pages = append(w.Pages, terminal.Page{Name: "admin token", Address: g.adminToken, Note: "the console asks for it"})
	}
	w.Steps = []terminal.Step{g.join().Step()}
	return w
}

// say prints the greeting. With logs in JSON, which programs read, it is a line of the log. A server runs whether anybody reads it or not.
func (g *greeting) say(e *command.Env, logFormat string, logger *slog.Logger) {
	w := g.welcome()
	if logFormat != "json" {
		if err := w.Print(terminal.Of(e.Stdout, os.Getenv)); err != nil {
			logger.Debug("where to go was not printed", "error", err)
		}
		return
	}
	step := w.Steps[0]
	attributes := []any{"console", w.Pages[0].Address, "join", step.Commands[len(step.Commands)-1], "join_token_file", g.tokenFile}
	if len(g.notes) > 0 {
		attributes = append(attributes, "notes", g.notes)
	}
	logger.Info("open the console", attributes...)
}

// defaultServer is where a command that asks a server finds the one of this machine: on port 80, or on 8080 if that is the only one that
// anybody listens on. A token is never sent there unasked: every user of the machine may listen on it. Where nobody listens on either port,
// and no token keeps the second from being asked, the error says so.
func defaultServer(ctx context.Context, hasToken bool) (string, error) {
	return pickServer(hasToken, func(port int) bool { return listens(ctx, port) })
}

func pickServer(hasToken bool, listens func(port int) bool) (string, error) {
	const system, own = "http://127.0.0.1", "http://127.0.0.1:8080"
	switch {
	case hasToken || listens(command.SystemPort):
		return system, nil
	case listens(command.UserPort):
		return own, nil
	}
	return "", fmt.Errorf("no server on this machine: nothing listens on port %d or %d; start one with `stackscope start`, or name yours with --server-url http://HOST[:PORT], with TLS https://HOST[:PORT]",
		command.SystemPort, command.UserPort)
}

func listens(ctx context.Context, port int) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = conn.Close() // nothing was sent
	return true
}
