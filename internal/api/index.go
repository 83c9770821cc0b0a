package api

import (
	"bytes"
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"sync"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/wire"
)

//go:embed index.html
var indexHTML string

var indexTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("index").Parse(indexHTML))
})

// Link is an entry of the page at / of the metrics listener.
type Link struct{ Href, Text string }

type indexPage struct {
	Title   string
	Version string
	Links   []Link
}

func writePage(w http.ResponseWriter, p indexPage) {
	var b bytes.Buffer
	if err := indexTemplate().Execute(&b, p); err != nil {
		http.Error(w, "cannot render the page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'")
	_, _ = w.Write(b.Bytes())
}

type versionOutput struct{ Body wire.Version }

func (a *API) version(context.Context, *none) (*versionOutput, error) {
	b := buildinfo.Get()
	return &versionOutput{Body: wire.Version{Version: b.Version, GitCommit: b.Revision}}, nil
}
