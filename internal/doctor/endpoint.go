package doctor

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// startsLong is how long an engine may start before that is told.
const startsLong = 15 * time.Minute

const noMetricsDocs = "discovery.md#when-an-engine-gives-no-metrics"

// byWorker are the hops that explain why nobody read the engine.
var byWorker = []string{wire.HopWorker}

func endpointFinding(id, what, do string) *Finding {
	return &Finding{ID: "engine_" + id, Severity: wire.FindingError, Hop: wire.HopEndpoint, What: what, Do: do, Docs: noMetricsDocs, After: byWorker}
}

// The reasons of gpustack:model_instance_no_metrics for which there is no page.
const (
	reasonRefused      = "refused"
	reasonTimeout      = "timeout"
	reasonDNS          = "dns"
	reasonLost         = "lost"
	reasonTLS          = "tls"
	reasonUnauthorized = "unauthorized"
	reasonNotFound     = "not_found"
	reasonHTTPStatus   = "http_status"
	reasonNotMetrics   = "not_metrics"
	reasonEnded        = "process_ended"
	reasonOther        = "unread" // a text that this server does not know
	reasonEmpty        = "empty_page"
	reasonNoOwn        = "no_engine_metrics"
	reasonUnmapped     = "unmapped"
)

var endpointFindings = []*Finding{
	endpointFinding(reasonRefused, "nothing listens at {url}", "Look whether the engine runs, and whether host and port are right: the worker reads it from its own machine, {worker}. In a container, 127.0.0.1 is the container itself."),
	endpointFinding(reasonTimeout, "{url} does not answer in time", "Look whether the engine hangs or is overloaded: its log, and curl {url} on the machine of {worker}. If packets are dropped, a firewall stands between them. Restart an engine that hangs."),
	endpointFinding(reasonDNS, "the host name of {url} cannot be resolved on {worker}", "Correct the name in --engine, or the DNS of the worker's machine."),
	endpointFinding(reasonLost, "the connection to {url} breaks", "Read the engine's log; it may crash while it answers. Look whether the port is the engine's, and whether there is a route to it from {worker}."),
	endpointFinding(reasonTLS, "TLS with {url} fails", "Write https:// in the URL if the engine speaks TLS, http:// if it does not. A private certificate must be among those that the worker's machine accepts, and have the name in the URL."),
	endpointFinding(reasonUnauthorized, "{url} wants credentials", "Give them in the URL: --engine url=http://USER:PASSWORD@HOST:PORT. If they are there, they are wrong. An engine whose API needs a key usually has its metrics open; a proxy in front of it may not."),
	endpointFinding(reasonNotFound, "{url} has no metrics page", "Look whether the URL is the engine's. Some engines have the page at another path: add path= to --engine."),
	endpointFinding(reasonHTTPStatus, "{url} answers with an error", "Read the engine's log. Look whether the URL is the engine's and not that of a proxy."),
	endpointFinding(reasonOther, "the worker cannot read {url}", "Read what was seen, and the engine's log. The worker may be newer than this server, which then does not know the reason."),
	endpointFinding(reasonEnded, "the engine's process ended", "Start it again. Its log, or that of its container, says why it ended. The instance leaves the inventory after --engine-retention."),
	engineNotFound, engineStartsLong, engineRestarts,
}

var (
	engineNotFound = &Finding{
		ID: "engine_not_found_again", Severity: wire.FindingError, Hop: wire.HopEndpoint, After: byWorker,
		What: "the engine was not found again since worker {worker} was started",
		Do:   "Start the engine, or wait: the instance leaves the inventory after --engine-retention. If the engine runs, discovery skips it.",
		Docs: "discovery.md#when-an-engine-is-missing",
	}
	engineStartsLong = &Finding{
		ID: "engine_starts_long", Severity: wire.FindingWarning, Hop: wire.HopEndpoint, After: byWorker,
		What: "the engine has been starting for {time}",
		Do:   "Read the engine's log: it may be downloading or compiling, or hang. Its metrics come when it answers.",
		Docs: "discovery.md#states",
	}
	engineRestarts = &Finding{
		ID: "engine_restarts", Severity: wire.FindingWarning, Hop: wire.HopEndpoint, After: byWorker,
		What: "the engine was restarted {n} times within the last hour",
		Do:   "Read the engine's log, or that of its container, from before a restart: it says why the engine ended. Samples have a gap at each restart.",
		Docs: "discovery.md#restarts-starts-stalls",
	}
)

func endpointByReason(reason string) *Finding {
	for _, f := range endpointFindings {
		if f.ID == "engine_"+reason {
			return f
		}
	}
	return nil
}

// failure is why an instance gives no metrics.
type failure struct {
	reason string // one of the above; empty: it gives some, or it is not known
	text   string // as the worker tells it, with what to do
	fresh  bool   // of a page that was read for this
}

