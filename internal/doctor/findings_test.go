package doctor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/access"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

// cases raise each finding, and not with evidence that is near to it.
var cases = map[string]struct{ raise, near func(*asked) }{
	"worker_stopped": {
		func(a *asked) { a.stopped("worker stopped") },
		func(a *asked) { a.stopped("worker stopped reporting at 2026-03-01T11:50:00Z") },
	},
	"worker_silent": {
		func(a *asked) { a.stopped("worker stopped reporting at 2026-03-01T11:50:00Z") },
		func(a *asked) { a.stopped("worker stopped") },
	},
	"worker_never_reported": {
		func(a *asked) {
			a.stopped("worker joined and has not reported yet")
			a.worker().LastReportAt = time.Time{}
		},
		func(a *asked) {
			a.stopped("worker joined and has not reported yet")
			a.worker().LastReportAt, a.worker().RegisteredAt = time.Time{}, before(5*time.Second)
		},
	},
	"worker_no_stream": {
		func(a *asked) { a.Connected[1] = false },
		func(a *asked) { a.Connected[1], a.worker().RegisteredAt = false, before(5*time.Second) },
	},
	"worker_clock": {
		func(a *asked) { a.check(func(c *Check) { c.Now = now.Add(20 * time.Second) }) },
		func(a *asked) { a.check(func(c *Check) { c.Now = now.Add(3 * time.Second) }) },
	},
	"worker_older": {
		func(a *asked) { a.worker().Version = "1.4.9" },
		func(a *asked) { a.worker().Version = "8dce8de" },
	},
	"worker_newer": {
		func(a *asked) { a.worker().Version = "v1.6.0-dev.3+gabcdef0" },
		func(a *asked) { a.worker().Version = "v1.5.0+g8dce8de" },
	},
	"worker_version": {
		func(a *asked) { a.worker().Version = "1.10.0" },
		func(a *asked) { a.worker().Version = "1.6.9" },
	},
	"worker_unreported_instances": {
		func(a *asked) { a.answer(queryCounted, sample(1, 0, 3, "__name__", "stackscope_unreported_instances")) },
		func(a *asked) {
			a.answer(queryCounted, sample(1, 0, 3, "__name__", "gpustack:discovery_skipped_total", "reason", "new"))
		},
	},

	"engine_refused": {
		func(a *asked) {
			a.failed("connection refused at 10.0.0.1:8000: is it running, and are host and port right?")
		},
		func(a *asked) { a.state(fleet.InstanceStarting, "connection refused at 10.0.0.1:8000") },
	},
	"engine_timeout": {
		func(a *asked) {
			a.failed("no complete answer before the scrape's deadline: is it overloaded, or is the scrape timeout too short?")
		},
		func(a *asked) { a.failed("connection refused at 10.0.0.1:8000") },
	},
	"engine_dns": {
		func(a *asked) {
			a.failed("its host name engine.example cannot be resolved: check the name and this machine's DNS")
		},
		func(a *asked) { a.failed("there is no route to its host: check the address and the network") },
	},
	"engine_lost": {
		func(a *asked) {
			a.failed("the connection was closed before the answer was complete: see the engine's log; is the port right?")
		},
		func(a *asked) { a.failed("its host name engine.example cannot be resolved") },
	},
	"engine_unread": {
		func(a *asked) { a.failed("the moon is full") },
		func(a *asked) { a.failed("answered HTML, not a metrics page: is the URL the engine's?") },
	},
	"engine_tls": {
		func(a *asked) { a.failed("it speaks TLS: write https:// in the URL") },
		func(a *asked) {
			a.failed("it does not speak HTTP: is the port right? If it speaks TLS, write https:// in the URL")
		},
	},
	"engine_unauthorized": {
		func(a *asked) {
			a.failed("answered 401 Unauthorized: give credentials in the URL, as in http://USER:PASSWORD@HOST:PORT")
		},
		func(a *asked) { a.failed("answered 404 Not Found: is the URL the engine's?") },
	},
	"engine_not_found": {
		func(a *asked) { a.failed("answered 404 Not Found: is the URL the engine's?") },
		func(a *asked) { a.failed("answered 500 Internal Server Error") },
	},
	"engine_http_status": {
		func(a *asked) { a.failed("answered 500 Internal Server Error") },
		func(a *asked) { a.failed("answered with HTML: is the URL the engine's?") },
	},
	"engine_process_ended": {
		func(a *asked) { a.state(fleet.InstanceUnreachable, "its process ended") },
		func(a *asked) { a.state(fleet.InstanceUnreachable, "not found since the worker was started") },
	},
	"engine_not_found_again": {
		func(a *asked) { a.state(fleet.InstanceUnreachable, "not found since the worker was started") },
		func(a *asked) { a.state(fleet.InstanceUnreachable, "its process ended") },
	},
	"engine_starts_long": {
		func(a *asked) { a.state(fleet.InstanceStarting, "it has not answered yet") },
		func(a *asked) { a.state(fleet.InstanceStarting, ""); a.instance().Since = before(5 * time.Minute) },
	},

	"engine_restarts": {
		func(a *asked) { a.answer(queryRestarts, sample(1, 1, 7)) },
		func(a *asked) { a.answer(queryRestarts, sample(1, 9, 7)) },
	},

	"engine_not_metrics": {
		func(a *asked) { a.failed("answered with HTML: is the URL the engine's?") },
		func(a *asked) { a.failed("answered 503 Service Unavailable") },
	},
	"engine_page_too_large": {
		func(a *asked) {
			a.failed("answered with a page of more than 16 MiB: is the URL the engine's? A page of an engine has at most some MiB")
		},
		func(a *asked) { a.failed("answered with too large headers: is the URL the engine's?") },
	},
	"engine_empty_page": {
		func(a *asked) { a.page(func(p *Page) { p.Coverage.Families, p.Metrics = 0, nil }) },
		func(a *asked) { a.page(func(p *Page) { p.Coverage.Families = 0 }) },
	},
	"engine_no_engine_metrics": {
		func(a *asked) {
			a.lacks("no_engine_metrics", "its metrics page has no metrics of SGLang: start SGLang with --enable-metrics")
		},
		func(a *asked) {
			a.state(fleet.InstanceRunning, "its metrics page has no metrics of TGI yet: some appear with the first request")
		},
	},
	"engine_waits_for_request": {
		func(a *asked) {
			a.state(fleet.InstanceRunning, "its metrics page has no metrics of TGI yet: some appear with the first request")
		},
		func(a *asked) {
			a.lacks("no_engine_metrics", "its metrics page has no metrics of TGI: is the URL the engine's?")
		},
	},
	"engine_page_unreadable": {
		func(a *asked) { a.page(func(p *Page) { p.Metrics[0].Unreadable = 2 }) },
		func(a *asked) { a.page(func(p *Page) { p.MetricsLeftOut = 2 }) },
	},
	"engine_stalled": {
		func(a *asked) { a.answer(queryOne, sample(1, 1, 1, "__name__", catalog.InstanceStalled.WireName())) },
		func(a *asked) { a.answer(queryOne, sample(1, 9, 1, "__name__", catalog.InstanceStalled.WireName())) },
	},
	"instance_no_model": {
		func(a *asked) {
			a.instance().ModelID, a.instance().StateMessage = 0, "it answers, and is being asked which model it serves"
		},
		func(a *asked) { a.instance().ModelID = 0 }, // a gateway
	},
	"instance_name": {
		func(a *asked) {
			a.instance().StateMessage = "the model's name is not known, and the instance's stands for it (its list of models is broken): give model= with --engine"
		},
		func(a *asked) { a.instance().StateMessage = "no token for 3m with 1 request in flight" },
	},

	"mapping_unmapped": {
		func(a *asked) { a.page(func(p *Page) { p.Coverage.Families, p.Runtime = 0, "NewEngine" }) },
		func(a *asked) { a.page(func(p *Page) { p.Coverage.Families = 1 }) },
	},
	"mapping_behind": {
		func(a *asked) { a.Mapping.Generation, a.Connected[1] = 3, false },
		func(a *asked) {
			a.Mapping.Generation, a.worker().AppliedGeneration, a.Snapshot.Workers[1].AppliedGeneration = 3, 3, 3
		},
	},
	"mapping_refused": {
		func(a *asked) { a.Mapping.Generation = 3 },
		func(a *asked) { a.Mapping.Generation, a.Mapping.At = 3, before(2*time.Second) },
	},
	"metric_no_native": {
		func(a *asked) { a.aboutMetric("gpustack:gateway_requests_total"); a.answer(queryMetric) },
		func(a *asked) { a.aboutMetric(running) },
	},
	"metric_removed": {
		func(a *asked) { a.aboutMetric(running); a.answer(queryMetric); a.mapsOnly(oneMetric) },
		func(a *asked) {
			a.aboutMetric("gpustack:gateway_requests_total")
			a.answer(queryMetric)
			a.mapsOnly(oneMetric)
		},
	},
	"mapping_removes": {
		func(a *asked) { a.mapsOnly(oneMetric) },
		func(a *asked) {
			a.mapsOnly(oneMetric)
			a.instance().Runtime, a.Snapshot.Instances[1].Runtime = "NewEngine", "NewEngine"
		},
	},
	"metric_not_on_page": {
		func(a *asked) { a.aboutMetric("gpustack:num_requests_waiting"); a.answer(queryMetric) },
		func(a *asked) { a.aboutMetric(running) },
	},
	"metric_excluded": {
		func(a *asked) {
			a.aboutMetric(running)
			a.answer(queryMetric)
			a.page(func(p *Page) {
				p.Unified, p.Metrics[0].Outcomes[0] = "", wire.NativeOutcome{Family: running, Why: "match"}
			})
		},
		func(a *asked) {
			a.aboutMetric("gpustack:num_requests_waiting")
			a.answer(queryMetric)
			a.page(func(p *Page) { p.Unified = "" })
		},
	},
	"metric_other_role": {
		func(a *asked) {
			a.aboutMetric("gpustack:num_requests_waiting")
			a.instance().Role, a.Snapshot.Instances[1].Role = fleet.RoleDecode, fleet.RolePrefill
			a.answer(queryMetric, sample(2, 2, 1))
		},
		func(a *asked) {
			a.aboutMetric("gpustack:num_requests_waiting")
			a.instance().Role, a.Snapshot.Instances[1].Role = fleet.RolePrefill, fleet.RolePrefill
			a.answer(queryMetric, sample(2, 2, 1))
		},
	},
	"series_left_out": {
		func(a *asked) { a.answer(queryLeftOut, sample(1, 1, 5, "metric", "x")) },
		func(a *asked) { a.answer(queryLeftOut, sample(1, 9, 5, "metric", "x")) },
	},
	"samples_dropped": {
		func(a *asked) { a.answer(queryDropped, sample(1, 1, 5, "reason", "series_limit")) },
		func(a *asked) { a.answer(queryLeftOut, sample(1, 1, 5, "metric", "x")) },
	},

	"worker_page_failed": {
		func(a *asked) { a.check(func(c *Check) { c.PageError = "it has no memory for it" }) },
		func(a *asked) { a.check(func(c *Check) { c.NotAnswered = "it did not answer" }) },
	},
	"worker_page_slow": {
		func(a *asked) { a.check(func(c *Check) { c.PageSeconds = 4.4 }) },
		func(a *asked) {
			a.check(func(c *Check) { c.PageSeconds = 4.4 })
			a.failed("no complete answer before the scrape's deadline")
		},
	},
	"collector_failed": {
		func(a *asked) {
			a.answer(queryZero, sample(1, 0, 0, "__name__", catalog.CollectorSuccess.WireName(), "collector", "discovery_docker"))
		},
		func(a *asked) {
			a.answer(queryZero, sample(1, 0, 0, "__name__", catalog.CollectorSuccess.WireName(), "collector", "gpu_nvidia"), sample(1, 0, 0, "__name__", catalog.GPUDriverResponsive.WireName(), "vendor", "nvidia"))
		},
	},
	"gpu_driver_hung": {
		func(a *asked) {
			a.answer(queryZero, sample(1, 0, 0, "__name__", catalog.GPUDriverResponsive.WireName(), "vendor", "nvidia"))
		},
		func(a *asked) {
			a.answer(queryZero, sample(1, 0, 0, "__name__", catalog.GPUDriverResponsive.WireName(), "vendor", "nvidia"))
			a.check(func(c *Check) { // it answers again
				c.Own = `gpustack:gpu_driver_responsive{worker_id="1",vendor="nvidia"} 1` + "\n"
			})
		},
	},
	"gpu_missing": {
		func(a *asked) { a.Snapshot.GPUs[0].State = fleet.GPUMissing },
		func(a *asked) { a.Snapshot.GPUs[0].State = fleet.GPUUnreachable },
	},
	"gpu_action": {
		func(a *asked) {
			a.Snapshot.GPUs[0].Action, a.Snapshot.GPUs[0].ActionReason = "reset", "memory rows wait to be remapped"
		},
		func(a *asked) { a.Snapshot.GPUs[0].ActionReason = "none" },
	},

	"target_metrics_off": {
		func(a *asked) { a.worker().MetricsPort = 0 },
		func(a *asked) { a.worker().MetricsPort = 1 },
	},
	"target_shared": {
		func(a *asked) { a.Snapshot.Workers[1].Address = a.worker().Address; a.stored(1, time.Hour) },
		func(a *asked) { a.Snapshot.Workers[1].Address = a.worker().Address },
	},
	"target_tunnel": {
		func(a *asked) { a.worker().ProxyMode = fleet.ProxyTunnel; a.stored(1, time.Hour) },
		func(a *asked) { a.worker().ProxyMode = fleet.ProxyTunnel },
	},
	"target_missing": {
		func(a *asked) { delete(a.Prometheus.Targets, "10.0.0.1:10151"); a.stored(1, time.Hour) },
		func(a *asked) { delete(a.Prometheus.Targets, "10.0.0.1:10151") }, // another address
	},
	"discovery_not_read": {
		func(a *asked) { a.Prometheus, a.Server.Readers = Prometheus{Kind: PrometheusNone}, nil },
		func(a *asked) { a.Prometheus = Prometheus{Kind: PrometheusNone} },
	},
	"external_scrapes_nothing": {
		func(a *asked) {
			a.Prometheus = Prometheus{Kind: PrometheusExternal, URL: "http://prometheus.example:9090", Targets: map[string]Scrape{}}
			a.answer(queryStored)
		},
		func(a *asked) { a.Prometheus = Prometheus{Kind: PrometheusExternal, Targets: map[string]Scrape{}} },
	},

	"scrape_firewall": {
		func(a *asked) {
			a.scrapeFails("GET http://10.0.0.1:10151/metrics: it took longer than the scrape timeout")
		},
		func(a *asked) {
			a.scrapeFails("GET http://10.0.0.1:10151/metrics: it took longer than the scrape timeout")
			a.check(func(c *Check) { c.PageSeconds = 4.9 })
		},
	},
	"scrape_slow": {
		func(a *asked) {
			a.scrapeFails("GET http://10.0.0.1:10151/metrics: it took longer than the scrape timeout")
			a.check(func(c *Check) { c.PageSeconds = 4.9 })
		},
		func(a *asked) {
			a.scrapeFails("GET http://10.0.0.1:10151/metrics: it took longer than the scrape timeout")
		},
	},
	"scrape_refused": {
		func(a *asked) {
			a.scrapeFails("GET http://10.0.0.1:10151/metrics: dial tcp 10.0.0.1:10151: connect: connection refused")
		},
		func(a *asked) {
			a.scrapeFails("GET http://10.0.0.1:10151/metrics: dial tcp 10.0.0.1:10151: connect: no route to host")
		},
	},
	"scrape_dns": {
		func(a *asked) { a.scrapeFails("GET http://gpu-1:10151/metrics: dial tcp: lookup gpu-1: no such host") },
		func(a *asked) {
			a.scrapeFails("GET http://gpu-1:10151/metrics: dial tcp 10.0.0.1:10151: connect: connection refused")
		},
	},
	"scrape_tls": {
		func(a *asked) {
			a.scrapeFails("GET https://10.0.0.1:10151/metrics: its certificate is for another name than its address: issue one for that address")
		},
		func(a *asked) { a.scrapeFails("server returned HTTP status 401 Unauthorized") },
	},
	"scrape_certificate_expired": {
		func(a *asked) {
			a.scrapeFails("GET https://10.0.0.1:10151/metrics: its certificate has expired, or is not valid yet")
		},
		func(a *asked) { a.scrapeFails("GET https://10.0.0.1:10151/metrics: its certificate is not valid") },
	},
	"scrape_unauthorized": {
		func(a *asked) { a.scrapeFails("server returned HTTP status 401 Unauthorized") },
		func(a *asked) { a.scrapeFails("server returned HTTP status 404 Not Found") },
	},
	"scrape_status": {
		func(a *asked) { a.scrapeFails("server returned HTTP status 404 Not Found") },
		func(a *asked) { a.scrapeFails("server returned HTTP status 403 Forbidden") },
	},
	"scrape_too_large": {
		func(a *asked) { a.scrapeFails("body size limit exceeded") },
		func(a *asked) { a.scrapeFails("the page is not in Prometheus' text format: invalid metric type") },
	},
	"scrape_invalid": {
		func(a *asked) { a.scrapeFails("the page is not in Prometheus' text format: invalid metric type") },
		func(a *asked) { a.scrapeFails("sample limit exceeded") },
	},
	"scrape_address_refused": {
		func(a *asked) {
			a.scrapeFails("169.254.1.1:10151 is not scraped: it is link-local; register the worker with an address at which the server reaches it")
		},
		func(a *asked) { a.scrapeFails("another error, which its page of targets shows") },
	},
	"scrape_down": {
		func(a *asked) { a.scrapeFails("another error, which its page of targets shows") },
		func(a *asked) { a.scrape(Scrape{}) }, // not scraped yet
	},
	"scrape_samples_refused": {
		func(a *asked) {
			a.answer(queryServer, Sample{Labels: map[string]string{"what": samplesRefused, "reason": "worker"}, Value: 4})
		},
		func(a *asked) {
			a.answer(queryServer, Sample{Labels: map[string]string{"what": scrapesNotStored}, Value: 4})
		},
	},

	"storage_nothing": {
		func(a *asked) { a.answer(queryStored, sample(2, 0, unix(now)), sample(2, 2, unix(now))) },
		func(a *asked) {
			a.answer(queryStored, sample(2, 0, unix(now)), sample(2, 2, unix(now)))
			a.worker().RegisteredAt, a.instance().Since = before(20*time.Second), before(20*time.Second)
		},
	},
	"storage_stale": {
		func(a *asked) { a.stored(1, 4*time.Minute) },
		func(a *asked) { a.stored(1, 80*time.Second) },
	},
	"storage_series_limit": {
		func(a *asked) { a.Answers[queryHead].Samples[0].Value = 1000 },
		func(a *asked) { a.Answers[queryHead].Samples[0].Value, a.Answers[queryHead].Samples[1].Value = 1000, 0 },
	},
	"metric_not_stored": {
		func(a *asked) { a.aboutMetric(running); a.answer(queryMetric, sample(2, 2, 1)) },
		func(a *asked) { a.aboutMetric(running) },
	},
	"metric_absent": {
		func(a *asked) {
			a.forMetric("gpustack:gpu_driver_responsive")
			a.about(wire.DoctorMetric, 0, a.Metric)
			a.answer(queryMetric)
		},
		func(a *asked) {
			a.forMetric("gpustack:gpu_driver_responsive")
			a.about(wire.DoctorMetric, 0, a.Metric)
			a.answer(queryMetric, sample(1, 0, 8), sample(2, 0, 8))
		},
	},
	"model_renamed": {
		func(a *asked) {
			a.answer(queryRenamed, sample(1, 1, 1, "model_name", "qwen"), sample(1, 1, 1, "model_name", "qwen-old"))
		},
		func(a *asked) { a.answer(queryRenamed, sample(1, 1, 1, "model_name", "qwen")) },
	},

	"dashboard_value_missing": {
		func(a *asked) { a.answer(queryVariable + "model_name") },
		func(a *asked) { a.answer(queryVariable + "model_name"); a.stored(1, time.Hour); a.stored(2, time.Hour) }, // it follows
	},
	"server_not_scraped": {
		func(a *asked) { a.answer(queryServerInfo) },
		func(a *asked) { a.answer(queryServerInfo); a.answer(queryStored) },
	},

	"worker_name_taken": {
		func(a *asked) { a.refused(fleet.RefusedNameTaken, time.Minute) },
		func(a *asked) { a.refused(fleet.RefusedNameTaken, time.Hour) },
	},
	"worker_identity_taken": {
		func(a *asked) { a.refused(fleet.RefusedTwoWorkers, time.Minute) },
		func(a *asked) { a.refused(fleet.RefusedNameTaken, time.Minute) },
	},
	"worker_revoked": {
		func(a *asked) { a.refused(fleet.RefusedRevoked, time.Minute) },
		func(a *asked) { a.refused(fleet.RefusedInvalid, time.Minute) },
	},
	"worker_refused": {
		func(a *asked) { a.refused(fleet.RefusedInvalid, time.Minute) },
		func(a *asked) { a.refused(fleet.RefusedRevoked, time.Minute) },
	},
	"worker_wrong_token": {
		func(a *asked) { a.refused(RefusedToken, time.Minute) },
		func(a *asked) { a.refused(RefusedToken, time.Hour) },
	},
	"worker_registers_too_often": {
		func(a *asked) { a.refused(RefusedLimit, time.Minute) },
		func(a *asked) { a.refused(fleet.RefusedNameTaken, time.Minute) },
	},
	"wrong_tokens": {
		func(a *asked) { a.refusedLately(catalog.WrongTokens, "needed", "admin", "status", "429") },
		func(a *asked) { a.refusedLately(catalog.WrongTokens, "needed", "admin", "status", "401") },
	},
	"no_workers": {
		func(a *asked) { a.Snapshot = &fleet.Snapshot{} },
		func(a *asked) { a.Snapshot.Instances = nil },
	},
	"no_engines": {
		func(a *asked) { a.Snapshot.Instances = nil },
		func(a *asked) { a.Snapshot = &fleet.Snapshot{} },
	},

	"server_disk_full": {
		func(a *asked) {
			a.Server.Problems = []string{"not stored: write the database: no space is left (disk full): free space on that disk"}
		},
		func(a *asked) { a.Server.Problems = []string{"prometheus: no space left: free space on that disk"} },
	},
	"server_not_stored": {
		func(a *asked) { a.Server.Problems = []string{"not stored: the database cannot be written (read-only)"} },
		func(a *asked) { a.Server.Problems = []string{"prometheus: blocks can't be read"} },
	},
	"prometheus_disk_full": {
		func(a *asked) { a.Server.Problems = []string{"prometheus: the disk is nearly full"} },
		func(a *asked) { a.Server.Problems = []string{"prometheus: blocks can't be read"} },
	},
	"prometheus_problem": {
		func(a *asked) { a.Server.Problems = []string{"prometheus: blocks can't be read"} },
		func(a *asked) { a.Server.Problems = []string{"prometheus: the disk is nearly full"} },
	},
	"prometheus_not_ready": {
		func(a *asked) { a.Prometheus.Err = "it opens its data" },
		func(a *asked) {
			a.Prometheus.Err, a.Server.Problems = "it opens its data", []string{"prometheus: its data is damaged"}
		},
	},
	"prometheus_scrapes_not_stored": {
		func(a *asked) {
			a.answer(queryServer, Sample{Labels: map[string]string{"what": scrapesNotStored}, Value: 4})
		},
		func(a *asked) {
			a.answer(queryServer, Sample{Labels: map[string]string{"what": samplesRefused}, Value: 4})
		},
	},
	"prometheus_clock": {
		func(a *asked) { a.answer(queryClock, Sample{Value: unix(before(time.Minute))}) },
		func(a *asked) { a.answer(queryClock, Sample{Value: unix(before(3 * time.Second))}) },
	},
	"console_no_prometheus": {
		func(a *asked) { a.Prometheus = Prometheus{Kind: PrometheusNone} },
		func(a *asked) { a.Prometheus = Prometheus{Kind: PrometheusExternal, Err: "it does not answer"} },
	},
	"grafana_down": {
		func(a *asked) { a.Server.GrafanaPhase = "waiting" },
		func(a *asked) { a.Server.GrafanaPhase = "starting" },
	},
	"grafana_absent": {
		func(a *asked) { a.Server.GrafanaPhase = "absent" },
		func(a *asked) { a.Server.GrafanaPhase, a.Server.ExternalGrafana = "absent", true },
	},
	"connections_closed": {
		func(a *asked) { a.refusedLately(catalog.ConnectionsClosed, "listener", "api", "reason", "evicted") },
		func(a *asked) { a.Server.Connections[0].Open = 80 },
	},
	"connections_many": {
		func(a *asked) { a.Server.Connections[0].Open = 95 },
		func(a *asked) { a.Server.Connections[0].Open = 80 },
	},
}

