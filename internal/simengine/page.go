package simengine

import (
	"cmp"
	"slices"
	"strings"
)

// labels are a series' label pairs, rendered once in the order of their names. le has its own place in that order, so the
// text before and after it is kept apart.
type labels struct {
	before, after string // each ends, respectively begins, without a comma
}

type pair struct{ name, value string }

// sortedLabels renders pairs as Python's client does: by name, le among them.
func sortedLabels(pairs ...pair) labels {
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.name, b.name) })
	at := 0
	for at < len(pairs) && pairs[at].name < "le" {
		at++
	}
	return labels{before: render(pairs[:at]), after: render(pairs[at:])}
}

// givenLabels renders pairs as they come, le behind them.
func givenLabels(pairs ...pair) labels { return labels{before: render(pairs)} }

func render(pairs []pair) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(p.name)
		b.WriteString(`="`)
		b.WriteString(escape.Replace(p.value))
		b.WriteByte('"')
	}
	return b.String()
}

// page is a metrics page in the making.
type page struct {
	b      []byte
	number func([]byte, float64) []byte
}

func (p *page) family(name, typ, help string) {
	p.b = append(p.b, "# HELP "...)
	p.b = append(p.b, name...)
	p.b = append(p.b, ' ')
	p.b = append(p.b, help...)
	p.b = append(p.b, "\n# TYPE "...)
	p.b = append(p.b, name...)
	p.b = append(p.b, ' ')
	p.b = append(p.b, typ...)
	p.b = append(p.b, '\n')
}

func (p *page) sample(name, suffix string, l labels, v float64) {
	p.b = append(p.b, name...)
	p.b = append(p.b, suffix...)
	if l != (labels{}) {
		p.b = append(p.b, '{')
		p.b = append(p.b, l.before...)
		if l.before != "" && l.after != "" {
			p.b = append(p.b, ',')
		}
		p.b = append(p.b, l.after...)
		p.b = append(p.b, '}')
	}
	p.b = append(p.b, ' ')
	p.b = p.number(p.b, v)
	p.b = append(p.b, '\n')
}

// buckets writes h's cumulative buckets, +Inf last.
func (p *page) buckets(name string, l labels, h *histogram) {
	var total uint64
	for i, n := range h.counts {
		total += n
		p.b = append(p.b, name...)
		p.b = append(p.b, "_bucket{"...)
		p.b = append(p.b, l.before...)
		if l.before != "" {
			p.b = append(p.b, ',')
		}
		p.b = append(p.b, `le="`...)
		if i < len(h.bounds) {
			p.b = p.number(p.b, h.bounds[i])
		} else {
			p.b = append(p.b, "+Inf"...)
		}
		p.b = append(p.b, '"')
		if l.after != "" {
			p.b = append(p.b, ',')
			p.b = append(p.b, l.after...)
		}
		p.b = append(p.b, "} "...)
		p.b = p.number(p.b, float64(total))
		p.b = append(p.b, '\n')
	}
}

// gauge writes a family of one series.
func (p *page) gauge(name, help string, l labels, v float64) {
	p.family(name, "gauge", help)
	p.sample(name, "", l, v)
}
