package translate

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// Bounds of what Explain reports. It omits native metrics beyond them.
const (
	MaxNatives  = 10_000
	maxOutcomes = 50_000
)

// NativeReport says what became of a native metric.
type NativeReport struct {
	Name string `json:"name"`
	// Type is what the page declares; empty if it declares none.
	Type    string `json:"type,omitempty"`
	Samples int    `json:"samples"`
	// Unreadable is the number of a mapped metric's samples that cannot be read.
	Unreadable int `json:"unreadable,omitempty"`
	// Outcomes are the unified metrics that the mapping makes of it; none if it is unmapped.
	Outcomes []Outcome `json:"outcomes,omitempty"`
	// Why is the reason why there is no outcome, or why some of the samples have none.
	Why string `json:"why,omitempty"`
}

// Outcome is what a native metric contributes to a unified one.
type Outcome struct {
	Family string `json:"family"`
	// Samples is the number of the unified metric's samples that came from the native one.
	Samples int `json:"samples"`
	// Why is the reason why there is none, or why some of the native samples are in others of them.
	Why string `json:"why,omitempty"`
}

// unmapped is the reason why a native metric has no outcome.
const unmapped = "unmapped: the mapping does not name it for this version"

// Explain reports what becomes of each native metric of a page, in the order of the page. It compares what Translate makes of
// the whole page with what it makes of each native metric alone. It is slow and meant for authors of mappings.
func Explain(page []byte, f Format, plan *mapping.Plan) []NativeReport {
	e := explanation{result: Result{showsAll: true}, plan: plan, format: f, metrics: splitMetrics(page, f, plan)}
	outcomes := 0
	for i := range e.metrics {
		e.translateAlone(&e.metrics[i])
		if outcomes += len(e.metrics[i].contributions); outcomes > maxOutcomes {
			e.metrics = e.metrics[:i]
			break
		}
	}
	whole := new(Result)
	whole.Translate(page, f, plan, nil)
	e.shown = whole.shown
	e.assignSamples(whole)
	reports := make([]NativeReport, len(e.metrics))
	for i := range e.metrics {
		reports[i] = e.report(&e.metrics[i])
	}
	return reports
}

// Work returns for how many pairs of a sample and a target Translate must do work. A server that accepts both page and mapping
// from others should bound it: each of them may be small and the product large.
func Work(page []byte, f Format, plan *mapping.Plan) int {
	work := 0
	for lines := exposition.NewScanner(page, f); lines.Scan(); {
		if lines.Kind() != exposition.SampleLine {
			continue
		}
		name := lines.Name()
		work += 1 + len(plan.Lookup(name))
		for _, suffix := range suffixes {
			if family, ok := bytes.CutSuffix(name, suffix); ok && len(suffix) > 0 {
				work += len(plan.Lookup(family))
			}
		}
	}
	return work
}

// An explanation is the state of a call of Explain.
type explanation struct {
	plan    *mapping.Plan
	format  Format
	metrics []nativeMetric
	result  Result // of one native metric after the other
	page    []byte // of one native metric alone
	shown   uint64 // Result.shown of the whole page
}

// A nativeMetric is a native metric of a page.
type nativeMetric struct {
	name, typ     string
	samples       int
	names         []string // of its samples, each once
	lines         []byte   // of its samples
	targets       []mapping.Target
	stats         Stats // of the metric alone
	contributions []contribution
}

// A contribution is what a native metric contributes to a unified one that it is mapped to.
type contribution struct {
	family   int
	ranks    []int  // of the native metric's targets for this family
	named    bool   // the mapping names the native metric or one of its samples
	alone    int    // samples that the native metric makes alone
	repeated int    // native samples that are replicas of others
	samples  int    // samples that it makes on the page
	takenBy  string // the native metric that is used instead
}

// splitMetrics splits a page into its native metrics, with their types and samples.
func splitMetrics(page []byte, f Format, plan *mapping.Plan) []nativeMetric {
	types := map[string]string{}
	for lines := exposition.NewScanner(page, f); lines.Scan(); {
		if lines.Kind() == exposition.TypeLine && len(types) < MaxNatives {
			types[string(lines.Name())] = string(lines.Text())
		}
	}
	var natives []nativeMetric
	index := map[string]int{}
	for lines := exposition.NewScanner(page, f); lines.Scan(); {
		kind := lines.Kind()
		if kind != exposition.TypeLine && kind != exposition.SampleLine {
			continue
		}
		name := string(lines.Name())
		if kind == exposition.SampleLine {
			name = familyOf(name, types, plan)
		}
		i, known := index[name]
		if !known {
			if len(natives) == MaxNatives {
				continue
			}
			i = len(natives)
			index[name] = i
			natives = append(natives, nativeMetric{name: name, typ: types[name]})
		}
		if kind == exposition.SampleLine {
			n := &natives[i]
			n.samples++
			if sample := lines.Name(); !slices.ContainsFunc(n.names, func(name string) bool { return name == string(sample) }) {
				n.names = append(n.names, string(sample))
			}
			n.lines = append(append(n.lines, lines.Line()...), '\n')
		}
	}
	return natives
}