// oneMetric is a mapping of one metric.
const oneMetric = `{"gpustack_metrics":{"gpustack:x":{"type":"gauge","description":"x"}},"runtime_mapping":{"vLLM":{"*":{"vllm:x":"gpustack:x"}}}}`

func (a *asked) mapsOnly(document string) {
	d, err := mapping.Decode([]byte(document))
	if err != nil {
		panic(err)
	}
	a.Mapping.Builtin = a.Mapping.Compiled
	if a.Mapping.Compiled, err = mapping.Compile(d); err != nil {
		panic(err)
	}
	a.page(func(p *Page) { p.Unified, p.Metrics = "", nil })
}

func (a *asked) stopped(why string) {
	w := a.worker()
	w.State, w.StateMessage, w.LastReportAt = fleet.WorkerNotReady, why, before(10*time.Minute)
	a.Connected[1] = false
}

func (a *asked) aboutMetric(name string) {
	a.forMetric(name)
	a.about(wire.DoctorInstance, 1, "qwen-0")
}

func (a *asked) refused(class string, ago time.Duration) {
	a.Server.Refusals = []Refusal{{At: before(ago), Class: class, Name: "gpu-1", Other: "gpu-1", OtherID: 1, Count: 3}}
}

func (a *asked) refusedLately(m catalog.Metric, labels ...string) {
	a.answer(queryServer, sample(0, 0, 4, append(labels, "what", m.WireName())...))
}

