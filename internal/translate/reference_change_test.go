package translate_test

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/stackscope/stackscope/internal/exposition"
)

// refFamily returns the family of a sample name, as far as the name tells.
func refFamily(name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count", "_created"} {
		if family, ok := strings.CutSuffix(name, suffix); ok && family != "" {
			return family
		}
	}
	return name
}

// refChange does to a sample what a target says. It reports false for a sample that the target does not take.
func refChange(t refTarget, set labels.Labels, value string) (labels.Labels, string, bool) {
	c := t.Change
	if c == nil {
		return set, value, true
	}
	for _, m := range c.Match {
		if slices.Contains(m.Values, set.Get(m.Label)) == m.Not {
			return set, "", false
		}
	}
	product := 1.0
	for _, name := range c.ValueFrom {
		v, ok := refNumber(set.Get(name))
		if !ok {
			return set, "", false
		}
		product *= v
	}
	if math.IsNaN(product) || math.IsInf(product, 0) {
		return set, "", false
	}
	if v, _ := refNumber(value); t.suffix == "" && slices.Contains(c.Ignore, v) {
		return set, "", false
	}
	out := map[string]string{}
	set.Range(func(l labels.Label) {
		special := l.Name == "le" || l.Name == "quantile"
		kept := c.Keep == nil || slices.Contains(c.Keep, l.Name)
		gone := slices.Contains(c.Drop, l.Name) || slices.Contains(c.ValueFrom, l.Name)
		if l.Name != model.MetricNameLabel && l.Value != "" && (special || kept && !gone) {
			out[l.Name] = l.Value
		}
	})
	for _, r := range c.Rename {
		if v, ok := out[r.From]; ok {
			delete(out, r.From)
			refPut(out, r.To, v)
		}
	}
	for _, a := range c.Add {
		refPut(out, a.Name, a.Value)
	}
	switch {
	case len(c.ValueFrom) > 0:
		value = refScale(strconv.FormatFloat(product, 'g', -1, 64), c.Scale, true)
	case t.suffix == "_bucket":
		if le, ok := out["le"]; ok {
			out["le"] = refScale(le, c.Scale, false)
		}
	case t.suffix != "_count":
		value = refScale(value, c.Scale, false)
	}
	return labels.FromMap(out), value, true
}

// refPut puts a label in the place of one of the engine's own, which is kept under another name.
func refPut(set map[string]string, name, value string) {
	if old, taken := set[name]; taken {
		moved := "exported_" + name
		for set[moved] != "" {
			moved = "exported_" + moved
		}
		set[moved] = old
	}
	set[name] = value
}

func refScale(number string, scale float64, always bool) string {
	v, _ := refNumber(number)
	if !always && (scale == 1 || math.IsNaN(v) || math.IsInf(v, 0)) {
		return number
	}
	if inverse := math.Round(1 / scale); scale < 1 && 1/inverse == scale {
		v /= inverse
	} else {
		v *= scale
	}
	return string(exposition.AppendValue(nil, v))
}

// refAdd adds a value to a sample's.
func refAdd(s *refSample, value string) {
	a, _ := refNumber(s.Value)
	b, _ := refNumber(value)
	s.Value = string(exposition.AppendValue(nil, a+b))
}
