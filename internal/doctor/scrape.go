package doctor

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/stackscope/stackscope/internal/wire"
)

const metricsPortDocs = "hardening.md#tls-and-authentication-of-the-metrics-ports"

// beforeScrape are the hops that explain a failed scrape.
var beforeScrape = []string{wire.HopWorker, wire.HopWorkerPage, wire.HopTarget}

func scrapeFinding(id, what, do, docs string) *Finding {
	return &Finding{ID: "scrape_" + id, Severity: wire.FindingError, Hop: wire.HopScrape, What: what, Do: do, Docs: docs, After: beforeScrape}
}

var (
	scrapeFirewall = scrapeFinding("firewall", "worker {worker} is connected to this server, but {prometheus} does not reach its metrics port {address}",
		"A firewall or a network policy drops the packets: allow TCP from the machine of Prometheus to {address}. If the address is not one that Prometheus can reach, give another with --worker-ip.", "troubleshooting.md#firewalls")
	scrapeRefused = scrapeFinding("refused", "nothing listens at the metrics port of worker {worker}, {address}, as {prometheus} sees it",
		"Look whether the worker runs, whether --worker-ip and --worker-metrics-port are right, whether a container publishes the port, and whether a firewall rejects connections to it.", "running.md#addresses")
	scrapeDNS = scrapeFinding("dns", "{prometheus} cannot resolve the address of worker {worker}, {address}",
		"Give an IP address with --worker-ip, or a name that the machine of Prometheus can resolve.", "running.md#addresses")
	scrapeTLS = scrapeFinding("tls", "TLS fails between {prometheus} and the metrics port of worker {worker}",
		"A worker with tls_server_config in its --web.config.file needs a Prometheus that accepts its certificate: --builtin-prometheus-http-config-file for the embedded one, tls_config for another one.", metricsPortDocs)
	scrapeExpired = scrapeFinding("certificate_expired", "the certificate of worker {worker} has expired, or is not valid yet, so {prometheus} does not read its metrics port",
		"Put a new certificate and key into the files that the worker's --web.config.file names: they are used at once. If the certificate is new, look at the clocks of both machines.", "https.md#renewal")
	scrapeUnauthorized = scrapeFinding("unauthorized", "the metrics port of worker {worker} wants a user and a password",
		"Give them to Prometheus: --builtin-prometheus-http-config-file for the embedded one, basic_auth for another one.", metricsPortDocs)
	scrapeStatus = scrapeFinding("status", "the metrics port of worker {worker} answers with an error, so another program may listen at {address}",
		"Look what listens there, and whether --worker-ip and --worker-metrics-port are right.", "running.md#addresses")
	scrapeSlow = scrapeFinding("slow", "a scrape of worker {worker} takes longer than its timeout",
		"Look which engine is slow: gpustack:runtime_scrape_duration_seconds on the worker's page. Look at the load of the machine, and at the network between it and Prometheus.", "troubleshooting.md#the-workers-page")
	scrapeTooLarge = scrapeFinding("too_large", "the page of worker {worker} is larger than Prometheus takes",
		"Look which engine has so many series: gpustack:runtime_series. Bound them with --max-new-series-per-engine or with keep and drop in the mapping, or raise body_size_limit and sample_limit of a Prometheus of your own.", "engines.md#bounds")
	scrapeInvalid = scrapeFinding("invalid", "what answers at {address} is no metrics page",
		"Look what listens there: it is not this worker, or a proxy changes its page.", "running.md#addresses")
	scrapeAddress = scrapeFinding("address_refused", "the embedded Prometheus does not connect to {address}",
		"Give the worker, with --worker-ip, an address that is not loopback, link-local or multicast.", "running.md#addresses")
	scrapeDown = scrapeFinding("down", "{prometheus} cannot scrape worker {worker} at {address}",
		"Ask for the page from the machine of Prometheus: curl http://{address}/metrics", "running.md#addresses")
	samplesNotTaken = &Finding{
		ID: "scrape_samples_refused", Severity: wire.FindingWarning, Hop: wire.HopScrape,
		What: "the embedded Prometheus refused samples: {reason}",
		Do:   "For the reason worker, look for two workers that are registered with one address, or for something else that answers at a worker's address. For labels, a series has more than 4 KiB of labels. For series, raise --builtin-prometheus-max-series, or look for a label with too many values. Any other: a worker exports a metric that only the server may.",
		Docs: "observability.md#when-prometheus-has-a-problem",
	}
	scrapeFindings = []*Finding{
		scrapeFirewall, scrapeRefused, scrapeDNS, scrapeTLS, scrapeExpired, scrapeUnauthorized, scrapeStatus, scrapeSlow, scrapeTooLarge, scrapeInvalid, scrapeAddress, scrapeDown,
		samplesNotTaken,
	}
)

