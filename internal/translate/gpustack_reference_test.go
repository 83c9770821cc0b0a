package translate_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/stackscope/stackscope/internal/enginepages"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

const (
	gpustackFolder = "testdata/gpustack/"
	exportedModel  = "exported_model_name"
)

// gpustackBase are the labels that GPUStack sets on every sample. They win over an engine's own label of the same name.
var gpustackBase = []string{"worker_id", "worker_name", "model_id", "model_name", "model_instance_id", "model_instance_name", "runtime", "role"}

// A gpustackReference does what GPUStack's aggregator does with one engine's page, in the simplest way. The rules are those of its
// runtime_metrics_aggregator.py and of prometheus_client's text parser, as of 2026-09.
type gpustackReference struct {
	types   map[string]string // of unified metrics, without the prefix
	natives map[string]bool   // runtime and native metric
	plan    *mapping.Compiled
}

var gpustackOwnNames = regexp.MustCompile(`^(vllm_router_|sgl_router_|smg_)|:`)

func newGPUStackReference(tb testing.TB) *gpustackReference {
	tb.Helper()
	data, err := os.ReadFile(gpustackFolder + "mapping.txt")
	if err != nil {
		tb.Fatal(err)
	}
	types, natives := map[string]string{}, map[string]bool{}
	runtimes := map[string]map[string]map[string]any{}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		runtime := fields[0]
		if runtime == "gauge" || runtime == "counter" || runtime == "histogram" {
			for _, name := range fields[1:] {
				types[name] = runtime
			}
			continue
		}
		if runtimes[runtime] == nil {
			runtimes[runtime] = map[string]map[string]any{}
		}
		versions := runtimes[runtime]
		if versions[fields[1]] == nil {
			versions[fields[1]] = map[string]any{}
		}
		for _, pair := range fields[2:] {
			native, unified, _ := strings.Cut(pair, "=")
			if runtime != "MindIE" && !gpustackOwnNames.MatchString(native) {
				native = strings.ToLower(runtime) + ":" + native
			}
			unified, scale, scaled := strings.Cut(unified, "*")
			var target any = "gpustack:" + unified
			if scaled {
				target = map[string]any{"name": target, "scale": json.Number(scale)}
			}
			versions[fields[1]][native] = target
			natives[runtime+" "+native] = true
		}
	}
	metrics := map[string]any{}
	for name, typ := range types {
		metrics["gpustack:"+name] = map[string]string{"type": typ}
	}
	text, err := json.Marshal(map[string]any{"gpustack_metrics": metrics, "runtime_mapping": runtimes})
	if err != nil {
		tb.Fatal(err)
	}
	document, err := mapping.Decode(text)
	if err != nil {
		tb.Fatal(err)
	}
	compiled, err := mapping.Compile(document)
	if err != nil {
		tb.Fatal(err)
	}
	return &gpustackReference{types: types, natives: natives, plan: compiled}
}

// A gpustackFamily is what prometheus_client's parser makes of a part of a page.
type gpustackFamily struct {
	name, typ string
	samples   []gpustackSample
}

type gpustackSample struct {
	name   string
	labels map[string]string
	value  float64
}

var gpustackSuffixes = map[string][]string{"summary": {"_count", "_sum", ""}, "histogram": {"_count", "_sum", "_bucket"}, "counter": {""}, "gauge": {""}}

// gpustackFamilies reads a page. A later family of a name takes the place of an earlier one.
func gpustackFamilies(tb testing.TB, page []byte) map[string]*gpustackFamily {
	tb.Helper()
	families := map[string]*gpustackFamily{}
	current := &gpustackFamily{}
	end := func() {
		if name, total := strings.CutSuffix(current.name, "_total"); total && current.typ == "counter" {
			current.name = name
		}
		if len(current.samples) > 0 {
			families[current.name] = current
		}
	}
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if words := strings.Fields(line); len(words) > 2 && words[0] == "#" && (words[1] == "TYPE" || words[1] == "HELP") {
			if words[2] != current.name {
				end()
				current = &gpustackFamily{name: words[2], typ: "untyped"}
			}
			if words[1] == "TYPE" && len(words) > 3 {
				current.typ = words[3]
			}
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		set, text, ok := refParse(line)
		if !ok {
			return nil
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			tb.Fatal(err)
		}
		s := gpustackSample{name: set.Get(model.MetricNameLabel), labels: map[string]string{}, value: value}
		set.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel && l.Value != "" {
				s.labels[l.Name] = l.Value
			}
		})
		suffixes := gpustackSuffixes[current.typ]
		if suffixes == nil {
			suffixes = []string{""}
		}
		if !slices.ContainsFunc(suffixes, func(suffix string) bool { return s.name == current.name+suffix }) {
			end()
			current = &gpustackFamily{name: s.name, typ: "untyped"}
		}
		current.samples = append(current.samples, s)
	}
	end()
	return families
}

