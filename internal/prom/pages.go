package prom

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/util/httputil"
)

const pageTitle = "Prometheus in stackscope"

//go:embed noui.html
var templates embed.FS

// pages serves the web UI, or a page that says how to get it.
type pages struct {
	prefix string
	files  fs.FS
	index  map[bool][]byte // by readiness
	noUI   []byte
	ready  func() bool
}

// uiRoutes are the addresses that the UI's own router knows; each is answered with the same page.
func uiRoutes() []string {
	return []string{
		"/query", "/alerts", "/rules", "/tsdb-status",
		"/targets", "/service-discovery", "/alertmanager-discovery", "/config", "/flags", "/status",
	}
}

func newPages(files fs.FS, prefix string, ready func() bool) (*pages, error) {
	p := &pages{prefix: prefix, files: files, ready: ready}
	if files == nil {
		t, err := template.ParseFS(templates, "noui.html")
		if err != nil {
			return nil, fmt.Errorf("prometheus: %w", err)
		}
		var page bytes.Buffer
		if err := t.Execute(&page, prefix); err != nil {
			return nil, fmt.Errorf("prometheus: %w", err)
		}
		p.noUI = page.Bytes()
		return p, nil
	}
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		return nil, fmt.Errorf("prometheus: web UI: %w", err)
	}
	p.index = map[bool][]byte{}
	for _, ready := range []bool{false, true} {
		p.index[ready] = []byte(strings.NewReplacer(
			"CONSOLES_LINK_PLACEHOLDER", "",
			"TITLE_PLACEHOLDER", pageTitle,
			"AGENT_MODE_PLACEHOLDER", "false",
			"READY_PLACEHOLDER", strconv.FormatBool(ready),
			"LOOKBACKDELTA_PLACEHOLDER", model.Duration(queryLookback).String(),
		).Replace(string(index)))
	}
	return p, nil
}

func (p *pages) register(mux *http.ServeMux) {
	if p.files == nil {
		mux.HandleFunc("GET "+p.prefix+"/{$}", p.serveNoUI(http.StatusOK))
		for _, route := range append(uiRoutes(), "/graph") {
			mux.HandleFunc("GET "+p.prefix+route, p.serveNoUI(http.StatusNotFound))
		}
		return
	}
	mux.Handle("GET "+p.prefix+"/{$}", redirect("query"))
	mux.Handle("GET "+p.prefix+"/graph", redirect("query")) // the address of Prometheus 2
	for _, route := range uiRoutes() {
		mux.HandleFunc("GET "+p.prefix+route, p.serveIndex)
	}
	asset := func(dir, caching string) http.Handler {
		return httputil.CompressionHandler{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.serveFile(w, r, path.Join(dir, r.PathValue("file")), caching)
		})}
	}
	mux.Handle("GET "+p.prefix+"/assets/{file}", asset("assets", "public, max-age=31536000, immutable")) // named by their content
	mux.Handle("GET "+p.prefix+"/favicon.svg", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.serveFile(w, r, "favicon.svg", "public, max-age=3600")
	}))
}

// redirect leads to another page beside the one that was asked for, with the same query. The address is a relative one, so that
// it is right below any path that a proxy in front of us takes away.
func redirect(page string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := page
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusFound)
	})
}

func (p *pages) serveIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(p.index[p.ready()])
}

func (p *pages) serveFile(w http.ResponseWriter, r *http.Request, name, caching string) {
	info, err := fs.Stat(p.files, name)
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	r.Header.Del("Range") // of the compressed form nobody knows the ranges
	w.Header().Set("Cache-Control", caching)
	http.ServeFileFS(w, r, p.files, name) //nolint:gosec // an fs.FS takes no path that leaves it
}

func (p *pages) serveNoUI(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.WriteHeader(status)
		_, _ = w.Write(p.noUI)
	}
}