// failureOf returns why the instance gives no metrics: from its page if that was read now, else from what the worker told last.
func (v *view) failureOf(in *fleet.Instance) failure {
	page, read := v.page(in)
	if read && page.Error != "" && page.Coverage == nil {
		return failure{classify(page.Error), page.Error, true}
	}
	reason := ""
	for _, s := range named(v.one[key{in.WorkerID, in.ID}], catalog.InstanceNoMetrics.WireName()) {
		reason = s.Labels["reason"]
	}
	if read && page.Coverage != nil {
		switch reason { // the engine answers by now
		case reasonEmpty, reasonNoOwn, reasonUnmapped:
		default:
			reason = ""
		}
		if page.Coverage.Families > 0 {
			return failure{}
		}
		return failure{cmp.Or(reason, v.lackOf(in, &page)), in.StateMessage, true}
	}
	switch in.State {
	case fleet.InstanceError, fleet.InstanceUnreachable:
		told := classify(in.StateMessage)
		if reason == "" || reason == reasonEmpty || reason == reasonNoOwn || reason == reasonUnmapped {
			reason = told // the metric is older than the state
		}
		return failure{reason, in.StateMessage, false}
	case fleet.InstanceRunning:
		switch {
		case strings.Contains(in.StateMessage, "its metrics page is empty"):
			return failure{reasonEmpty, in.StateMessage, false}
		case strings.Contains(in.StateMessage, "the mapping uses no metric of its page"):
			return failure{reasonUnmapped, in.StateMessage, false}
		case strings.Contains(in.StateMessage, "its metrics page") && !strings.Contains(in.StateMessage, "with the first request"):
			return failure{reasonNoOwn, in.StateMessage, false}
		}
	}
	return failure{}
}

// page returns the page if the worker answered.
func (v *view) page(in *fleet.Instance) (Page, bool) {
	p, ok := v.Pages[in.ID]
	return p, ok && p.NotRead == ""
}

// classify returns the reason that a text of the worker stands for. The texts are those of engine/fetch and of engine.
func classify(text string) string {
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("not speak HTTP", "not valid HTTP"): // with a hint about TLS
		return reasonNotMetrics
	case has("its process ended"):
		return reasonEnded
	case has("connection refused"):
		return reasonRefused
	case has("cannot be resolved"):
		return reasonDNS
	case has("in time", "before the scrape's deadline", "deadline exceeded", "was not complete after"):
		return reasonTimeout
	case has("speaks TLS", "not speak TLS", "TLS certificate"):
		return reasonTLS
	case has("answered 401", "answered 403"):
		return reasonUnauthorized
	case has("answered 404"):
		return reasonNotFound
	case answeredStatus(text):
		return reasonHTTPStatus
	case has("connection was closed", "no route to its host", "cannot be reached"):
		return reasonLost
	case has("answered ", "no request can be made"):
		return reasonNotMetrics
	}
	return reasonOther
}

// answeredStatus reports whether text has "answered" and a number.
func answeredStatus(text string) bool {
	_, after, ok := strings.Cut(text, "answered ")
	return ok && len(after) >= 3 && strings.Trim(after[:3], "0123456789") == ""
}

func lookEndpoint(v *view, w *way) hop {
	h := lookAnswer(v, w)
	in := w.instance
	for _, s := range v.restarts[key{in.WorkerID, in.ID}] {
		h.hit(engineRestarts, ofInstance(in), "The last restart was at "+in.LastRestartAt.UTC().Format(time.RFC3339), "n", number(math.Round(s.Value)))
	}
	return h
}

func lookAnswer(v *view, w *way) hop {
	in, subject := w.instance, ofInstance(w.instance)
	url := fleet.BareURL(in.URL)
	page, asked := v.Pages[in.ID]
	if asked && page.NotRead == "" && page.Coverage != nil {
		return okHop("%s answered", cmp.Or(fleet.BareURL(page.URL), url)).took(page.Seconds)
	}
	values := []string{"url", cmp.Or(url, "the engine's address"), "worker", w.worker.Name}
	f := v.failureOf(in)
	if f.fresh {
		values[1] = cmp.Or(fleet.BareURL(page.URL), values[1])
	}
	h := hop{seen: cmp.Or(f.text, in.StateMessage)}
	if f.fresh && asked {
		h = h.took(page.Seconds)
	}
	switch {
	case !v.reports(w.worker):
		return unknownHop("Nobody reads the engine: the worker does not report")
	case in.StateMessage == "not found since the worker was started":
		h.hit(engineNotFound, subject, in.StateMessage, values...)
		return h
	case endpointByReason(f.reason) != nil:
		h.hit(endpointByReason(f.reason), subject, f.text, values...).first = hintOf(f.text)
		return h
	case f.reason != "": // it answers, and the page is wrong
		return okHop("%s answers", values[1])
	}
	switch in.State {
	case fleet.InstanceRunning:
		if asked {
			return okHop("%s answered when the worker last read it; it was not read now: %s", values[1], page.NotRead)
		}
		return okHop("%s answered when the worker last read it", values[1])
	case fleet.InstanceError, fleet.InstanceUnreachable:
		h.hit(endpointByReason(reasonLost), subject, in.StateMessage, values...)
		return h
	}
	h = hop{state: wire.HopWarning, seen: fmt.Sprintf("The engine is %s", in.State)}
	if in.Since.IsZero() || v.Now.Sub(in.Since) < startsLong {
		return h
	}
	h.hit(engineStartsLong, subject, cmp.Or(in.StateMessage, "It has not answered yet"), "time", v.ago(in.Since).String())
	return h
}
