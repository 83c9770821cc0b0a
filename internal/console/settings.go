package console

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/base/origin"
	"github.com/stackscope/stackscope/internal/base/paths"
	"github.com/stackscope/stackscope/internal/base/terminal"
)

// Settings are what the pages need to know of the server.
type Settings struct {
	Version    string     `json:"version"`
	Prometheus Prometheus `json:"prometheus"`
	Grafana    Grafana    `json:"grafana"`
	NeedsToken bool       `json:"needs_token"` // for reading, too
	// JoinCommand is the command with which a worker joins this server. It names the token's file, never the token.
	JoinCommand string `json:"join_command"`
}

func (c *Console) serveSettings(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_ = httpjson.Write(w, http.StatusOK, Settings{
		Version: c.opts.Version, Prometheus: c.opts.Prometheus, Grafana: c.opts.Grafana(r.Context()), NeedsToken: c.opts.NeedsToken,
		JoinCommand: c.joinCommand(r),
	})
}

// joinCommand returns the command for the client of r. A worker on another machine needs a copy of the token's file.
func (c *Console) joinCommand(r *http.Request) string {
	address := c.opts.ServerURL
	if address == "" {
		address = c.reached(r.Context(), origin.Of(r))
	}
	file := c.opts.TokenPath
	if !paths.MaySee(r.Context()) {
		file = "DATA_DIR/" + filepath.Base(file)
	}
	// A client chooses the Host of its request.
	return "stackscope-worker --server-url " + terminal.Quote(address) + " --token-file " + terminal.Quote(file)
}

// reached returns an address that works on other machines in place of one of this machine alone.
func (c *Console) reached(ctx context.Context, address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || c.opts.ReachedFrom == nil { // a certificate may not have the other name
		return address
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if !strings.EqualFold(u.Hostname(), "localhost") && (err != nil || !ip.IsLoopback()) {
		return address
	}
	host := c.opts.ReachedFrom(ctx)
	if host == "" {
		return address
	}
	if strings.ContainsRune(host, ':') {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" {
		host += ":" + port
	}
	return u.Scheme + "://" + host
}