// familyOf returns the native metric that a sample belongs to: the one that the page declares, else the one that the mapping
// names.
func familyOf(sample string, types map[string]string, plan *mapping.Plan) string {
	if _, declared := types[sample]; declared {
		return sample
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count", "_total", "_created", "_info", "_gsum", "_gcount"} {
		family, ok := strings.CutSuffix(sample, suffix)
		if !ok || family == "" {
			continue
		}
		if typ, declared := types[family]; declared && hasSuffix(typ, suffix) {
			return family
		}
	}
	if plan.Lookup([]byte(sample)) == nil {
		if family := part(sample); family != "" && plan.Lookup([]byte(family)) != nil {
			return family
		}
	}
	return sample
}

// hasSuffix reports whether metrics of a type have samples with the suffix.
func hasSuffix(typ, suffix string) bool {
	switch suffix {
	case "_total":
		return typ == "counter"
	case "_created":
		return typ == "counter" || typ == "histogram" || typ == "summary"
	case "_info":
		return typ == "info"
	case "_bucket":
		return typ == "histogram" || typ == "gaugehistogram"
	case "_gsum", "_gcount":
		return typ == "gaugehistogram"
	}
	return typ == "histogram" || typ == "summary"
}

// part returns the histogram or summary that a sample belongs to by its name, "" if its name has no suffix of theirs.
func part(sample string) string {
	for _, suffix := range suffixes {
		if family, ok := strings.CutSuffix(sample, string(suffix)); ok && len(suffix) > 0 {
			return family
		}
	}
	return ""
}

// translateAlone translates a page that has only one native metric.
func (e *explanation) translateAlone(n *nativeMetric) {
	e.addTargets(n, n.name, true)
	for _, sample := range n.names {
		if sample != n.name {
			e.addTargets(n, sample, true) // a mapping may name a part of a histogram
		}
	}
	e.addTargets(n, part(n.name), false) // a metric of its own may have the name of another one's part
	if len(n.targets) == 0 {
		return
	}
	e.page = e.page[:0]
	if n.typ != "" {
		e.page = fmt.Appendf(e.page, "# TYPE %s %s\n", n.name, n.typ)
	}
	e.page = append(e.page, n.lines...)
	n.lines = nil
	n.stats = e.result.Translate(e.page, e.format, e.plan, nil)
	for i := range n.contributions {
		f := &n.contributions[i]
		f.alone, f.repeated = e.result.buffers[f.family].samples, e.result.buffers[f.family].repeated
	}
}

// addTargets adds the targets of a name in the mapping to those of a native metric.
func (e *explanation) addTargets(n *nativeMetric, name string, named bool) {
	for _, t := range e.plan.Lookup([]byte(name)) {
		n.targets = append(n.targets, t)
		at := slices.IndexFunc(n.contributions, func(f contribution) bool { return f.family == t.Family })
		if at < 0 {
			n.contributions = append(n.contributions, contribution{family: t.Family, ranks: []int{t.Rank}, named: named})
			continue
		}
		n.contributions[at].ranks = append(n.contributions[at].ranks, t.Rank)
	}
}

// assignSamples finds the native metrics that made the samples of each unified one.
func (e *explanation) assignSamples(whole *Result) {
	type source struct{ family, rank int }
	left := map[source]int{} // samples that are not assigned yet
	best := map[int]string{} // the native metric that comes first, by family
	for family := range whole.buffers {
		b := &whole.buffers[family]
		if b.samples == 0 {
			continue
		}
		left[source{family, b.rank}] = b.samples
		for _, p := range b.natives.parts {
			left[source{family, p.rank}] = p.samples
		}
	}
	for i := range e.metrics {
		n := &e.metrics[i]
		for k := range n.contributions {
			f := &n.contributions[k]
			if f.alone == 0 {
				continue
			}
			for _, rank := range f.ranks {
				from := source{f.family, rank}
				samples := min(f.alone-f.samples, left[from])
				f.samples += samples
				left[from] -= samples
				if b := &whole.buffers[f.family]; samples > 0 && rank == b.rank {
					best[f.family] = n.name
				}
			}
		}
	}
	for i := range e.metrics {
		n := &e.metrics[i]
		for k := range n.contributions {
			if f := &n.contributions[k]; f.alone > 0 && best[f.family] != n.name {
				f.takenBy = best[f.family]
			}
		}
	}
}