func lookScrape(v *view, w *way) hop {
	me, subject := w.worker, ofWorker(w.worker)
	s, ok := v.scrape(me)
	switch {
	case !ok && v.storedNow(key{worker: me.ID}):
		return okHop("Its samples arrive")
	case !ok:
		return unknownHop("It is no target that could be scraped")
	case s.Last.IsZero():
		return hop{state: wire.HopUnknown, seen: "It was not scraped yet"}
	case s.Up:
		return okHop("The last scrape, %s ago, succeeded", v.ago(s.Last)).took(s.Duration.Seconds())
	}
	h := hop{seen: cmp.Or(s.Error, "The last scrape failed")}.took(s.Duration.Seconds())
	of := v.scrapeFailure(w, s)
	seen := fmt.Sprintf("The last scrape, %s ago, failed: %s", v.ago(s.Last), cmp.Or(s.Error, "no reason is known"))
	if of == scrapeFirewall {
		seen += "; the worker's watch stream is open"
	}
	h.hit(of, subject, seen, "worker", me.Name, "address", address(me), "prometheus", v.prometheusName())
	return h
}

// scrapeFailure returns what a failed scrape shows. The texts are those of prom's scrapeerror.go, and of net and Prometheus.
func (v *view) scrapeFailure(w *way, s Scrape) *Finding {
	text := s.Error
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("is not scraped: "):
		return scrapeAddress
	case has("no address is known for the host", "no such host", "server misbehaving", "Temporary failure in name resolution"):
		return scrapeDNS
	case has("connection refused"):
		return scrapeRefused
	case has("certificate has expired"):
		return scrapeExpired
	case has("tls:", "x509:", "TLS", "HTTPS", "certificate"):
		return scrapeTLS
	case has("HTTP status 401", "HTTP status 403"):
		return scrapeUnauthorized
	case has("HTTP status"):
		return scrapeStatus
	case has("no route to host", "network is unreachable", "dial tcp") && !has("connect: connection reset"):
		return v.unreachable(w)
	case has("longer than the scrape timeout", "context deadline exceeded", "i/o timeout"):
		if c, ok := v.Checks[w.worker.ID]; ok && c.NotAnswered == "" {
			if c.PageSeconds < v.timeout(w.worker).Seconds()/2 {
				return v.unreachable(w) // the page itself is quick
			}
			return scrapeSlow
		}
		if v.slowEngine(w.worker) {
			return scrapeSlow
		}
		return v.unreachable(w)
	case has("limit exceeded"):
		return scrapeTooLarge
	case has("text format", "does not speak HTTP", "expected ", "unsupported Content-Type"):
		return scrapeInvalid
	}
	return scrapeDown
}

// unreachable returns what it means that the metrics port does not answer: a firewall, if the worker itself is connected.
func (v *view) unreachable(w *way) *Finding {
	if v.Connected[w.worker.ID] || alive(w.worker) {
		return scrapeFirewall
	}
	return scrapeDown
}
