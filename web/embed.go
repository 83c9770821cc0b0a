// Package web holds the web pages that travel inside the binary.
package web

import (
	"embed"
	"io/fs"
)

// The folder holds a placeholder and, once hack/build-prometheus-ui has run, static: the pages that it built.
//
//go:embed all:prometheus
var prometheusFiles embed.FS

// PrometheusUI returns the built files of Prometheus' own web UI, index.html at the root. It returns nil and false when the
// binary was built without them.
func PrometheusUI() (fs.FS, bool) { return builtUI(prometheusFiles) }

func builtUI(root fs.FS) (fs.FS, bool) {
	static, err := fs.Sub(root, "prometheus/static")
	if err != nil {
		return nil, false
	}
	if info, err := fs.Stat(static, "index.html"); err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	return static, true
}
