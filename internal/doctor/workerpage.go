package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/access"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// scrapeTimeout is that of the embedded Prometheus and of the configurations that we give for others.
const scrapeTimeout = 5 * time.Second

var (
	workerPageFailed = &Finding{
		ID: "worker_page_failed", Severity: wire.FindingError, Hop: wire.HopWorkerPage, After: byWorker,
		What: "worker {worker} cannot make its metrics page",
		Do:   "Read the worker's log. If it lacks memory, raise its limit; if a collector hangs, look at the machine.",
		Docs: "troubleshooting.md#the-workers-page",
	}
	workerPageSlow = &Finding{
		ID: "worker_page_slow", Severity: wire.FindingWarning, Hop: wire.HopWorkerPage, After: byWorker,
		What: "worker {worker} needs {time} for its page, and a scrape ends after {timeout}",
		Do:   "Look which engine is slow: gpustack:runtime_scrape_duration_seconds. Raise the scrape's timeout and interval for a Prometheus of your own, or look at the machine's load.",
		Docs: "troubleshooting.md#the-workers-page",
	}
	collectorFailed = &Finding{
		ID: "collector_failed", Severity: wire.FindingWarning, Hop: wire.HopWorkerPage, After: byWorker,
		What: "the collector {collector} of worker {worker} fails",
		Do:   "The worker's log says why, once. discovery_docker: add the worker's user to the group that owns the socket. gpu_*: look at the vendor's driver and tool on the machine.",
		Docs: "discovery.md#when-an-engine-is-missing",
	}
	gpuDriverHung = &Finding{
		ID: "gpu_driver_hung", Severity: wire.FindingError, Hop: wire.HopWorkerPage, After: byWorker, Partial: true,
		What: "the GPU driver of {vendor} on worker {worker} hangs",
		Do:   "Run the vendor's tool on the machine (nvidia-smi, amd-smi, npu-smi): it hangs, too. Look at the kernel's log for errors of the driver, then reset the GPU or restart the machine. The worker's other metrics continue.",
		Docs: "gpus.md#lost-hung-and-faulty-gpus",
	}
	gpuMissing = &Finding{
		ID: "gpu_missing", Severity: wire.FindingError, Hop: wire.HopWorkerPage, After: byWorker, Partial: true,
		What: "GPU {gpu} of worker {worker} is missing",
		Do:   "Look at the kernel's log for the GPU's address. A GPU that fell off its bus comes back after a restart of the machine, or not at all: then it is broken.",
		Docs: "gpus.md#lost-hung-and-faulty-gpus",
	}
	gpuAction = &Finding{
		ID: "gpu_action", Severity: wire.FindingWarning, Hop: wire.HopWorkerPage, After: byWorker,
		What: "GPU {gpu} of worker {worker} needs an operator: {action}",
		Do:   "Do that when its models can do without the GPU: until then they may fail, or run slower.",
		Docs: "gpus.md#lost-hung-and-faulty-gpus",
	}
	workerPageFindings = []*Finding{workerPageFailed, workerPageSlow, collectorFailed, gpuDriverHung, gpuMissing, gpuAction}
)

// dockerCollector is the collector that asks the container daemon.
const dockerCollector = "discovery_docker"

// actionWords says what a recommended action of gpustack:gpu_recommended_action asks for.
func actionWords(action string) string {
	words, ok := map[string]string{
		"restart_app": "restart the engine that uses it",
		"reset":       "stop the engine that uses it, and reset the GPU",
		"drain":       "let the engine that uses it finish, then reset the GPU",
		"reboot":      "reboot the machine",
		"replace":     "have the GPU replaced or repaired",
	}[action]
	if !ok {
		return action
	}
	return words + " (" + action + ")"
}

