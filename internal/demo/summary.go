package demo

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/grafana"
	"github.com/stackscope/stackscope/internal/simengine"
)

// summary is what the user reads when everything is up.
type summary struct {
	scenario                          scenario
	ui                                bool   // Prometheus' web UI was built into this program
	api, serverMetrics, workerMetrics string // base URLs
	engines                           []*simulated
	dataDir                           string
	temporary                         bool
	notes                             []string
	took                              time.Duration
	grafana                           grafana.Status
	noGrafana                         bool
}

func (s summary) print(w io.Writer) error {
	var b strings.Builder
	b.WriteString("\nstackscope demo: a server, a worker of this machine, " + s.scenario.fleet + ", eight simulated GPUs\n\n")
	for _, e := range s.engines {
		fmt.Fprintf(&b, "  %-16s %-14s %s/metrics\n", e.title, e.model, e.url)
	}
	b.WriteString("\nOpen\n")
	open := func(what, url string) { fmt.Fprintf(&b, "  %-18s %s\n", what, url) }
	switch {
	case s.noGrafana:
	case s.grafana.Phase == grafana.PhaseAbsent:
		s.notes = append(s.notes, "dashboards need Grafana, which is not on this machine: run `stackscope grafana install` and open "+s.api+"/grafana/; the demo needs no restart")
	default:
		open("dashboards", s.api+"/grafana/"+s.scenario.dashboard+"  (Grafana starts within some seconds)")
	}
	for _, e := range s.engines {
		if e.role == simengine.RoleRouter {
			open(e.title, e.url+"/simulation  (what the users have seen)")
		}
	}
	open("Prometheus", s.api+"/prometheus/")
	if s.ui {
		open("a first graph", s.graph(s.scenario.queries[0].Expr))
	} else {
		s.notes = append(s.notes, "this program was built without Prometheus' web UI; its API is at "+s.api+"/prometheus/api/v1/query?query=up")
	}
	open("worker's metrics", s.workerMetrics+"/metrics")
	open("native metrics", s.workerMetrics+"/metrics/raw")
	open("server's metrics", s.serverMetrics+"/metrics")
	open("scrape targets", s.serverMetrics+"/metrics/targets")
	open("active mapping", s.api+"/v2/metrics/config")
	b.WriteString("\nQueries for Prometheus (rates need two scrapes: wait ten seconds)\n")
	for _, q := range s.scenario.queries {
		fmt.Fprintf(&b, "  %s\n    %s\n", q.Title, q.Expr)
	}
	b.WriteString("\n")
	for _, n := range s.notes {
		fmt.Fprintf(&b, "Note: %s\n", n)
	}
	if s.temporary {
		fmt.Fprintf(&b, "Data is in %s; the demo removes it when it stops.\n", s.dataDir)
	} else {
		fmt.Fprintf(&b, "Data stays in %s.\n", s.dataDir)
	}
	fmt.Fprintf(&b, "ready after %.1f s; Ctrl-C stops everything\n", s.took.Seconds())
	_, err := io.WriteString(w, b.String())
	return err
}

// graph is the address of Prometheus' UI with a query in it.
func (s summary) graph(expr string) string {
	v := url.Values{"g0.expr": {expr}, "g0.tab": {"graph"}, "g0.range_input": {"10m"}}
	return s.api + "/prometheus/query?" + v.Encode()
}
