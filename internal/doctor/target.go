package doctor

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// targetTime is how long Prometheus may take to take up a new worker.
const targetTime = time.Minute

// refreshTime is within which a Prometheus reads service discovery once: the default is a minute.
const refreshTime = 75 * time.Second

const ownPrometheusDocs = "observability.md#your-own-prometheus-and-grafana"

var (
	targetMetricsOff = &Finding{
		ID: "target_metrics_off", Severity: wire.FindingError, Hop: wire.HopTarget,
		What: "worker {worker} has no metrics port, so nothing can scrape it",
		Do:   "Start it without --disable-worker-metrics, or with a --worker-metrics-port other than 0.",
		Docs: "flags.md",
	}
	targetShared = &Finding{
		ID: "target_shared", Severity: wire.FindingError, Hop: wire.HopTarget,
		What: "workers {worker} and {other} registered with one address, {address}, so the page of one stands for both, and its samples are refused for the other",
		Do:   "Give each worker an address of its own with --worker-ip and --worker-metrics-port. Behind NAT, forward a port for each of them, and give that port to the worker.",
		Docs: "running.md#addresses",
	}
	targetTunnel = &Finding{
		ID: "target_tunnel", Severity: wire.FindingWarning, Hop: wire.HopTarget,
		What: "worker {worker} is to be scraped through a proxy, and is only among the proxy targets",
		Do:   "Let a Prometheus that reaches it read http://SERVER:10161/metrics/proxy-targets, or start the worker without the proxy mode tunnel.",
		Docs: ownPrometheusDocs,
	}
	targetMissing = &Finding{
		ID: "target_missing", Severity: wire.FindingError, Hop: wire.HopTarget,
		What: "worker {worker} is not among the targets of {prometheus}",
		Do:   "Let the Prometheus read the workers from http://SERVER:10161/metrics/targets (http_sd_configs), as the documented scrape configuration does.",
		Docs: ownPrometheusDocs,
	}
	nobodyScrapes = &Finding{
		ID: "discovery_not_read", Severity: wire.FindingError, Hop: wire.HopTarget,
		What: "the embedded Prometheus is off, and no other one reads the list of workers",
		Do:   "Add the documented scrape configuration to a Prometheus of your own (http_sd_configs with http://SERVER:10161/metrics/targets), and name it to this server with --prometheus-url. Without one of your own, start the server without --disable-builtin-observability and --grafana-url.",
		Docs: ownPrometheusDocs,
	}
	externalNoTargets = &Finding{
		ID: "external_scrapes_nothing", Severity: wire.FindingError, Hop: wire.HopTarget,
		What: "the Prometheus of --prometheus-url, {prometheus}, scrapes none of the workers",
		Do:   "Add the documented scrape configuration to it (http_sd_configs with http://SERVER:10161/metrics/targets), and look at its page Status > Target health. If another Prometheus scrapes the workers, give that one's address as --prometheus-url.",
		Docs: ownPrometheusDocs,
	}
	targetFindings = []*Finding{targetMetricsOff, targetShared, targetTunnel, targetMissing, nobodyScrapes, externalNoTargets}
)

// address is where a worker is scraped.
func address(w *fleet.Worker) string {
	return net.JoinHostPort(w.Address, strconv.Itoa(w.MetricsPort))
}

// scrape returns the state of a worker as a target.
func (v *view) scrape(w *fleet.Worker) (Scrape, bool) {
	s, ok := v.Prometheus.Targets[address(w)]
	return s, ok
}

func (v *view) prometheusName() string {
	if v.Prometheus.Kind == PrometheusExternal {
		return "the Prometheus of --prometheus-url"
	}
	return "the embedded Prometheus"
}

// storedNow reports whether samples of the way arrive, however they come.
func (v *view) storedNow(k key) bool {
	at, ok := v.stored[k]
	return ok && v.clock().Sub(unixTime(at)) < staleAfter
}

