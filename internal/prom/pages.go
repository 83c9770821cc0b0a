package prom

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/base/routes"
)

const pageTitle = "Prometheus in stackscope"

//go:embed noui.html
var templates embed.FS

// pages serves the web UI, or a page that says how to build it.
type pages struct {
	prefix string
	files  fs.FS
	index  map[bool][]byte // by readiness
	noUI   []byte
	ready  func() bool
	assets map[string]http.Handler // by the file's path
}

// uiRoutes are the paths of the UI's client-side router. All return the same page.
func uiRoutes() []string {
	return []string{
		"/query", "/alerts", "/rules", "/tsdb-status",
		"/targets", "/service-discovery", "/alertmanager-discovery", "/config", "/flags", "/status",
	}
}

func newPages(files fs.FS, prefix string, ready func() bool, answers *answer.Store) (*pages, error) {
	p := &pages{prefix: prefix, files: files, ready: ready, assets: map[string]http.Handler{}}
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
	for _, dir := range []string{".", assetsDir} {
		if err := p.addAssets(dir, answers); err != nil {
			return nil, err
		}
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

func (p *pages) register(mux *routes.Mux) {
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
	mux.HandleFunc("GET "+p.prefix+"/assets/{file}", func(w http.ResponseWriter, r *http.Request) {
		p.serveAsset(w, r, assetsDir+"/"+r.PathValue("file"), "public, max-age=31536000, immutable") // named by their content
	})
	mux.HandleFunc("GET "+p.prefix+"/favicon.svg", func(w http.ResponseWriter, r *http.Request) {
		p.serveAsset(w, r, "favicon.svg", "public, max-age=3600")
	})
}

// assetsDir holds the scripts and styles.
const assetsDir = "assets"

// addAssets adds the files of a directory. Concurrent requests for a file share one compression.
func (p *pages) addAssets(dir string, answers *answer.Store) error {
	entries, err := fs.ReadDir(p.files, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("prometheus: web UI: %w", err)
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		name := path.Join(dir, entry.Name())
		p.assets[name] = answer.NewSource(answer.SourceOptions[string]{
			Store: answers, Compress: true,
			ContentType: cmp.Or(mime.TypeByExtension(path.Ext(name)), "application/octet-stream"),
			Current:     func() string { return name },
			Make: func(name string, w io.Writer) error {
				f, err := p.files.Open(name)
				if err != nil {
					return err
				}
				defer func() { _ = f.Close() }() // it was only read
				_, err = io.Copy(w, f)
				return err
			},
		})
	}
	return nil
}

// redirect redirects to a sibling page with the same query. The location is relative, so that it also works behind a proxy that
// strips a path prefix.
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

func (p *pages) serveAsset(w http.ResponseWriter, r *http.Request, name, caching string) {
	asset := p.assets[name]
	switch {
	case !fs.ValidPath(name):
		http.Error(w, "invalid URL path", http.StatusBadRequest)
		return
	case asset == nil:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", caching)
	asset.ServeHTTP(w, r)
}

func (p *pages) serveNoUI(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.WriteHeader(status)
		_, _ = w.Write(p.noUI)
	}
}
