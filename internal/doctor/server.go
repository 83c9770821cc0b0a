package doctor

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/wire"
)

const fullDiskDocs = "running.md#a-full-disk"

var (
	serverDiskFull = &Finding{
		ID: "server_disk_full", Severity: wire.FindingError,
		What: "the server's disk is full, so changes and reports are answered with 503",
		Do:   "Free space on the disk of the server's data directory. The server continues by itself within ten seconds.",
		Docs: fullDiskDocs,
	}
	serverNotStored = &Finding{
		ID: "server_not_stored", Severity: wire.FindingError,
		What: "the server cannot store the inventory, so changes are answered with 503",
		Do:   "The server's log has the cause. Look at the owner and the disk of its data directory.",
		Docs: fullDiskDocs,
	}
	prometheusDisk = &Finding{
		ID: "prometheus_disk_full", Severity: wire.FindingError, Everywhere: true,
		What: "the embedded Prometheus does not store samples, because its disk is nearly full",
		Do:   "Free space on the disk of the server's data directory, or lower --builtin-prometheus-retention. Storing resumes by itself.",
		Docs: "observability.md#when-prometheus-has-a-problem",
	}
	prometheusProblem = &Finding{
		ID: "prometheus_problem", Severity: wire.FindingError, Everywhere: true,
		What: "the embedded Prometheus has a problem, and /readyz or /prometheus answers 503",
		Do:   "Do what the reason says; the server's log has the whole text. Probe /healthz if a failed probe would remove the server from service.",
		Docs: "observability.md#when-prometheus-has-a-problem",
	}
	prometheusOpening = &Finding{
		ID: "prometheus_not_ready", Severity: wire.FindingWarning, Everywhere: true,
		What: "{prometheus} does not answer queries",
		Do:   "Wait while the embedded one opens its data. For one of your own, look from the server's machine whether the address of --prometheus-url is right and answers.",
		Docs: "observability.md#when-prometheus-has-a-problem",
	}
	prometheusClock = &Finding{
		ID: "prometheus_clock", Severity: wire.FindingWarning,
		What: "the clock of {prometheus} differs from the server's by {skew}",
		Do:   "Synchronise the clocks of both machines (chrony or systemd-timesyncd). Dashboards that ask for the last minutes are empty or late until then.",
		Docs: "troubleshooting.md#clocks",
	}
	consoleNoPrometheus = &Finding{
		ID: "console_no_prometheus", Severity: wire.FindingWarning,
		What: "the console has no Prometheus, so it has no panels",
		Do:   "Start the server with --prometheus-url, the address of the Prometheus that scrapes the workers.",
		Docs: ownPrometheusDocs,
	}
	scrapesNotStoredFinding = &Finding{
		ID: "prometheus_scrapes_not_stored", Severity: wire.FindingError,
		What: "the embedded Prometheus could not store {n} scrapes in the last 10 minutes",
		Do:   "Look at the disk of the server's data directory.",
		Docs: "observability.md#when-prometheus-has-a-problem",
	}
	grafanaDown = &Finding{
		ID: "grafana_down", Severity: wire.FindingWarning,
		What: "the embedded Grafana does not run",
		Do:   "Read the reason at http://SERVER/grafana/ and in the server's log. The console at http://SERVER/ shows the same dashboards without Grafana.",
		Docs: "observability.md#where-grafana-comes-from",
	}
	grafanaAbsent = &Finding{
		ID: "grafana_absent", Severity: wire.FindingInfo,
		What: "no Grafana is installed on the server's machine",
		Do:   "Nothing, if the console suffices. Else run: stackscope grafana install",
		Docs: "observability.md#where-grafana-comes-from",
	}
	connectionsClosed = &Finding{
		ID: "connections_closed", Severity: wire.FindingWarning,
		What: "the server closes connections, because it has as many as it may have",
		Do:   "Look which clients open so many; raise the number of open files (ulimit -n, LimitNOFILE=) if stackscope_connections_max is low.",
		Docs: "running.md#what-one-client-may-take",
	}
	connectionsNear = &Finding{
		ID: "connections_many", Severity: wire.FindingWarning,
		What: "the port {listener} has {open} of {max} connections open",
		Do:   "Look which clients open so many; raise the number of open files (ulimit -n, LimitNOFILE=) if the limit is low.",
		Docs: "running.md#what-one-client-may-take",
	}
	serverFindings = []*Finding{
		serverDiskFull, serverNotStored, prometheusOpening, prometheusDisk, prometheusProblem, scrapesNotStoredFinding, prometheusClock, consoleNoPrometheus,
		grafanaDown, grafanaAbsent, connectionsClosed, connectionsNear,
	}
)