func lookWorkerPage(v *view, w *way) hop {
	me, subject := w.worker, ofWorker(w.worker)
	c, asked := v.Checks[me.ID]
	var h hop
	switch {
	case !v.reports(me):
		return unknownHop("The worker does not report")
	case !asked:
		h = unknownHop("The worker was not asked for its page")
		if s, ok := v.scrape(me); ok && s.Up {
			h = okHop("Prometheus got it")
		}
	case c.NotAnswered != "":
		h = unknownHop("%s", c.NotAnswered)
	case c.PageError != "":
		h = hop{seen: c.PageError}.took(c.PageSeconds)
		h.hit(workerPageFailed, subject, c.PageError, "worker", me.Name)
	default:
		h = okHop("It has %s (%s)", series(c.PageSeries), bytesText(c.PageBytes)).took(c.PageSeconds)
		timeout := v.timeout(me)
		if c.PageSeconds > 0.75*timeout.Seconds() && !v.slowEngine(me) {
			h.hit(workerPageSlow, subject, fmt.Sprintf("It took %.1f s now", c.PageSeconds), "worker", me.Name, "time", fmt.Sprintf("%.1f s", c.PageSeconds), "timeout", timeout.String())
		}
	}
	if w.instance == nil && w.metric == "" || w.instance == nil && strings.HasPrefix(w.metric, catalog.Prefix+"gpu_") {
		v.lookCollectors(&h, me)
		v.lookGPUs(&h, me)
	}
	return h
}

func series(n int) string { return fmt.Sprintf("%d series", n) }

// timeout is that of the worker's scrapes.
func (v *view) timeout(w *fleet.Worker) time.Duration {
	s, _ := v.scrape(w)
	return cmp.Or(s.Timeout, scrapeTimeout)
}

// slowEngine reports whether an engine of the worker does not answer, which alone makes its page slow.
func (v *view) slowEngine(w *fleet.Worker) bool {
	for i := range v.Snapshot.Instances {
		if in := &v.Snapshot.Instances[i]; in.WorkerID == w.ID && v.failureOf(in).reason == reasonTimeout {
			return true
		}
	}
	return false
}

func (v *view) lookCollectors(h *hop, w *fleet.Worker) {
	zero := v.zero[key{worker: w.ID}]
	hung := named(zero, catalog.GPUDriverResponsive.WireName())
	for _, s := range hung {
		h.hit(gpuDriverHung, ofWorker(w), "gpustack:gpu_driver_responsive is 0", "worker", w.Name, "vendor", s.Labels[catalog.LabelVendor])
	}
	for _, s := range named(zero, catalog.CollectorSuccess.WireName()) {
		collector := s.Labels["collector"]
		vendor := strings.TrimPrefix(collector, "gpu_")
		if slices.ContainsFunc(hung, func(s Sample) bool { return s.Labels[catalog.LabelVendor] == vendor }) {
			continue // its driver hangs
		}
		if collector == dockerCollector && v.lacks(w, access.ContainerRuntime) {
			continue // that says what to grant
		}
		h.hit(collectorFailed, ofWorker(w), fmt.Sprintf("gpustack:collector_success{collector=%q} is 0", collector), "worker", w.Name, "collector", collector)
	}
}

func (v *view) lookGPUs(h *hop, w *fleet.Worker) {
	for i := range v.Snapshot.GPUs {
		g := &v.Snapshot.GPUs[i]
		if g.WorkerID != w.ID {
			continue
		}
		gpu := fmt.Sprintf("%s %d", cmp.Or(g.Name, g.Vendor), g.Index)
		switch {
		case g.State == fleet.GPUMissing:
			h.hit(gpuMissing, ofWorker(w), cmp.Or(g.StateMessage, "It is expected and cannot be read"), "worker", w.Name, "gpu", gpu)
		case g.State == fleet.GPUPresent && g.Action != "" && g.Action != "none":
			h.hit(gpuAction, ofWorker(w), cmp.Or(g.ActionReason, "The GPU recommends it"), "worker", w.Name, "gpu", gpu, "action", actionWords(g.Action))
		}
	}
}
