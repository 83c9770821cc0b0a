package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

// applyTime is how long a worker may take to apply a generation.
const applyTime = time.Minute

// byPage are the hops that explain why there is nothing to map.
var byPage = []string{wire.HopWorker, wire.HopEndpoint, wire.HopPage}

var (
	mappingUnmapped = &Finding{
		ID: "mapping_unmapped", Severity: wire.FindingError, Hop: wire.HopMapping, After: byPage,
		What: "the mapping uses nothing of the page of {runtime} {version}",
		Do:   "Correct runtime= or version= if they are wrong. If the names are new, map them: stackscope mapping unmapped {instance} lists them, and a document with extends: default adds to the built-in mapping.",
		Docs: "mapping.md",
	}
	mappingBehind = &Finding{
		ID: "mapping_behind", Severity: wire.FindingWarning, Hop: wire.HopMapping, After: byWorker,
		What: "worker {worker} applies generation {applied} of the mapping, and {active} is active",
		Do:   "It gets the new one when its watch stream is open again; until then it translates by the old one.",
		Docs: "mapping.md#read-and-change-it",
	}
	mappingRefused = &Finding{
		ID: "mapping_refused", Severity: wire.FindingError, Hop: wire.HopMapping, After: byWorker,
		What: "worker {worker} does not apply generation {active} of the mapping and stays with {applied}",
		Do:   "The worker's log says why. An older worker refuses what it does not know: update it, or restore a generation that it takes.",
		Docs: "mapping.md#read-and-change-it",
	}
	metricNoNative = &Finding{
		ID: "metric_no_native", Severity: wire.FindingError, Hop: wire.HopMapping, After: byPage,
		What: "the mapping has no native metric of {runtime} {version} for {metric}",
		Do:   "Engines differ in what they measure; the table of engines says which has what. If the engine's page has it, add it to the mapping with extends: default.",
		Docs: "engines.md#which-engine-has-what",
	}
	metricRemoved = &Finding{
		ID: "metric_removed", Severity: wire.FindingError, Hop: wire.HopMapping, After: byPage,
		What: "the active mapping takes {metric} away from {runtime} {version}; the built-in mapping has it",
		Do:   "stackscope mapping history says which change did that. To go back to generation N, run: stackscope mapping restore N. A document with extends: default keeps what it does not name.",
		Docs: "mapping.md#read-and-change-it",
	}
	mappingRemoves = &Finding{
		ID: "mapping_removes", Severity: wire.FindingInfo, Hop: wire.HopMapping,
		What: "the active mapping takes {n} unified metrics away that the built-in mapping has for the engines of this fleet",
		Do:   "Nothing, if that is meant. To see what is missing, run: stackscope mapping diff @default @active. To go back, choose a generation of stackscope mapping history, and run: stackscope mapping restore N. A document with extends: default keeps what it does not name.",
		Docs: "mapping.md#read-and-change-it",
	}
	metricNotOnPage = &Finding{
		ID: "metric_not_on_page", Severity: wire.FindingError, Hop: wire.HopMapping, After: byPage,
		What: "the engine's page has none of the native metrics of {metric}",
		Do:   "Some metrics come with the first request of their kind, or with a flag of the engine, or in another version of it.",
		Docs: "engines.md#which-engine-has-what",
	}
	metricExcluded = &Finding{
		ID: "metric_excluded", Severity: wire.FindingError, Hop: wire.HopMapping, After: byPage,
		What: "the page has a native metric of {metric}, and the mapping takes none of its samples",
		Do:   "Compare the options of the mapping's target (match, since, until, ignore) with the labels and values of the page: stackscope mapping translate shows both.",
		Docs: "mapping.md#target-options",
	}
	metricOtherRole = &Finding{
		ID: "metric_other_role", Severity: wire.FindingInfo, Hop: wire.HopMapping, After: byPage,
		What: "only instances of the role {role} have {metric}",
		Do:   "Nothing: where prefill and decode are separate, some metrics exist on one side. Ask for an instance of that role.",
		Docs: "prefill-decode.md#a-request-counts-once",
	}
	seriesLeftOut = &Finding{
		ID: "series_left_out", Severity: wire.FindingWarning, Hop: wire.HopMapping, After: byPage,
		What: "new series of {metric} are left out, because the engine makes more than the worker lets through",
		Do:   "Look which label changes so often, and drop it with keep or drop in the mapping, or raise --max-new-series-per-engine.",
		Docs: "engines.md#bounds",
	}
	samplesDropped = &Finding{
		ID: "samples_dropped", Severity: wire.FindingWarning, Hop: wire.HopMapping, After: byPage,
		What: "samples of the engine's page are dropped: {reason}",
		Do:   "series_limit: the page has more series than the limit, so look which label has so many values. memory: the pages of all engines need more memory than the worker may use.",
		Docs: "engines.md#bounds",
	}
	mappingFindings = []*Finding{
		mappingUnmapped, mappingBehind, mappingRefused, mappingRemoves, metricRemoved, metricNoNative, metricNotOnPage, metricExcluded, metricOtherRole, seriesLeftOut, samplesDropped,
	}
)

