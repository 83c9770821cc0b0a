package bench

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"unsafe"

	victoria "github.com/VictoriaMetrics/VictoriaMetrics/lib/protoparser/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// A Translator turns a page of one engine into the page with unified names.
type Translator interface {
	Translate(page []byte) ([]byte, error)
}

// identity is the labels that each sample gets.
var identity = []translate.Label{
	{Name: "cluster_id", Value: "1"},
	{Name: "cluster_name", Value: "default"},
	{Name: "worker_id", Value: "1"},
	{Name: "worker_name", Value: "gpu-node-07.example.internal"},
	{Name: "model_id", Value: "3"},
	{Name: "model_name", Value: "qwen3-235b"},
	{Name: "model_instance_id", Value: "12"},
	{Name: "model_instance_name", Value: "qwen3-235b-x7k2p"},
	{Name: "runtime", Value: "vLLM"},
}

const version = "0.23.0"

// newSeries is more than the pages have.
const newSeries = 50_000

// ours is the project's translator.
type ours struct {
	families []mapping.Family
	plan     *mapping.Plan
	source   *translate.Source
	result   translate.Result
	page     exposition.Writer
	out      bytes.Buffer
}

func newOurs(m *mapping.Compiled) *ours {
	o := &ours{families: m.Families(), plan: m.Plan("vLLM", version), source: translate.NewSource(identity)}
	o.result.Limiter = translate.NewSeriesLimiter(newSeries, newSeries) // as the worker has it
	return o
}

func (o *ours) Translate(page []byte) ([]byte, error) {
	o.page.Reset()
	if s := o.result.Translate(page, translate.Text, o.plan, o.source); s.ParseErrors > 0 {
		return nil, errors.New(s.FirstError)
	}
	translate.Merge(&o.page, o.families, &o.result)
	o.out.Reset()
	if _, err := o.page.WriteTo(&o.out); err != nil {
		return nil, err
	}
	return o.out.Bytes(), nil
}

// renamer is what the other ways share: the mapping and the rules for labels, done simply.
type renamer struct {
	families []mapping.Family
	plan     *mapping.Plan
	own      map[string]string
	rendered string
	names    map[string]string // sample names seen so far, "" for unmapped ones
	last     []byte
	lastName string
}

func newRenamer(m *mapping.Compiled) *renamer {
	r := &renamer{families: m.Families(), plan: m.Plan("vLLM", version), own: map[string]string{}, names: map[string]string{}}
	var pairs []string
	for _, l := range identity {
		r.own[l.Name] = l.Value
		pairs = append(pairs, l.Name, l.Value)
	}
	r.rendered = string(exposition.RenderLabels(pairs...))
	return r
}

// sample returns the unified name of a sample name. The last answer is at hand: names come in runs.
func (r *renamer) sample(name string) (unified string, mapped bool) {
	if name != string(r.last) {
		r.last = append(r.last[:0], name...)
		known := false
		if r.lastName, known = r.names[name]; !known {
			r.lastName = r.find(name)
			r.names[strings.Clone(name)] = r.lastName
		}
	}
	return r.lastName, r.lastName != ""
}

func (r *renamer) find(name string) string {
	if f := r.family(name); f != nil && f.Type != catalog.Histogram {
		return f.WireName
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			if f := r.family(base); f != nil && f.Type == catalog.Histogram {
				return f.WireName + suffix
			}
		}
	}
	return ""
}

func (r *renamer) family(native string) *mapping.Family {
	targets := r.plan.Lookup([]byte(native))
	if len(targets) == 0 {
		return nil
	}
	return &r.families[targets[0].Family]
}

// label returns the name that a native label gets, "" if it is left out.
func (r *renamer) label(name, value string) string {
	own, taken := r.own[name]
	switch {
	case !taken:
		return name
	case own == value:
		return ""
	}
	return "exported_" + name
}

// viaVictoria parses with VictoriaMetrics' scraper's parser and writes the rows out.
type viaVictoria struct {
	*renamer
	rows victoria.Rows
	out  []byte
}

func (v *viaVictoria) Translate(page []byte) ([]byte, error) {
	v.rows.Reset()
	var failure error
	text := unsafe.String(unsafe.SliceData(page), len(page)) //nolint:gosec // rows are written out before the page changes
	v.rows.UnmarshalWithErrLogger(text, func(s string) { failure = errors.New(s) })
	out := v.out[:0]
	for i := range v.rows.Rows {
		row := &v.rows.Rows[i]
		name, ok := v.sample(row.Metric)
		if !ok {
			continue
		}
		out = append(append(append(out, name...), '{'), v.rendered...)
		for _, t := range row.Tags {
			if label := v.label(t.Key, t.Value); label != "" {
				out = append(append(append(out, ','), label...), '=', '"')
				out = append(exposition.AppendLabelValue(out, t.Value), '"')
			}
		}
		out = append(out, '}', ' ')
		out = append(strconv.AppendFloat(out, row.Value, 'g', -1, 64), '\n')
	}
	v.out = out
	return out, failure
}

// viaTextparse parses with Prometheus' own parser and writes rebuilt label sets out.
type viaTextparse struct {
	*renamer
	symbols *labels.SymbolTable
	builder labels.ScratchBuilder
	out     []byte
}

func (t *viaTextparse) Translate(page []byte) ([]byte, error) {
	p := textparse.NewPromParser(page, t.symbols, false)
	out := t.out[:0]
	var set labels.Labels
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		series, _, value := p.Series()
		native, _, _ := bytes.Cut(series, []byte{'{'})
		name, ok := t.sample(string(native))
		if !ok {
			continue
		}
		p.Labels(&set)
		t.builder.Reset()
		for _, l := range identity {
			t.builder.Add(l.Name, l.Value)
		}
		set.Range(func(l labels.Label) {
			if renamed := t.label(l.Name, l.Value); renamed != "" && l.Name != model.MetricNameLabel {
				t.builder.Add(renamed, l.Value)
			}
		})
		t.builder.Sort()
		out = append(append(out, name...), '{')
		first := true
		t.builder.Labels().Range(func(l labels.Label) {
			if !first {
				out = append(out, ',')
			}
			first = false
			out = append(append(out, l.Name...), '=', '"')
			out = append(exposition.AppendLabelValue(out, l.Value), '"')
		})
		out = append(out, '}', ' ')
		out = append(strconv.AppendFloat(out, value, 'g', -1, 64), '\n')
	}
	t.out = out
	return out, nil
}

// viaExpfmt parses into client_golang's structures, changes them and encodes them.
type viaExpfmt struct {
	*renamer
	out bytes.Buffer
}

func (e *viaExpfmt) Translate(page []byte) ([]byte, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return nil, err
	}
	e.out.Reset()
	for name, f := range families {
		target := e.family(name)
		if target == nil {
			continue
		}
		f.Name, f.Help = &target.WireName, &target.Help
		for _, m := range f.Metric {
			m.Label = e.labels(m.Label)
		}
		if _, err := expfmt.MetricFamilyToText(&e.out, f); err != nil {
			return nil, err
		}
	}
	return e.out.Bytes(), nil
}

func (e *viaExpfmt) labels(native []*dto.LabelPair) []*dto.LabelPair {
	out := make([]*dto.LabelPair, 0, len(native)+len(e.own))
	for _, l := range identity {
		out = append(out, &dto.LabelPair{Name: &l.Name, Value: &l.Value})
	}
	for _, l := range native {
		if name := e.label(l.GetName(), l.GetValue()); name != "" {
			l.Name = &name
			out = append(out, l)
		}
	}
	return out
}