// sharesAddress returns another worker with the same address whose samples arrive; nil if there is none.
func (v *view) sharesAddress(me *fleet.Worker) *fleet.Worker {
	for i := range v.Snapshot.Workers {
		if w := &v.Snapshot.Workers[i]; w.ID != me.ID && address(w) == address(me) && v.storedNow(key{worker: w.ID}) {
			return w
		}
	}
	return nil
}

func lookTarget(v *view, w *way) hop {
	me, subject := w.worker, ofWorker(w.worker)
	switch {
	case me.MetricsPort <= 0:
		return foundHop(targetMetricsOff, subject, "It registered without a metrics port", "worker", me.Name)
	case v.Prometheus.Kind == PrometheusNone:
		if read, ok := v.lastReader(); ok {
			return unknownHop("A Prometheus (%s) read the list of workers %s ago; this server cannot ask it, because --prometheus-url is not given", read.Agent, v.ago(read.At))
		}
		h := hop{}
		h.hits = append(h.hits, v.notRead())
		h.seen = h.hits[0].seen
		return h
	case v.Prometheus.Err != "":
		return unknownHop("The targets cannot be seen: %s", v.Prometheus.Err)
	}
	if me.ProxyMode == fleet.ProxyTunnel {
		if v.storedNow(key{worker: me.ID}) {
			return okHop("It is scraped through a proxy")
		}
		return foundHop(targetTunnel, subject, "It registered with the proxy mode tunnel", "worker", me.Name)
	}
	if v.Prometheus.TargetsErr != "" {
		if v.storedNow(key{worker: me.ID}) {
			return okHop("Its samples arrive; the targets themselves cannot be seen: %s", v.Prometheus.TargetsErr)
		}
		return unknownHop("The targets cannot be seen: %s", v.Prometheus.TargetsErr)
	}
	if _, ok := v.scrape(me); ok {
		if other := v.sharesAddress(me); other != nil && v.canQuery() && !v.storedNow(key{worker: me.ID}) {
			return foundHop(targetShared, subject, "Samples of "+other.Name+" arrive, and none of "+me.Name, "worker", me.Name, "other", other.Name, "address", address(me))
		}
		return okHop("%s is a target of %s", address(me), v.prometheusName())
	}
	switch {
	case v.storedNow(key{worker: me.ID}):
		return okHop("It is scraped at another address than %s", address(me))
	case v.Prometheus.Kind == PrometheusExternal && v.scrapesNothing():
		return foundHop(externalNoTargets, ofFleet, "None of its targets is a worker of this server", "prometheus", v.Prometheus.URL)
	case v.Now.Sub(me.RegisteredAt) < targetTime:
		return hop{state: wire.HopWarning, seen: fmt.Sprintf("It joined %s ago and is not among the targets yet", v.ago(me.RegisteredAt))}
	}
	return foundHop(targetMissing, subject, "There is no target "+address(me), "worker", me.Name, "prometheus", v.prometheusName())
}

// scrapesNothing reports whether the Prometheus has neither targets nor samples of the fleet.
func (v *view) scrapesNothing() bool {
	if len(v.stored) > 0 {
		return false
	}
	for i := range v.Snapshot.Workers {
		if _, ok := v.scrape(&v.Snapshot.Workers[i]); ok {
			return false
		}
	}
	return true
}

// lastReader returns the last reader of service discovery.
func (v *view) lastReader() (last Reader, ok bool) {
	for _, r := range v.Server.Readers {
		if v.Now.Sub(r.At) < recently && r.At.After(last.At) {
			last, ok = r, true
		}
	}
	return last, ok
}

// notRead is the finding that no Prometheus reads service discovery. A Prometheus reads it once a minute by default.
func (v *view) notRead() hit {
	h := hit{of: nobodyScrapes, subject: ofFleet, seen: fmt.Sprintf("No Prometheus has read /metrics/targets for %s", recently)}
	if up := v.Now.Sub(v.Server.ReadersSince); up < recently {
		h.seen = fmt.Sprintf("No Prometheus has read /metrics/targets since the server was started, %s ago", up.Round(time.Second))
		if up < refreshTime {
			h.severity = wire.FindingWarning
		}
	}
	return h
}
