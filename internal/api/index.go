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

type indexPage struct {
	Title   string
	Version string
	Links   []Link
}

// index is the page at /.
func (a *API) index(w http.ResponseWriter, _ *http.Request) {
	links := append([]Link{}, a.opts.Links...)
	links = append(links,
		Link{"/v2/metrics/config", "Active metrics mapping"},
		Link{"/v2/metrics/default-config", "Built-in metrics mapping"},
		Link{"/v2/workers", "Workers"},
		Link{"/v2/models", "Models"},
		Link{"/v2/model-instances", "Model instances"},
		Link{"/openapi.json", "OpenAPI document"},
		Link{"/readyz", "Readiness"},
	)
	writePage(w, indexPage{Title: "stackscope server", Version: buildinfo.Get().Version, Links: links})
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
