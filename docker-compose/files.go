// Package compose holds what an external Prometheus and Grafana are set up with: compose files, Prometheus' configuration,
// Grafana's provisioning and the dashboards. The programs do not link it: they make the dashboards from their Go values.
package compose

import (
	"embed"
	"io/fs"
)

//go:embed grafana/grafana_dashboards/*.json
var files embed.FS

// Dashboards returns the dashboards, UID.json each, as `make gen` wrote them.
func Dashboards() fs.FS {
	dashboards, err := fs.Sub(files, "grafana/grafana_dashboards")
	if err != nil {
		panic(err) // the path is embedded above
	}
	return dashboards
}
