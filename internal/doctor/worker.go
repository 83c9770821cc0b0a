package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/access"
	"github.com/stackscope/stackscope/internal/base/version"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// What a worker's clock may differ from the server's.
const (
	clockWarning = 5 * time.Second
	clockError   = time.Minute
)

// joinTime is how long a worker may take from its registration to its first report and its watch stream.
const joinTime = 30 * time.Second

// lateReport is two missed reports. Without its stream, a worker as late as that has probably ended, long before its state says so.
const lateReport = 25 * time.Second

var (
	workerStopped = &Finding{
		ID: "worker_stopped", Severity: wire.FindingError, Hop: wire.HopWorker,
		What: "worker {worker} was stopped",
		Do:   "Start it again on its machine. If the machine is gone for good, run: stackscope worker remove {worker}",
		Docs: "running.md#when-a-worker-stops",
	}
	workerNeverReported = &Finding{
		ID: "worker_never_reported", Severity: wire.FindingError, Hop: wire.HopWorker,
		What: "worker {worker} joined and has never reported",
		Do:   "Read the worker's log: it says why its reports fail. A proxy between worker and server must pass PUT requests.",
		Docs: "running.md#several-machines",
	}
	workerSilent = &Finding{
		ID: "worker_silent", Severity: wire.FindingError, Hop: wire.HopWorker,
		What: "worker {worker} no longer reports",
		Do:   "Look whether the machine and the worker run, and whether the worker reaches this server: its log says why a report fails. If the machine is gone for good, run: stackscope worker remove {worker}",
		Docs: "running.md#when-a-worker-stops",
	}
	workerNoStream = &Finding{
		ID: "worker_no_stream", Severity: wire.FindingWarning, Hop: wire.HopWorker,
		What: "worker {worker} reports and has no watch stream open, so new mappings and requests for pages do not reach it",
		Do:   "A proxy between worker and server must not buffer or cut server-sent events (GET /v2/workers/ID/watch). The worker's log says why its stream ends.",
		Docs: "observability.md#behind-another-proxy-and-under-tls",
	}
	workerClock = &Finding{
		ID: "worker_clock", Severity: wire.FindingWarning, Hop: wire.HopWorker, Passes: true,
		What: "the clock of worker {worker} is wrong by {skew}",
		Do:   "Synchronise the clocks of the machines (chrony or systemd-timesyncd). Times that the worker reports, such as starts and restarts, are wrong until then; samples have Prometheus' own time.",
		Docs: "troubleshooting.md#clocks",
	}
	workerOlder = &Finding{
		ID: "worker_older", Severity: wire.FindingInfo, Hop: wire.HopWorker,
		What: "worker {worker} has version {version}, and the server {server}",
		Do:   "Update the worker. An older one works, but does not answer what it does not know.",
		Docs: "operations.md#versions",
	}
	workerNewer = &Finding{
		ID: "worker_newer", Severity: wire.FindingInfo, Hop: wire.HopWorker,
		What: "worker {worker} has version {version}, which is newer than the server's, {server}",
		Do:   "Update the server: it comes before its workers. An older server ignores what it does not know.",
		Docs: "operations.md#versions",
	}
	workerVersion = &Finding{
		ID: "worker_version", Severity: wire.FindingWarning, Hop: wire.HopWorker, Passes: true,
		What: "worker {worker} has version {version}, and the server {server}: more than one minor version apart",
		Do:   "Update the older one of both. The server comes first, then its workers.",
		Docs: "operations.md#versions",
	}
	workerUnreported = &Finding{
		ID: "worker_unreported_instances", Severity: wire.FindingWarning, Hop: wire.HopWorker,
		What: "worker {worker} leaves {n} instances out of its reports",
		Do:   "A worker has at most 1,024 instances, and the server refuses what breaks the rules of names. The worker's log names each instance that is left out.",
		Docs: "running.md#names-and-labels",
	}
	workerFindings = slices.Concat([]*Finding{workerStopped, workerNeverReported, workerSilent, workerNoStream, workerClock, workerVersion, workerOlder, workerNewer, workerUnreported}, accessFindings, skipFindings())
)

// unreadable is the reason of processes that the worker may not read.
const unreadable = "unreadable"

// skips are the reasons for which discovery leaves out a process or a container.
var skips = []struct{ reason, severity, what, do string }{
	{unreadable, wire.FindingInfo, "the worker cannot read all of {n} processes on {worker}", "The engines may be found nevertheless. If one is missing, run the worker as root or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH."},
	{"disabled", wire.FindingInfo, "{n} engines on {worker} are excluded by a label or a variable", "Nothing, if that is meant. Else remove stackscope.disable, STACKSCOPE_DISABLE or GPUSTACK_DISABLE_METRICS."},
	{"metrics_off", wire.FindingWarning, "{n} engines on {worker} were started with a flag that turns their metrics off, or are headless", "Remove --disable-log-stats or the like from the engine's command line."},
	{"loopback_in_other_network", wire.FindingWarning, "{n} engines on {worker} listen on 127.0.0.1 inside their container, where the worker does not reach them", "Start the engine with --host 0.0.0.0. A published port alone does not help."},
	{"no_address", wire.FindingWarning, "{n} containers on {worker} are in a network that the machine cannot reach", "Publish the port of the engine, or declare it with --engine url=http://HOST:PORT."},
	{"no_port", wire.FindingWarning, "the port of {n} engines on {worker} is not known", "Set the label stackscope.port on the container, or declare the engine with --engine url=http://HOST:PORT."},
	{"port_taken", wire.FindingInfo, "{n} engines on {worker} claim a port that another engine has", "Give each engine a port of its own. The one that listens is shown, else the older one."},
	{"too_many", wire.FindingWarning, "{worker} has more containers than discovery reads, so {n} are left out", "Declare the missing engines with --engine url=http://HOST:PORT."},
	{"not_answered", wire.FindingInfo, "the container daemon of {worker} did not describe {n} containers", "The worker asks again. If an engine stays missing, look at the daemon's log."},
}