func init() {
	for _, s := range skips {
		counted := func(reason string) func(*asked) {
			return func(a *asked) {
				a.answer(queryCounted, sample(1, 0, 2, "__name__", catalog.DiscoverySkipped.WireName(), "reason", reason))
			}
		}
		other := "disabled"
		if s.reason == other {
			other = "no_port"
		}
		cases["discovery_"+s.reason] = struct{ raise, near func(*asked) }{counted(s.reason), counted(other)}
	}
}

func init() {
	lacking := func(access string) func(*asked) {
		return func(a *asked) {
			a.answer(queryOne, sample(1, 0, 1, "__name__", catalog.MissingAccess.WireName(), "access", access))
		}
	}
	for _, k := range access.Kinds {
		cases["access_"+k.ID] = struct{ raise, near func(*asked) }{lacking(k.ID), lacking("of_a_newer_version")}
	}
}

// What a worker may not do is told once: as the access that it lacks.
func TestLackingAccessExplains(t *testing.T) {
	for _, tt := range []struct {
		access, want, explained string
		evidence                func(*asked)
	}{
		{"process_files", "access_process_files", "discovery_unreadable", func(a *asked) {
			a.answer(queryCounted, sample(1, 0, 2, "__name__", catalog.DiscoverySkipped.WireName(), "reason", unreadable))
		}},
		{"container_runtime", "access_container_runtime", "collector_failed", func(a *asked) {
			a.answer(queryZero, sample(1, 0, 0, "__name__", catalog.CollectorSuccess.WireName(), "collector", dockerCollector))
		}},
	} {
		a := healthy(t)
		a.about(wire.DoctorWorker, 1, "gpu-1")
		tt.evidence(a)
		if got := ids(examine(a)); !slices.Contains(got, tt.explained) {
			t.Errorf("%s alone: %q", tt.explained, got)
		}
		a.answer(queryOne, sample(1, 0, 1, "__name__", catalog.MissingAccess.WireName(), "access", tt.access))
		if got := ids(examine(a)); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("with %s: %q, want only %s", tt.access, got, tt.want)
		}
	}
}

