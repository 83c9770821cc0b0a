package doctor

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// byEndpoint are the hops that explain why there is no page.
var byEndpoint = []string{wire.HopWorker, wire.HopEndpoint}

var (
	engineNotMetrics = &Finding{
		ID: "engine_not_metrics", Severity: wire.FindingError, Hop: wire.HopPage, After: byEndpoint,
		What: "{url} answers, but not with a metrics page",
		Do:   "Look whether the URL is the engine's, and not that of its web page, of a login or of a proxy. Some engines have the metrics at another path: add path= to --engine.",
		Docs: noMetricsDocs,
	}
	enginePageTooLarge = &Finding{
		ID: "engine_page_too_large", Severity: wire.FindingError, Hop: wire.HopPage, After: byEndpoint,
		What: "the engine's page is larger than the worker reads",
		Do:   "Look which metric has so many series: curl {url} on the machine of {worker}. A label with a value for each request is usually the cause; turn it off in the engine. If it is no metrics page at all, correct the URL.",
		Docs: "engines.md#bounds",
	}
	engineEmptyPage = &Finding{
		ID: "engine_empty_page", Severity: wire.FindingError, Hop: wire.HopPage, After: byEndpoint,
		What: "the engine's metrics page is empty",
		Do:   "Turn the engine's metrics on; the table of engines says how.",
		Docs: noMetricsDocs,
	}
	engineNoOwn = &Finding{
		ID: "engine_no_engine_metrics", Severity: wire.FindingError, Hop: wire.HopPage, After: byEndpoint,
		What: "the page has no metrics of {runtime}, only others",
		Do:   "Turn the engine's metrics on; the table of engines says with which flag. If {runtime} is not what runs there, correct runtime= or the URL.",
		Docs: noMetricsDocs,
	}
	engineFirstRequest = &Finding{
		ID: "engine_waits_for_request", Severity: wire.FindingInfo, Hop: wire.HopPage, After: byEndpoint,
		What: "the engine has no metrics before its first request",
		Do:   "Send it a request.",
		Docs: noMetricsDocs,
	}
	engineUnreadable = &Finding{
		ID: "engine_page_unreadable", Severity: wire.FindingWarning, Hop: wire.HopPage, After: byEndpoint,
		What: "{n} samples of the engine's page cannot be read",
		Do:   "The other samples pass. Tell the engine's project: these lines break the text format of Prometheus.",
		Docs: "translation.md#all-outcomes",
	}
	engineStalled = &Finding{
		ID: "engine_stalled", Severity: wire.FindingError, Hop: wire.HopPage, After: byEndpoint, Passes: true,
		What: "the engine has work and makes no progress",
		Do:   "Read its log, and restart it if it hangs. Its metrics pass; they do not move.",
		Docs: "discovery.md#restarts-starts-stalls",
	}
	instanceNoModel = &Finding{
		ID: "instance_no_model", Severity: wire.FindingWarning, Hop: wire.HopPage, After: byEndpoint,
		What: "the model of the instance is not known, so its metrics have no model_name",
		Do:   "Give model= with --engine, or the label stackscope.model on the container. Dashboards of models list it then.",
		Docs: "discovery.md#names",
	}
	instanceName = &Finding{
		ID: "instance_name", Severity: wire.FindingInfo, Hop: wire.HopPage, After: byEndpoint,
		What: "the name of the instance or of its model is not the engine's own",
		Do:   "Give instance= or model= with --engine, or the engine's option for its model's name, if another name is wanted.",
		Docs: "discovery.md#names",
	}
	pageFindings = []*Finding{
		engineNotMetrics, enginePageTooLarge, engineEmptyPage, engineNoOwn, engineFirstRequest, engineUnreadable, engineStalled, instanceNoModel, instanceName,
	}
)

// lackOf returns what a page without unified metrics lacks, before the worker has told.
func (v *view) lackOf(in *fleet.Instance, p *Page) string {
	if len(p.Metrics) == 0 {
		return reasonEmpty
	}
	beginnings := v.nativeBeginnings(cmp.Or(p.Runtime, in.Runtime), cmp.Or(p.RuntimeVersion, in.RuntimeVersion))
	for _, m := range p.Metrics {
		if beginnings[beginning(m.Name)] {
			return reasonUnmapped
		}
	}
	if len(beginnings) == 0 { // the mapping has nothing for it
		return reasonUnmapped
	}
	return reasonNoOwn
}

// beginning is what tells an engine's metrics: vllm: of vllm:num_requests_running, tgi_ of tgi_queue_size.
func beginning(name string) string {
	if i := strings.IndexAny(name, ":_"); i >= 0 {
		return name[:i+1]
	}
	return name
}

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// hintOf returns what the worker's text says to do, as a sentence.
func hintOf(text string) string {
	if _, rest, ok := strings.Cut(text, "is the URL the engine's? "); ok && strings.Contains(text, "answered 404") {
		return strings.TrimSuffix(rest, ".") + "."
	}
	if _, rest, ok := strings.Cut(text, "which is not followed: "); ok && rest != "" {
		return upper(rest) + "."
	}
	for _, start := range []string{"its metrics page is empty: ", "its metrics page has no metrics of "} {
		_, rest, ok := strings.Cut(text, start)
		if !ok {
			continue
		}
		if strings.HasSuffix(start, "of ") {
			if _, rest, ok = strings.Cut(rest, ": "); !ok {
				return ""
			}
		}
		rest, _, _ = strings.Cut(rest, "; the model's name")
		switch {
		case rest == "", strings.HasSuffix(rest, "?"):
			return ""
		case strings.HasPrefix(rest, "start "), strings.HasPrefix(rest, "declare "), strings.HasPrefix(rest, "is "):
			rest = upper(rest)
		}
		return rest + "."
	}
	return ""
}

