package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/wire"
)

var (
	dashboardValue = &Finding{
		ID: "dashboard_value_missing", Severity: wire.FindingError, Hop: wire.HopDashboard, After: []string{
			wire.HopWorker, wire.HopEndpoint, wire.HopPage, wire.HopMapping, wire.HopWorkerPage, wire.HopTarget, wire.HopScrape, wire.HopStorage,
		},
		What: "the variable {variable} of the dashboards does not list {value}",
		Do:   "Choose the cluster again, because the others depend on it. Look whether relabeling of a Prometheus of your own changes cluster_name, worker_name, model_name or model_instance_name (it renames them to exported_... where a target has them, too).",
		Docs: "observability.md#no-data",
	}
	serverNotScraped = &Finding{
		ID: "server_not_scraped", Severity: wire.FindingWarning, Hop: wire.HopDashboard, After: []string{wire.HopStorage},
		What: "{prometheus} has samples of workers and none of this server, so states, models and restarts are missing in the dashboards",
		Do:   "Scrape the server, too: job gpustack-server with SERVER:10161 in the documented configuration. The server's metrics port must be open (no --disable-metrics).",
		Docs: ownPrometheusDocs,
	}
	dashboardFindings = []*Finding{dashboardValue, serverNotScraped}
)

func lookDashboard(v *view, w *way) hop {
	if v.Prometheus.Kind == PrometheusNone || !v.canQuery() {
		return unknownHop("Prometheus cannot be asked for what the variables list")
	}
	subject := ofWorker(w.worker)
	if w.instance != nil {
		subject = ofInstance(w.instance)
	}
	want := valuesOf(v.Snapshot, w)
	var missing []string
	took := 0.0
	h := hop{}
	for _, l := range v.lists {
		value, ok := want[l.name]
		if !ok {
			continue
		}
		if l.answer.Err != "" {
			return unknownHop("The variable %s cannot be evaluated: %s", l.name, l.answer.Err)
		}
		took += l.answer.Seconds()
		if !l.has[joined(want, l.by)] {
			missing = append(missing, l.name)
			h.hit(dashboardValue, subject, fmt.Sprintf("%s of the dashboard %s has no %s=%q", l.selector, l.dashboard, l.name, value), "variable", l.name, "value", value)
			continue
		}
	}
	if len(missing) > 0 && w.hops[len(w.hops)-1].state == wire.HopUnknown {
		return unknownHop("The variables do not list it, because Prometheus has no samples of it that could be seen").took(took)
	}
	names := strings.Join(slices.Sorted(maps.Keys(want)), ", ")
	switch {
	case len(v.lists) == 0:
		return unknownHop("What the variables list was not asked")
	case len(missing) > 0:
		h.seen = "The variables do not list it: " + strings.Join(missing, ", ")
	default:
		h.seen = "The variables list it: " + names
	}
	if v.serverUnseen() {
		h.hit(serverNotScraped, ofFleet, "There is no gpustack:cluster_info, gpustack:worker_info or gpustack:model_info", "prometheus", v.prometheusName())
	}
	return h.took(took)
}

// serverUnseen reports whether Prometheus has samples of workers, and none of the server.
func (v *view) serverUnseen() bool {
	a, asked := v.Answers[queryServerInfo]
	return asked && a.Err == "" && len(a.Samples) == 0 && len(v.stored) > 0
}