func examine(a *asked) wire.Doctor { return Examine(a.Evidence, a.r) }

// Each finding is raised by evidence of it and not by what is near to it.
func TestFindings(t *testing.T) {
	known := map[string]bool{}
	for _, f := range Findings() {
		if known[f.ID] {
			t.Errorf("two findings are called %s", f.ID)
		}
		known[f.ID] = true
		c, ok := cases[f.ID]
		if !ok {
			t.Errorf("finding %s has no case", f.ID)
			continue
		}
		t.Run(f.ID, func(t *testing.T) {
			a := healthy(t)
			c.raise(a)
			d := examine(a)
			at := slices.IndexFunc(d.Findings, func(found wire.DoctorFinding) bool { return found.ID == f.ID })
			if at < 0 {
				t.Fatalf("it is not raised: %v\n%s", ids(d), d.Summary)
			}
			for _, text := range []string{d.Findings[at].What, d.Findings[at].Do, d.Findings[at].Seen} {
				if text == "" || strings.ContainsAny(text, "{}") && !strings.Contains(text, `{__name__=~"`) && !strings.Contains(text, `{reason="`) && !strings.Contains(text, `{collector="`) {
					t.Errorf("a text is %q", text)
				}
			}
			a = healthy(t)
			c.near(a)
			if d := examine(a); slices.Contains(ids(d), f.ID) {
				t.Errorf("it is raised by what is only near to it: %+v", d.Findings)
			}
		})
	}
	for id := range cases {
		if !known[id] {
			t.Errorf("there is no finding %s", id)
		}
	}
}

