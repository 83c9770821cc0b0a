package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

const (
	// staleAfter is how old the newest sample may be: PromQL answers with samples of the last five minutes, scrapes are 5 to 15 s apart.
	staleAfter = 90 * time.Second
	// storeTime is how long the first samples of a new worker or instance may take.
	storeTime = time.Minute
)

// beforeStorage are the hops that explain why nothing is stored.
var beforeStorage = []string{
	wire.HopWorker, wire.HopEndpoint, wire.HopPage, wire.HopMapping, wire.HopWorkerPage, wire.HopTarget, wire.HopScrape,
}

var (
	storageNothing = &Finding{
		ID: "storage_nothing", Severity: wire.FindingError, Hop: wire.HopStorage, After: beforeStorage,
		What: "{prometheus} has no samples of {what}",
		Do:   "If scrapes succeed, samples are dropped on the way: look at stackscope_prometheus_samples_refused_total, and at metric_relabel_configs, sample_limit and label_limit of a Prometheus of your own.",
		Docs: "observability.md#when-prometheus-has-a-problem",
	}
	storageStale = &Finding{
		ID: "storage_stale", Severity: wire.FindingError, Hop: wire.HopStorage, After: beforeStorage,
		What: "the newest sample of {what} is {time} old",
		Do:   "Something stopped then: look at the worker's and the server's log at that time, and whether the disk of Prometheus is full.",
		Docs: "observability.md#when-prometheus-has-a-problem",
	}
	storageSeriesLimit = &Finding{
		ID: "storage_series_limit", Severity: wire.FindingError, Hop: wire.HopStorage,
		What: "the embedded Prometheus has {n} series in memory and takes no new ones from {limit} on",
		Do:   "Look which engine has so many series (gpustack:runtime_series), and bound them; or give the server more memory, or raise --builtin-prometheus-max-series.",
		Docs: "observability.md#when-prometheus-has-a-problem",
	}
	metricNotStored = &Finding{
		ID: "metric_not_stored", Severity: wire.FindingError, Hop: wire.HopStorage, After: beforeStorage,
		What: "{metric} is on the worker's page, and {prometheus} does not have it of {what}",
		Do:   "Wait for the next scrape if it is new. Else samples are dropped on the way: look at stackscope_prometheus_samples_refused_total, and at metric_relabel_configs of a Prometheus of your own.",
		Docs: "observability.md#when-prometheus-has-a-problem",
	}
	metricAbsent = &Finding{
		ID: "metric_absent", Severity: wire.FindingWarning, Hop: wire.HopStorage, After: beforeStorage,
		What: "worker {worker} does not export {metric}",
		Do:   "What a machine or a GPU does not measure is absent; the tables of metrics say what each vendor has. If it should be there, look at gpustack:collector_success.",
		Docs: "gpus.md#what-each-vendor-reports",
	}
	modelRenamed = &Finding{
		ID: "model_renamed", Severity: wire.FindingInfo, Hop: wire.HopStorage,
		What: "the model of {instance} was called {old} in the last day, and is {new} now",
		Do:   "Choose {new} in the dashboards. Samples before the change keep the name {old}; an expression over both needs model_name=~\"{new}|{old}\".",
		Docs: "troubleshooting.md#a-model-that-was-renamed",
	}
	storageFindings = []*Finding{storageNothing, storageStale, storageSeriesLimit, metricNotStored, metricAbsent, modelRenamed}
)