func lookPage(v *view, w *way) hop {
	if !v.reports(w.worker) {
		return unknownHop("The worker does not report")
	}
	in, subject := w.instance, ofInstance(w.instance)
	f := v.failureOf(in)
	page, read := v.page(in)
	url := cmp.Or(fleet.BareURL(page.URL), fleet.BareURL(in.URL), "the engine's address")
	runtime := cmp.Or(page.Runtime, in.Runtime, "a known engine")
	h := hop{seen: cmp.Or(f.text, "Its page has nothing that the mapping uses")}
	switch f.reason {
	case reasonNotMetrics:
		of := engineNotMetrics
		if strings.Contains(f.text, "a page of more than") {
			of = enginePageTooLarge
		}
		h.hit(of, subject, f.text, "url", url, "worker", w.worker.Name).first = hintOf(f.text)
		return h
	case reasonEmpty:
		h.hit(engineEmptyPage, subject, h.seen).first = hintOf(f.text)
		return h
	case reasonNoOwn:
		seen := f.text
		if seen == "" && read {
			seen = "The page has only metrics such as " + examples(page.Metrics)
		}
		h.seen = seen
		h.hit(engineNoOwn, subject, seen, "runtime", runtime).first = hintOf(f.text)
		return h
	case "", reasonUnmapped:
	default:
		return unknownHop("There is no page, because the engine cannot be read")
	}
	switch {
	case read && page.Coverage != nil:
		samples := 0
		for _, m := range page.Metrics {
			samples += m.Samples
		}
		h = okHop("It has %s of %s metrics (%s)", amount(samples, "sample"), amount(len(page.Metrics)+page.MetricsLeftOut, "native"), bytesText(page.Bytes))
		unreadable := 0
		for _, m := range page.Metrics {
			unreadable += m.Unreadable
		}
		if unreadable > 0 {
			h.hit(engineUnreadable, subject, "Of "+unreadableNames(page.Metrics), "n", number(float64(unreadable)))
		}
	case in.State != fleet.InstanceRunning:
		return unknownHop("The engine has not answered yet")
	case page.NotRead != "" || v.Pages[in.ID].NotRead != "":
		h = unknownHop("It was not read: %s", v.Pages[in.ID].NotRead)
	default:
		h = okHop("The worker finds metrics on it")
	}
	v.lookState(&h, w)
	return h
}

// lookState finds what the worker says of an instance whose page is in order.
func (v *view) lookState(h *hop, w *way) {
	in, subject := w.instance, ofInstance(w.instance)
	if in.State != fleet.InstanceRunning {
		return
	}
	stalled := len(named(v.one[key{in.WorkerID, in.ID}], catalog.InstanceStalled.WireName())) > 0
	if stalled || strings.Contains(in.StateMessage, "no token for") {
		h.hit(engineStalled, subject, cmp.Or(in.StateMessage, "gpustack:model_instance_stalled is 1"))
	}
	if strings.Contains(in.StateMessage, "with the first request") {
		h.hit(engineFirstRequest, subject, in.StateMessage)
	}
	switch names := strings.Contains(in.StateMessage, "the model's name") || strings.Contains(in.StateMessage, "it is shown as"); {
	case in.ModelID == 0 && in.StateMessage != "" && !names:
		h.hit(instanceNoModel, subject, in.StateMessage)
	case names:
		h.hit(instanceName, subject, in.StateMessage)
	}
}

func examples(metrics []wire.NativeReport) string {
	var names []string
	for _, m := range metrics {
		if len(names) == 3 {
			break
		}
		names = append(names, m.Name)
	}
	return strings.Join(names, ", ")
}

func unreadableNames(metrics []wire.NativeReport) string {
	var names []string
	for _, m := range metrics {
		if m.Unreadable > 0 {
			names = append(names, m.Name)
		}
	}
	return listed(names)
}

func amount(n int, of string) string {
	if n == 1 || of == "native" {
		return fmt.Sprintf("%d %s", n, of)
	}
	return fmt.Sprintf("%d %ss", n, of)
}

func bytesText(n int) string {
	if n < 10<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// ownSamples reads the worker's metrics about itself.
func ownSamples(page string) (out []Sample) {
	const most = 20_000
	var s exposition.Sample
	lines := exposition.NewScanner([]byte(page), exposition.Text)
	for lines.ScanAny() && len(out) < most {
		line := lines.Line()
		if len(line) == 0 || line[0] == '#' || s.Parse(line) != nil {
			continue
		}
		value, ok := exposition.ParseNumber(s.Value)
		if !ok {
			continue
		}
		sample := Sample{Labels: map[string]string{"__name__": string(s.Name)}, Value: value}
		for _, l := range s.Labels {
			sample.Labels[string(l.Name)] = string(exposition.Unescape(nil, l.Value))
		}
		out = append(out, sample)
	}
	return out
}
