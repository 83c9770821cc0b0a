package bundle

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/wire"
)

// PageResult counts what of a metrics page was left out.
type PageResult struct {
	Help, Comments, Unreadable int
	// Cut says that the page was longer than its limit.
	Cut bool
}

func (p PageResult) String() string {
	text := fmt.Sprintf("left out: %d HELP lines, %d comments, %d unreadable lines", p.Help, p.Comments, p.Unreadable)
	if p.Cut {
		text += ", and the end"
	}
	return text
}

// maxMetricName bounds the names of metrics and labels that are taken over.
const maxMetricName = 200

var metricTypes = []string{"counter", "gauge", "histogram", "summary", "untyped", "unknown", "info", "stateset", "gaugehistogram"}

// Page returns a metrics page with the values of its labels redacted, at most limit bytes of it. Names, types and numbers stay; HELP texts,
// other comments, timestamps, exemplars and lines that cannot be read do not.
func (r *Redactor) Page(page []byte, limit int) (out []byte, left PageResult) {
	names := SampleNames(page)
	scanner := exposition.NewScanner(page, exposition.Text)
	var sample exposition.Sample
	for scanner.ScanAny() {
		line := scanner.Line()
		before := len(out)
		switch {
		case len(line) == 0:
			continue
		case line[0] == '#':
			kind, name, text := exposition.ParseComment(line)
			switch {
			case kind == exposition.TypeLine && names.has(string(name)) && slices.Contains(metricTypes, string(text)):
				out = fmt.Appendf(out, "# TYPE %s %s\n", r.identifierName(string(name)), text)
			case kind == exposition.HelpLine:
				left.Help++
			default:
				left.Comments++
			}
		case sample.Parse(line) != nil || len(sample.Name) > maxMetricName || !floatNumber.Match(sample.Value):
			left.Unreadable++
		default:
			out = r.appendSample(out, &sample)
		}
		if len(out) > limit {
			left.Cut = true
			return out[:before], left
		}
	}
	return out, left
}

func (r *Redactor) appendSample(out []byte, s *exposition.Sample) []byte {
	out = append(out, r.identifierName(string(s.Name))...)
	for i, l := range s.Labels {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		out = append(out, separator)
		name := string(l.Name)
		if len(name) > maxMetricName || !exposition.ValidLabelName(name) {
			name = string(bytes.ReplaceAll([]byte(r.Hash(Text, name)), []byte("-"), []byte("_")))
		}
		value := r.Label(name, string(exposition.Unescape(nil, l.Value)))
		out = append(append(append(out, r.identifierName(name)...), '=', '"'), exposition.AppendLabelValue(nil, value)...)
		out = append(out, '"')
	}
	if len(s.Labels) > 0 {
		out = append(out, '}')
	}
	return append(append(append(out, ' '), s.Value...), '\n')
}

// Samples are the names of a page's samples that can be read. Only those are names: other lines may begin with any word.
type Samples map[string]bool

// SampleNames returns the names of the samples of a page.
func SampleNames(page []byte) Samples {
	names := Samples{}
	scanner := exposition.NewScanner(page, exposition.Text)
	var sample exposition.Sample
	for scanner.ScanAny() {
		line := scanner.Line()
		if len(line) > 0 && line[0] != '#' && sample.Parse(line) == nil && len(sample.Name) <= maxMetricName && !names[string(sample.Name)] {
			names[string(sample.Name)] = true
		}
	}
	return names
}

// has reports whether there are samples of a metric.
func (s Samples) has(metric string) bool {
	for _, suffix := range []string{"", "_total", "_bucket", "_sum", "_count", "_info", "_created"} {
		if s[metric+suffix] {
			return true
		}
	}
	return false
}

// NativeReport writes what became of a native metric of a page with these samples, in a line.
func (r *Redactor) NativeReport(w *bytes.Buffer, n *wire.NativeReport, samples Samples) {
	name := n.Name
	if !samples.has(name) && !r.stays[name] {
		name = r.Hash(Text, name)
	}
	name = r.identifierName(name)
	typ := n.Type
	if typ != "" && !slices.Contains(metricTypes, typ) {
		typ = r.Hash(Text, typ)
	}
	fmt.Fprintf(w, "%s %s: %d samples", name, typ, n.Samples)
	if n.Unreadable > 0 {
		fmt.Fprintf(w, ", %d unreadable", n.Unreadable)
	}
	for _, o := range n.Outcomes {
		fmt.Fprintf(w, "; %s: %d %s", r.unified(o.Family), o.Samples, r.Text(o.Why))
	}
	if n.Why != "" {
		w.WriteString("; " + r.Text(n.Why))
	}
	w.WriteByte('\n')
}

// unified returns the name of a unified metric, which the mapping has.
func (r *Redactor) unified(name string) string {
	if r.stays[name] || exposition.ValidMetricName(name) && len(name) <= maxMetricName && strings.HasPrefix(name, "gpustack:") {
		return r.identifierName(name)
	}
	return r.Hash(Text, name)
}