// lookServer looks at the server itself.
func lookServer(v *view) (hits []hit) {
	add := func(of *Finding, seen string, values ...string) *hit {
		hits = append(hits, hit{of: of, subject: ofFleet, seen: seen, values: append(values, "prometheus", v.prometheusName())})
		return &hits[len(hits)-1]
	}
	opening := func(seen string) {
		if h := add(prometheusOpening, seen); v.Prometheus.Kind == PrometheusExternal { // it does not open its data for a while
			h.severity = wire.FindingError
		}
	}
	for _, p := range v.Server.Problems {
		prometheus := strings.HasPrefix(p, "prometheus")
		space := strings.Contains(p, "no space") || strings.Contains(p, "free space") || strings.Contains(p, "disk is")
		switch {
		case prometheus && space:
			add(prometheusDisk, p)
		case prometheus:
			add(prometheusProblem, p)
		case space:
			add(serverDiskFull, p)
		default:
			add(serverNotStored, p)
		}
	}
	switch {
	case v.Prometheus.Kind == PrometheusNone:
		add(consoleNoPrometheus, "The embedded Prometheus is off, and --prometheus-url is not given")
		if _, read := v.lastReader(); !read {
			hits = append(hits, v.notRead())
		}
	case v.Prometheus.Err != "":
		if !v.prometheusHasProblem() {
			opening(v.Prometheus.Err)
		}
	case v.Answers[queryStored].Err != "":
		opening(v.Answers[queryStored].Err)
	case v.Prometheus.Kind == PrometheusExternal && v.canQuery() && v.scrapesNothing() && len(v.Snapshot.Workers) > 0:
		hits = append(hits, hit{of: externalNoTargets, subject: ofFleet, seen: "It has no target at the address of a worker, and no gpustack: series of one", values: []string{"prometheus", v.Prometheus.URL}})
	}
	v.lookPrometheusClock(add)
	v.lookRates(add)
	if !v.Server.ExternalGrafana {
		switch v.Server.GrafanaPhase {
		case "waiting", "stopped":
			add(grafanaDown, cmp.Or(v.Server.GrafanaReason, "It failed and is started again"))
		case "absent":
			add(grafanaAbsent, cmp.Or(v.Server.GrafanaReason, "None was found"))
		}
	}
	for _, c := range v.Server.Connections {
		if c.Max > 0 && c.Open*10 >= c.Max*9 {
			add(connectionsNear, "", "listener", c.Listener, "open", fmt.Sprint(c.Open), "max", fmt.Sprint(c.Max)).seen = "stackscope_connections is near stackscope_connections_max"
		}
	}
	if v.serverUnseen() {
		hits = append(hits, hit{of: serverNotScraped, subject: ofFleet, seen: "There is no " + catalog.Cluster.WireName(), values: []string{"prometheus", v.prometheusName()}})
	}
	return hits
}

func (v *view) prometheusHasProblem() bool {
	for _, p := range v.Server.Problems {
		if strings.HasPrefix(p, "prometheus") {
			return true
		}
	}
	return false
}

// clock is the present time of the Prometheus: the answer's, if it gave one.
func (v *view) clock() time.Time {
	if a, ok := v.Answers[queryClock]; ok && a.Err == "" && len(a.Samples) == 1 {
		return unixTime(a.Samples[0].Value)
	}
	return v.Now
}

// lookPrometheusClock compares the server's clock with that of Prometheus and with its newest sample.
func (v *view) lookPrometheusClock(add func(*Finding, string, ...string) *hit) {
	a, ok := v.Answers[queryClock]
	if !ok || a.Err != "" || len(a.Samples) != 1 {
		return
	}
	theirs := unixTime(a.Samples[0].Value)
	var skew time.Duration
	seen := fmt.Sprintf("time() gave %s; it was asked at %s and answered %s later", theirs.Format(time.TimeOnly), a.Asked.UTC().Format(time.TimeOnly), a.Answered.Sub(a.Asked).Round(time.Millisecond))
	switch {
	case theirs.After(a.Answered):
		skew = theirs.Sub(a.Answered)
	case theirs.Before(a.Asked):
		skew = theirs.Sub(a.Asked)
	}
	for _, at := range v.stored {
		if ahead := unixTime(at).Sub(a.Answered); ahead > max(skew, clockWarning) {
			skew, seen = ahead, "Its newest sample was taken at "+unixTime(at).Format(time.RFC3339)+", which has not come yet"
		}
	}
	if skew.Abs() <= clockWarning {
		return
	}
	if h := add(prometheusClock, seen, "skew", skew.Abs().Round(time.Second).String()); skew.Abs() > clockError {
		h.severity = wire.FindingError
	}
}

// lookRates looks at what the server refused in the last minutes.
func (v *view) lookRates(add func(*Finding, string, ...string) *hit) {
	closed := 0.0
	for _, s := range v.Answers[queryServer].Samples {
		seen := fmt.Sprintf("%s rose by %.0f in the last 10 minutes", s.Labels["what"], s.Value)
		switch s.Labels["what"] {
		case catalog.ConnectionsClosed.WireName():
			closed += s.Value
		case samplesRefused:
			add(samplesNotTaken, seen, "reason", s.Labels["reason"])
		case scrapesNotStored:
			add(scrapesNotStoredFinding, seen, "n", fmt.Sprintf("%.0f", s.Value))
		}
	}
	if closed > 0 {
		add(connectionsClosed, fmt.Sprintf("stackscope_connections_closed_total rose by %.0f in the last 10 minutes", closed))
	}
}