func skipFindings() (list []*Finding) {
	for _, s := range skips {
		list = append(list, &Finding{
			ID: "discovery_" + s.reason, Severity: s.severity, Hop: wire.HopWorker, What: s.what, Do: s.do, Docs: "discovery.md#when-an-engine-is-missing",
		})
	}
	return list
}

func skipFinding(reason string) *Finding {
	for _, f := range workerFindings {
		if f.ID == "discovery_"+reason {
			return f
		}
	}
	return nil
}

func lookWorker(v *view, w *way) hop {
	me, subject := w.worker, ofWorker(w.worker)
	name := []string{"worker", me.Name}
	switch {
	case v.reports(me):
	case me.StateMessage == "worker stopped":
		return foundHop(workerStopped, subject, "It said that it stops"+v.since(me), name...)
	case me.LastReportAt.Before(me.RegisteredAt) && v.Now.Sub(me.RegisteredAt) < joinTime:
		return hop{state: wire.HopWarning, seen: fmt.Sprintf("It joined %s ago and has not reported yet", v.ago(me.RegisteredAt))}
	case me.LastReportAt.IsZero() || me.LastReportAt.Before(me.RegisteredAt):
		return foundHop(workerNeverReported, subject, fmt.Sprintf("It joined %s ago", v.ago(me.RegisteredAt)), name...)
	case alive(me):
		return foundHop(workerSilent, subject, fmt.Sprintf("Its last report came %s ago, and its watch stream ended", v.ago(me.LastReportAt)), name...)
	default:
		return foundHop(workerSilent, subject, fmt.Sprintf("Its last report came %s ago", v.ago(me.LastReportAt)), name...)
	}
	h := okHop("It reports; the last report came %s ago", v.ago(me.LastReportAt))
	if !v.Connected[me.ID] && v.Now.Sub(me.RegisteredAt) > joinTime {
		h.seen += ", and it has no watch stream"
		h.hit(workerNoStream, subject, "There is no watch stream of it", name...)
	}
	v.lookClock(&h, me)
	if of := versionFinding(version.Of(me.Version, v.Version)); of != nil {
		h.hit(of, subject, "It said so when it joined", "worker", me.Name, "version", me.Version, "server", v.Version)
	}
	v.lookAccess(&h, me)
	v.lookCounted(&h, me)
	return h
}

func (v *view) since(w *fleet.Worker) string {
	if w.Since.IsZero() {
		return ""
	}
	return fmt.Sprintf(", %s ago", v.ago(w.Since))
}

// lookClock compares the worker's clock with the server's. Without a check, only a time of a report that lies in the future shows something.
func (v *view) lookClock(h *hop, w *fleet.Worker) {
	var skew time.Duration
	seen := ""
	if c, ok := v.Checks[w.ID]; ok && c.NotAnswered == "" {
		trip := c.Answered.Sub(c.Asked)
		switch { // the worker answered between both times
		case c.Now.After(c.Answered):
			skew = c.Now.Sub(c.Answered)
		case c.Now.Before(c.Asked):
			skew = c.Now.Sub(c.Asked)
		}
		seen = fmt.Sprintf("Its clock said %s; it was asked at %s and answered %s later", c.Now.UTC().Format(time.TimeOnly), c.Asked.UTC().Format(time.TimeOnly), trip.Round(time.Millisecond))
	} else {
		if in := v.latest[w.ID]; in != nil {
			if ahead := in.Since.Sub(v.Now); ahead > clockError {
				skew, seen = ahead, "By its clock the state of "+in.Name+" began at "+in.Since.UTC().Format(time.RFC3339)+", which has not come yet"
			}
		}
	}
	if skew.Abs() <= clockWarning {
		return
	}
	words := skew.Abs().Round(time.Second).String()
	if skew > 0 {
		words += " (ahead)"
	} else {
		words += " (behind)"
	}
	found := h.hit(workerClock, ofWorker(w), seen, "worker", w.Name, "skew", words)
	if skew.Abs() > clockError {
		found.severity = wire.FindingError
	}
}

// lookCounted finds what a worker left out since it was started.
func (v *view) lookCounted(h *hop, w *fleet.Worker) {
	samples := v.counted[key{worker: w.ID}]
	for _, s := range named(samples, catalog.UnreportedInstances.WireName()) {
		h.hit(workerUnreported, ofWorker(w), "stackscope_unreported_instances is "+number(s.Value), "worker", w.Name, "n", number(s.Value))
	}
	totals := map[string]float64{}
	for _, s := range named(samples, catalog.DiscoverySkipped.WireName()) {
		totals[s.Labels["reason"]] += s.Value
	}
	for _, skip := range skips {
		if skip.reason == unreadable && v.lacks(w, access.ProcessDetails, access.ProcessFiles) {
			continue // that says why, and what to grant
		}
		if n := totals[skip.reason]; n > 0 {
			h.hit(skipFinding(skip.reason), ofWorker(w), fmt.Sprintf(`gpustack:discovery_skipped_total{reason=%q} is %s since the worker was started`, skip.reason, number(n)), "worker", w.Name, "n", number(n))
		}
	}
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// versionFinding returns what a difference of versions means; nil: nothing.
func versionFinding(s version.Skew) *Finding {
	switch s {
	case version.TooOld, version.TooNew:
		return workerVersion
	case version.Older:
		return workerOlder
	case version.Newer:
		return workerNewer
	}
	return nil
}
