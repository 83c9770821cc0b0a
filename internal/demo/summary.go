package demo

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/terminal"
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
	join                              terminal.Join
}

func (s summary) print(screen terminal.Screen) error {
	var b strings.Builder
	heading := func(text string) { b.WriteString("\n" + screen.Paint(terminal.Strong, text) + "\n") }
	heading("stackscope demo: a server, a worker of this machine, " + s.scenario.fleet + ", eight simulated GPUs")
	b.WriteString("\n")
	for _, e := range s.engines {
		fmt.Fprintf(&b, "  %-16s %-14s %s/metrics\n", e.title, e.model, e.url)
	}
	heading("Open")
	terminal.PrintPages(&b, screen, s.pages())
	heading("Queries for Prometheus (rates need two scrapes: wait ten seconds)")
	for _, q := range s.scenario.queries {
		fmt.Fprintf(&b, "  %s\n    %s\n", q.Title, q.Expr)
	}
	step := s.join.Step()
	heading(step.Title)
	for _, line := range step.Commands {
		b.WriteString("  " + line + "\n")
	}
	b.WriteString("\n")
	terminal.PrintNotes(&b, screen, s.allNotes())
	fmt.Fprintf(&b, "ready after %.1f s; Ctrl-C stops everything\n", s.took.Seconds())
	_, err := io.WriteString(screen, b.String())
	return err
}

// pages are the addresses to open, the console first.
func (s summary) pages() []terminal.Page {
	pages := []terminal.Page{{Name: "console", Address: s.api + "/"}}
	open := func(name, address string) { pages = append(pages, terminal.Page{Name: name, Address: address}) }
	if s.scenario.dashboard != "" {
		open("its dashboard", s.api+"/"+s.scenario.dashboard)
	}
	for _, e := range s.engines {
		if e.role == simengine.RoleRouter {
			pages = append(pages, terminal.Page{Name: e.title, Address: e.url + "/simulation", Note: "what the users have seen"})
		}
	}
	open("Prometheus", s.api+"/prometheus/")
	if s.ui {
		open("a first graph", s.graph(s.scenario.queries[0].Expr))
	}
	if !s.noGrafana && s.grafana.Phase != grafana.PhaseAbsent {
		pages = append(pages, terminal.Page{Name: "Grafana", Address: s.api + "/grafana/" + s.scenario.dashboard, Note: "it starts within some seconds"})
	}
	open("worker's metrics", s.workerMetrics+"/metrics")
	open("native metrics", s.workerMetrics+"/metrics/raw")
	open("server's metrics", s.serverMetrics+"/metrics")
	open("scrape targets", s.serverMetrics+"/metrics/targets")
	open("active mapping", s.api+"/v2/metrics/config")
	return pages
}

func (s summary) allNotes() []string {
	var notes []string
	if !s.noGrafana && s.grafana.Phase == grafana.PhaseAbsent {
		notes = append(notes, "Grafana is not on this machine, and nothing here needs it. To see the dashboards in Grafana, run `stackscope grafana install`; the demo needs no restart.")
	}
	if !s.ui {
		notes = append(notes, "this program was built without Prometheus' web UI; its API is at "+s.api+"/prometheus/api/v1/query?query=up")
	}
	notes = append(notes, s.notes...)
	for i := range notes {
		notes[i] = "Note: " + notes[i]
	}
	if s.temporary {
		return append(notes, "Data is in "+s.dataDir+"; the demo removes it when it stops.")
	}
	return append(notes, "Data stays in "+s.dataDir+".")
}

// graph is the address of Prometheus' UI with a query in it.
func (s summary) graph(expr string) string {
	v := url.Values{"g0.expr": {expr}, "g0.tab": {"graph"}, "g0.range_input": {"10m"}}
	return s.api + "/prometheus/query?" + v.Encode()
}