func (e *explanation) report(n *nativeMetric) NativeReport {
	r := NativeReport{Name: n.name, Type: n.typ, Samples: n.samples, Unreadable: n.stats.ParseErrors}
	for i := range n.contributions {
		f := &n.contributions[i]
		if !f.named && f.alone == 0 {
			continue
		}
		o := Outcome{Family: e.plan.Families()[f.family].WireName, Samples: f.samples}
		switch {
		case f.samples == 0:
			o.Why = e.why(n, f)
		case f.repeated > 0:
			o.Why = fmt.Sprintf("%d of its samples are replicas of the others: max_over %s", f.repeated, strings.Join(maxOver(n.targets, f.family), ", "))
		}
		r.Outcomes = append(r.Outcomes, o)
	}
	switch {
	case len(r.Outcomes) == 0:
		r.Why = unmapped
	case n.stats.Unselected > 0 && slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return o.Samples > 0 }):
		r.Why = fmt.Sprintf("no target takes %d of its samples", n.stats.Unselected)
		if why := keysOf(n.targets, -1); why != "" {
			r.Why += ": see " + why
		}
	}
	return r
}

// why returns the reason why a native metric made no sample of a unified one that it is mapped to.
func (e *explanation) why(n *nativeMetric, f *contribution) string {
	switch {
	case n.samples == 0:
		return "the page has no sample of it"
	case slices.ContainsFunc(n.targets, func(t mapping.Target) bool { return t.Family == f.family && t.ShownBy != 0 && t.ShownBy&e.shown == 0 }):
		return "the engine's version is unknown, and the page has no metric of since.shown_by"
	case f.takenBy != "":
		return fmt.Sprintf("another native metric, %s, comes first in the mapping", f.takenBy)
	case f.alone > 0:
		return "its series came earlier on the page, or the page is over a limit"
	case n.stats.ParseErrors > 0 && n.stats.ParseErrors == n.stats.Lines:
		_, reason, _ := strings.Cut(n.stats.FirstError, ": ") // without the line number, which is that in the page of one metric
		return "lines that cannot be read: " + reason
	}
	if why := e.otherType(n, f.family); why != "" {
		return why
	}
	if why := whyUnselected(n.targets, f.family); why != "" {
		return why
	}
	return fmt.Sprintf("none of its samples is one that the mapping's %s takes", e.plan.Families()[f.family].Type)
}

// otherType says how the page's type differs from the one that the mapping needs, "" if the difference is no reason.
func (e *explanation) otherType(n *nativeMetric, family int) string {
	single := n.typ == "counter" || n.typ == "gauge"
	if !single && n.typ != "histogram" && n.typ != "summary" {
		return ""
	}
	for _, t := range n.targets {
		if t.Family != family || t.As == mapping.AsDeclared {
			continue
		}
		if single {
			return fmt.Sprintf("the page declares a %s, the mapping takes the sum or count of a histogram or summary", n.typ)
		}
		return ""
	}
	want := e.plan.Families()[family].Type
	if string(want) == n.typ || single && (want == catalog.Counter || want == catalog.Gauge) {
		return ""
	}
	return fmt.Sprintf("the page declares a %s, the mapping a %s", n.typ, want)
}

// maxOver returns the labels of max_over of a family's targets.
func maxOver(targets []mapping.Target, family int) []string {
	for _, t := range targets {
		if t.Family == family && t.Change != nil && len(t.Change.MaxOver) > 0 {
			return t.Change.MaxOver
		}
	}
	return nil
}

// whyUnselected says which keys of the mapping kept the targets of a family from taking a sample, "" if there are none.
func whyUnselected(targets []mapping.Target, family int) string {
	if keys := keysOf(targets, family); keys != "" {
		return "no sample passes " + keys
	}
	return ""
}

// keysOf names the keys that select samples of a family's targets, or of all for a family below 0.
func keysOf(targets []mapping.Target, family int) string {
	var keys []string
	for _, t := range targets {
		if family >= 0 && t.Family != family || t.Change == nil {
			continue
		}
		for _, key := range []struct {
			name string
			set  bool
		}{
			{"match", len(t.Change.Match) > 0},
			{"ignore", len(t.Change.Ignore) > 0},
			{"value_from", len(t.Change.ValueFrom) > 0},
		} {
			if key.set && !slices.Contains(keys, key.name) {
				keys = append(keys, key.name)
			}
		}
	}
	return strings.Join(keys, " and ")
}