func TestAllIsWell(t *testing.T) {
	for _, about := range []wire.DoctorSubject{{Kind: wire.DoctorFleet}, {Kind: wire.DoctorInstance, ID: 1, Name: "qwen-0"}, {Kind: wire.DoctorWorker, ID: 1, Name: "gpu-1"}, {Kind: wire.DoctorModel, ID: 1, Name: "qwen"}} {
		a := healthy(t)
		a.about(about.Kind, about.ID, about.Name)
		d := examine(a)
		if len(d.Findings) > 0 || !d.OK {
			t.Errorf("%s: %+v", about.Kind, d.Findings)
		}
		if d.Summary != "No fault was found: samples arrive in Prometheus, and the dashboards list them." {
			t.Errorf("%s: %s", about.Kind, d.Summary)
		}
	}
}

// Before the first scrape the dashboards cannot list anything, and that is no finding.
func TestNothingIsScrapedYet(t *testing.T) {
	a := healthy(t)
	a.worker().RegisteredAt, a.instance().Since = before(time.Second), before(time.Second)
	a.scrape(Scrape{})
	a.answer(queryStored)
	a.answer(queryVariable + "model_name")
	a.answer(queryVariable + "worker_name")
	a.about(wire.DoctorInstance, 1, "qwen-0")
	if d := examine(a); slices.Contains(ids(d), "dashboard_value_missing") {
		t.Errorf("%+v", d.Findings)
	}
}