// translate returns GPUStack's samples, "name{labels} value", sorted. The base labels are left out.
func (g *gpustackReference) translate(tb testing.TB, p enginepages.Page) []string {
	tb.Helper()
	plan := g.plan.Plan(p.Runtime, p.Version)
	var lines []string
	for name, family := range gpustackFamilies(tb, p.Text) {
		if !g.natives[p.Runtime+" "+name] { // no other spelling with or without _total is looked for
			continue
		}
		for _, target := range plan.Lookup([]byte(name)) {
			lines = append(lines, g.family(family, strings.TrimPrefix(plan.Families()[target.Family].Name, "gpustack:"), gpustackScale(target))...)
		}
	}
	slices.Sort(lines)
	return lines
}

func gpustackScale(target mapping.Target) float64 {
	if target.Change == nil || target.Change.Scale == 0 {
		return 1
	}
	return target.Change.Scale
}

func (g *gpustackReference) family(family *gpustackFamily, unified string, scale float64) (lines []string) {
	if family.typ == "histogram" || family.typ == "summary" {
		for _, s := range family.samples {
			suffix := strings.TrimPrefix(s.name, family.name)
			set := map[string]string{}
			for name, value := range s.labels {
				if name == "le" {
					value = gpustackBound(value, scale)
				}
				set[name] = value
			}
			if suffix == "_sum" || suffix == "" {
				s.value *= scale
			}
			lines = append(lines, gpustackLine(unified+suffix, set, s.value))
		}
		return lines
	}
	if g.types[unified] == "histogram" {
		return nil // its library refuses a value for a histogram, and the family alone is left out
	}
	suffix := ""
	if g.types[unified] == "counter" {
		suffix = "_total"
	}
	first := family.samples[0].labels
	for _, s := range family.samples {
		set := map[string]string{}
		for name := range first { // a label that the first sample lacks is lost
			if s.labels[name] != "" {
				set[name] = s.labels[name]
			}
		}
		lines = append(lines, gpustackLine(unified+suffix, set, s.value*scale))
	}
	return lines
}

func gpustackBound(text string, scale float64) string {
	bound, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(bound, 0) {
		return "+Inf"
	}
	return strconv.FormatFloat(bound*scale, 'g', 12, 64)
}

// gpustackLine writes a sample without the base labels, and bounds and values in one spelling.
func gpustackLine(name string, set map[string]string, value float64) string {
	var pairs []string
	for label, v := range set {
		if label == "le" {
			v = gpustackBound(v, 1)
		}
		if !slices.Contains(gpustackBase, label) && label != exportedModel {
			pairs = append(pairs, fmt.Sprintf("%s=%q", label, v))
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		if aIsBound, bIsBound := strings.HasPrefix(a, "le="), strings.HasPrefix(b, "le="); aIsBound != bIsBound {
			if aIsBound {
				return 1
			}
			return -1
		}
		return cmp.Compare(a, b)
	})
	return name + "{" + strings.Join(pairs, ",") + "} " + strconv.FormatFloat(value, 'g', 12, 64)
}

// stackscopeLines returns our samples of a page in the same spelling, and whether any has the engine's own model_name.
func stackscopeLines(tb testing.TB, p enginepages.Page) (lines []string, renamed bool) {
	tb.Helper()
	plan := defaultMapping(tb).Plan(p.Runtime, p.Version)
	var base []translate.Label
	for _, name := range gpustackBase {
		if name != "role" {
			base = append(base, translate.Label{Name: name, Value: "base"})
		}
	}
	var r translate.Result
	r.Translate(p.Text, translate.DetectFormat("", p.Text), plan, translate.NewSource(base))
	for line := range strings.Lines(unified(plan, &r)) {
		if line[0] == '#' {
			continue
		}
		set, text, ok := refParse(strings.TrimSuffix(line, "\n"))
		if !ok {
			tb.Fatalf("unreadable line %s", line)
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			tb.Fatal(err)
		}
		lines = append(lines, gpustackLine(strings.TrimPrefix(set.Get(model.MetricNameLabel), "gpustack:"), withoutName(set), value))
		renamed = renamed || set.Has(exportedModel)
	}
	slices.Sort(lines)
	return lines, renamed
}

func withoutName(set labels.Labels) map[string]string {
	pairs := set.Map()
	delete(pairs, model.MetricNameLabel)
	return pairs
}