// nativeBeginnings are those of the native metrics that the mapping has for an engine.
func (v *view) nativeBeginnings(runtime, version string) map[string]bool {
	out := make(map[string]bool)
	if v.Mapping.Compiled == nil {
		return out
	}
	for _, n := range v.Mapping.Compiled.Plan(runtime, version).Natives() {
		out[beginning(n)] = true
	}
	return out
}

// nativesOf returns the native metrics that a mapping has for a unified one; none if c is nil.
func nativesOf(c *mapping.Compiled, runtime, version, metric string) (natives []string) {
	plan := c.Plan(runtime, version)
	for i, f := range c.Families() {
		if f.WireName != metric {
			continue
		}
		for _, n := range plan.Natives() {
			for _, t := range plan.Lookup([]byte(n)) {
				if t.Family == i && !slices.Contains(natives, n) {
					natives = append(natives, n)
				}
			}
		}
	}
	return natives
}

func lookMapping(v *view, w *way) hop {
	in, subject := w.instance, ofInstance(w.instance)
	page, read := v.page(in)
	runtime, version := cmp.Or(page.Runtime, in.Runtime, fleet.Unknown), cmp.Or(page.RuntimeVersion, in.RuntimeVersion, fleet.Unknown)
	f := v.failureOf(in)
	var h hop
	switch {
	case !v.reports(w.worker):
		return unknownHop("The worker does not report")
	case f.reason == reasonUnmapped:
		seen := f.text
		if why := v.whyNothing(runtime, version); why != "" {
			seen = why
		} else if read {
			seen = "The page has metrics such as " + examples(page.Metrics)
		}
		h = hop{seen: seen}
		h.hit(mappingUnmapped, subject, seen, "runtime", runtime, "version", version, "instance", in.Name)
	case f.reason != "" || in.State != fleet.InstanceRunning:
		return unknownHop("There is no page to map")
	case read && page.Coverage != nil:
		h = okHop("The page feeds %d of the %d unified metrics that count", page.Coverage.Families, page.Coverage.Of)
	case !read && v.Pages[in.ID].NotRead != "":
		h = unknownHop("The page was not read")
	default:
		h = okHop("The mapping uses metrics of the page")
	}
	v.lookGeneration(&h, w)
	if h.state != wire.HopBroken && f.reason == "" && w.metric != "" {
		found := len(h.hits)
		v.lookMetric(&h, w, runtime, version)
		if len(h.hits) > found {
			h.seen += "; " + w.metric + " is not among them"
		}
	}
	for _, s := range v.leftOut[w.key()] {
		h.hit(seriesLeftOut, subject, fmt.Sprintf("gpustack:runtime_new_series_left_out_total rose by %.0f in the last hour", s.Value), "metric", cmp.Or(s.Labels["metric"], "the engine"))
	}
	for _, s := range v.dropped[w.key()] {
		h.hit(samplesDropped, subject, fmt.Sprintf("gpustack:runtime_dropped_samples_total rose by %.0f in the last hour", s.Value), "reason", s.Labels["reason"])
	}
	return h
}

func (v *view) whyNothing(runtime, version string) string {
	if v.Mapping.Compiled == nil {
		return ""
	}
	return v.Mapping.Compiled.Missing(runtime, strings.TrimSuffix(version, fleet.Unknown))
}

func (v *view) lookGeneration(h *hop, w *way) {
	active, applied := v.Mapping.Generation, w.worker.AppliedGeneration
	if v.Mapping.Compiled == nil || applied == active {
		return
	}
	values := []string{"worker", w.worker.Name, "applied", number(float64(applied)), "active", number(float64(active))}
	seen := fmt.Sprintf("It said in its last report that it applies generation %d", applied)
	age := v.Now.Sub(v.Mapping.At)
	switch {
	case v.Connected[w.worker.ID] && (v.Mapping.At.IsZero() || age > applyTime):
		h.hit(mappingRefused, ofWorker(w.worker), seen+"; its watch stream is open", values...)
	default:
		h.hit(mappingBehind, ofWorker(w.worker), seen, values...)
	}
}