func lookStorage(v *view, w *way) hop {
	switch {
	case v.Prometheus.Kind == PrometheusNone:
		return unknownHop("This server can ask no Prometheus: the embedded one is off, and --prometheus-url is not given")
	case !v.canQuery():
		return unknownHop("Prometheus cannot be asked: %s", cmp.Or(v.Prometheus.Err, v.Answers[queryStored].Err, "it was not asked"))
	}
	subject, what := ofWorker(w.worker), "worker "+w.worker.Name
	young := v.Now.Sub(w.worker.RegisteredAt) < storeTime
	if w.instance != nil {
		subject, what = ofInstance(w.instance), w.instance.Name
		young = young || v.Now.Sub(w.instance.Since) < storeTime && !w.instance.Since.IsZero() || w.instance.State != fleet.InstanceRunning
	}
	values := []string{"what", what, "prometheus", v.prometheusName(), "metric", w.metric, "worker", w.worker.Name}
	took := v.Answers[queryStored].Seconds()
	at, ok := v.stored[w.key()]
	if !ok {
		at, ok = v.ever[w.key()]
	}
	var h hop
	switch {
	case !ok && young:
		h = hop{state: wire.HopUnknown, seen: "There are no samples yet"}
	case !ok:
		h = hop{seen: "There are no samples"}
		h.hit(storageNothing, subject, "None was found at present"+within(v), values...)
	case v.clock().Sub(unixTime(at)) > staleAfter:
		age := v.clock().Sub(unixTime(at)).Round(time.Second)
		h = hop{seen: fmt.Sprintf("The newest sample was taken %s ago", age)}
		h.hit(storageStale, subject, "It was taken at "+unixTime(at).Format(time.RFC3339), append(values, "time", age.String())...)
	default:
		h = okHop("The newest sample was taken %s ago", max(0, v.clock().Sub(unixTime(at)).Round(100*time.Millisecond)))
		v.lookMetricStored(&h, w, subject, values)
	}
	h = h.took(took)
	v.lookSeriesLimit(&h)
	v.lookNames(&h, w)
	return h
}

func within(v *view) string {
	if _, asked := v.Answers[queryEver]; asked {
		return ", and none of the last day"
	}
	return ""
}

// lookMetricStored looks whether the metric that was asked for is stored.
func (v *view) lookMetricStored(h *hop, w *way, subject wire.DoctorSubject, values []string) {
	a, asked := v.Answers[queryMetric]
	if w.metric == "" || !asked {
		return
	}
	if a.Err != "" {
		h.seen += "; it did not answer for " + w.metric + ": " + a.Err
		return
	}
	if total := v.metricSeries(w); total > 0 {
		h.seen = fmt.Sprintf("It has %.0f series of %s; %s", total, w.metric, lower(h.seen))
		return
	}
	h.seen = "It has no series of " + w.metric + "; " + lower(h.seen)
	if w.instance == nil && ofEngines(v, w.metric) {
		return // the ways of its instances say more
	}
	if w.instance == nil || !ofEngines(v, w.metric) {
		h.hit(metricAbsent, subject, "There is no sample of it", values...)
		return
	}
	if page, read := v.page(w.instance); read && !hasSamples(page.Unified, w.metric) {
		return // the hop of the mapping says why
	}
	h.hit(metricNotStored, subject, "There is no sample of it", values...)
}

// metricSeries counts the series of the metric that was asked for.
func (v *view) metricSeries(w *way) (total float64) {
	for k, samples := range v.metric {
		if k == w.key() || w.instance == nil && k.worker == w.worker.ID {
			for _, s := range samples {
				total += s.Value
			}
		}
	}
	return total
}

func lower(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// lookSeriesLimit looks whether new series are refused.
func (v *view) lookSeriesLimit(h *hop) {
	var n, limit float64
	for _, s := range v.Answers[queryHead].Samples {
		switch s.Labels["__name__"] {
		case headSeries:
			n = s.Value
		case maxSeries:
			limit = s.Value
		}
	}
	if limit > 0 && n >= limit {
		h.hit(storageSeriesLimit, ofFleet, "prometheus_tsdb_head_series has reached stackscope_prometheus_max_series", "n", number(n), "limit", number(limit))
	}
}

// lookNames looks whether the instance's model had other names.
func (v *view) lookNames(h *hop, w *way) {
	if w.instance == nil {
		return
	}
	now := modelName(v.Snapshot, w.instance.ModelID)
	var old []string
	for _, s := range v.renamed[w.key()] {
		if name := s.Labels[catalog.LabelModelName]; name != "" && name != now && !slices.Contains(old, name) {
			old = append(old, name)
		}
	}
	if len(old) == 0 || now == "" {
		return
	}
	slices.Sort(old)
	found := h.hit(modelRenamed, ofInstance(w.instance), "Prometheus has samples of the last day with model_name "+listed(old), "instance", w.instance.Name, "old", listed(old), "new", now)
	if v.Subject.Kind == wire.DoctorModel && slices.Contains(old, v.Subject.Name) {
		found.severity = wire.FindingWarning
	}
}