// What follows from the first broken hop is seen, but is no finding.
func TestConsequences(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*asked)
		want   []string
	}{
		"the worker stopped": {
			func(a *asked) {
				a.stopped("worker stopped")
				a.state(fleet.InstanceUnreachable, "worker stopped")
				a.scrapeFails("GET http://10.0.0.1:10151/metrics: dial tcp 10.0.0.1:10151: connect: connection refused")
			},
			[]string{"worker_stopped"},
		},
		"the worker was killed, its state is not_ready only later, and the engine was unreachable before": {
			func(a *asked) {
				a.Connected[1], a.worker().LastReportAt = false, before(40*time.Second)
				a.state(fleet.InstanceUnreachable, "no complete answer before the scrape's deadline")
				a.scrapeFails("GET http://10.0.0.1:10151/metrics: dial tcp 10.0.0.1:10151: connect: connection refused")
			},
			[]string{"worker_silent"},
		},
		"a report is late, and the watch stream is open": {
			func(a *asked) {
				a.worker().LastReportAt = before(40 * time.Second)
				a.failed("connection refused at 10.0.0.1:8000")
			},
			[]string{"engine_refused"},
		},
		"the engine hangs, which makes the worker's page slow": {
			func(a *asked) {
				a.failed("no complete answer before the scrape's deadline")
				a.check(func(c *Check) { c.PageSeconds = 4.5 })
				a.answer(queryStored, sample(1, 0, unix(now)), sample(2, 0, unix(now)), sample(2, 2, unix(now)))
				a.answer(queryVariable + "model_instance_name")
			},
			[]string{"engine_timeout"},
		},
		"a firewall": {
			func(a *asked) {
				a.scrapeFails("GET http://10.0.0.1:10151/metrics: it took longer than the scrape timeout")
			},
			[]string{"scrape_firewall"},
		},
		"a GPU is missing, and a firewall": {
			func(a *asked) {
				a.Snapshot.GPUs[0].State = fleet.GPUMissing
				a.scrapeFails("GET http://10.0.0.1:10151/metrics: it took longer than the scrape timeout")
				a.about(wire.DoctorWorker, 1, "gpu-1")
			},
			[]string{"gpu_missing", "scrape_firewall"},
		},
		"two causes": {
			func(a *asked) {
				a.failed("connection refused at 10.0.0.1:8000")
				a.scrapeFails("server returned HTTP status 401 Unauthorized")
			},
			[]string{"engine_refused", "scrape_unauthorized"},
		},
	} {
		a := healthy(t)
		a.about(wire.DoctorInstance, 1, "qwen-0")
		c.change(a)
		d := examine(a)
		if diff := cmp.Diff(c.want, ids(d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if c.want[0] == "worker_stopped" || c.want[0] == "worker_silent" {
			for _, h := range d.Paths[0].Hops[1:4] {
				if h.State != wire.HopUnknown {
					t.Errorf("%s: %s is %s, and nobody looks at the engine", name, h.Hop, h.State)
				}
			}
		}
		first := slices.IndexFunc(d.Paths[0].Hops, func(h wire.DoctorHop) bool { return h.State == wire.HopBroken })
		if first < 0 || !slices.Contains(d.Paths[0].Hops[first].Findings, c.want[0]) || d.Findings[0].Hop != d.Paths[0].Hops[first].Hop {
			t.Errorf("%s: the first broken hop is %+v", name, d.Paths[0].Hops)
		}
		if !strings.Contains(d.Summary, d.Findings[0].What) || !strings.Contains(d.Summary, d.Findings[0].Do) {
			t.Errorf("%s: %s", name, d.Summary)
		}
	}
}