// lookMetric looks whether the page has the metric that was asked for.
func (v *view) lookMetric(h *hop, w *way, runtime, version string) {
	in, subject := w.instance, ofInstance(w.instance)
	if !ofEngines(v, w.metric) {
		return
	}
	values := []string{"metric", w.metric, "runtime", runtime, "version", version}
	known := strings.TrimSuffix(version, fleet.Unknown)
	natives := nativesOf(v.Mapping.Compiled, runtime, known, w.metric)
	page, read := v.page(in)
	has := read && hasSamples(page.Unified, w.metric)
	if has || !read && len(v.metric[w.key()]) > 0 {
		h.seen += "; " + w.metric + " is among them"
		return
	}
	if role := v.otherRole(w); role != "" {
		h.state = wire.HopWarning
		h.hit(metricOtherRole, subject, "Prometheus has it of such instances", append(values, "role", role)...)
		return
	}
	if len(natives) == 0 {
		if before := nativesOf(v.Mapping.Builtin, runtime, known, w.metric); len(before) > 0 {
			h.hit(metricRemoved, subject, fmt.Sprintf("Generation %d has no native metric for it; the built-in mapping takes it from %s", v.Mapping.Generation, listed(before)), values...)
			return
		}
	}
	others := v.Subject.Kind != wire.DoctorInstance && len(v.metric) > 0 // the metric exists, and this one need not have it
	if len(natives) == 0 {
		found := h.hit(metricNoNative, subject, fmt.Sprintf("No entry of runtime %s for version %s leads to it", runtime, version), values...)
		if others {
			found.severity, h.state = wire.FindingInfo, wire.HopWarning
		}
		return
	}
	if !read || page.UnifiedCut {
		h.state = wire.HopUnknown
		h.seen += "; whether " + w.metric + " is among them is not known"
		return
	}
	for _, m := range page.Metrics {
		for _, o := range m.Outcomes {
			if (o.Family == w.metric || o.Family == strings.TrimSuffix(w.metric, "_total")) && o.Samples == 0 {
				h.hit(metricExcluded, subject, m.Name+": "+cmp.Or(o.Why, m.Why, "no sample of it is taken"), values...)
				return
			}
		}
		if m.Samples > 0 && slices.Contains(natives, m.Name) {
			h.hit(metricExcluded, subject, m.Name+": "+cmp.Or(m.Why, "no sample of it is taken"), values...)
			return
		}
	}
	found := h.hit(metricNotOnPage, subject, "It would come from "+listed(natives), values...)
	if others {
		found.severity, h.state = wire.FindingInfo, wire.HopWarning
	}
}

// lookRemoved looks whether the active mapping has less than the built-in one for the engines that there are.
func (v *view) lookRemoved() (hits []hit) {
	if v.Mapping.Builtin == nil || v.Mapping.Compiled == nil {
		return nil
	}
	runtimes := map[string]bool{}
	for i := range v.Snapshot.Instances {
		runtimes[strings.ToLower(v.Snapshot.Instances[i].Runtime)] = true
	}
	var gone []string
	for _, m := range mapping.Vanishing(v.Mapping.Builtin, v.Mapping.Compiled) {
		if slices.ContainsFunc(m.Runtimes, func(r string) bool { return runtimes[strings.ToLower(r)] }) {
			gone = append(gone, m.Metric)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return []hit{{of: mappingRemoves, subject: ofFleet, values: []string{"n", strconv.Itoa(len(gone))}, seen: fmt.Sprintf("Generation %d lacks %s", v.Mapping.Generation, listed(gone))}}
}

// otherRole returns the roles of the instances that have the metric, if this one has another.
func (v *view) otherRole(w *way) string {
	var roles []string
	for k, samples := range v.metric {
		other := instance(v.Snapshot, k.instance)
		if other == nil || other.ModelID != w.instance.ModelID || other.Role == w.instance.Role || other.Role == "" {
			if other != nil && other.ModelID == w.instance.ModelID && other.Role == w.instance.Role {
				return "" // another one of its own role has it
			}
			continue
		}
		if len(samples) > 0 && !slices.Contains(roles, string(other.Role)) {
			roles = append(roles, string(other.Role))
		}
	}
	slices.Sort(roles)
	return strings.Join(roles, " and ")
}

// ofEngines reports whether a metric comes from engines, by the mapping or by the catalog.
func ofEngines(v *view, metric string) bool {
	if v.Mapping.Compiled != nil {
		for _, f := range v.Mapping.Compiled.Families() {
			if f.WireName == metric {
				return true
			}
		}
	}
	for _, list := range [][]catalog.Metric{catalog.Runtime, catalog.RuntimeNewer, catalog.RuntimeOwn, catalog.Gateway} {
		for _, m := range list {
			if m.WireName() == metric {
				return true
			}
		}
	}
	return false
}

// hasSamples reports whether a page in text format has samples of a metric.
func hasSamples(page, metric string) bool {
	for line := range strings.Lines(page) {
		rest, ok := strings.CutPrefix(line, metric)
		if !ok {
			continue
		}
		for _, suffix := range []string{"", "_count"} {
			if after, ok := strings.CutPrefix(rest, suffix); ok && after != "" && (after[0] == '{' || after[0] == ' ') {
				return true
			}
		}
	}
	return false
}
