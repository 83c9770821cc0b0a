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
func PrometheusUI() (fs.FS, bool) { return built(prometheusFiles, "prometheus/static") }

// The folder is committed as hack/build-console built it.
//
//go:embed all:console/dist
var consoleFiles embed.FS

// Console returns the console's built files: index.html at the root, and console/assets. It returns nil and false when the binary was built
// without them.
func Console() (fs.FS, bool) { return built(consoleFiles, "console/dist") }

func built(root fs.FS, dir string) (fs.FS, bool) {
	static, err := fs.Sub(root, dir)
	if err != nil {
		return nil, false
	}
	if info, err := fs.Stat(static, "index.html"); err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	return static, true
}
