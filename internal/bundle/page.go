package bundle

import (
	"bytes"
	"fmt"
	"slices"

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
			case kind == exposition.TypeLine && len(name) <= maxMetricName && slices.Contains(metricTypes, string(text)):
				out = fmt.Appendf(out, "# TYPE %s %s\n", name, text)
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
	out = append(out, s.Name...)
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
		out = append(append(append(out, name...), '=', '"'), exposition.AppendLabelValue(nil, value)...)
		out = append(out, '"')
	}
	if len(s.Labels) > 0 {
		out = append(out, '}')
	}
	return append(append(append(out, ' '), s.Value...), '\n')
}

// NativeReport writes what became of a native metric, in a line.
func (r *Redactor) NativeReport(w *bytes.Buffer, n *wire.NativeReport) {
	typ := n.Type
	if typ != "" && !slices.Contains(metricTypes, typ) {
		typ = r.Hash(Text, typ)
	}
	fmt.Fprintf(w, "%s %s: %d samples", r.metricName(n.Name), typ, n.Samples)
	if n.Unreadable > 0 {
		fmt.Fprintf(w, ", %d unreadable", n.Unreadable)
	}
	for _, o := range n.Outcomes {
		fmt.Fprintf(w, "; %s: %d %s", r.metricName(o.Family), o.Samples, r.Text(o.Why))
	}
	if n.Why != "" {
		w.WriteString("; " + r.Text(n.Why))
	}
	w.WriteByte('\n')
}

func (r *Redactor) metricName(name string) string {
	if r.stays[name] || exposition.ValidMetricName(name) && len(name) <= maxMetricName {
		return name
	}
	return r.Hash(Text, name)
}
