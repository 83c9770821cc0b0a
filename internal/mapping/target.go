package mapping

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// Bounds of a target's parts.
const (
	maxTargetItems  = 64
	maxLabelBytes   = 1024
	maxApproxBytes  = 512
	maxNameAliases  = 64
	negation        = "!"
	escapedNegation = `\!` // a ! that belongs to the value
	allowedVersions = "a version such as 0.10.0"
)

// The values of "as".
const (
	asCumulative = "cumulative"
	asGauge      = "gauge"
	asSum        = "sum"
	asCount      = "count"
)

func targetKeys() []string {
	return []string{
		keyTo, keyName, keyMatch, keyAs, keyScale, keySumOver, keySumBy, keyMaxOver, keyIgnore, keyRename, keyDrop, keyKeep, keyAdd, keyValueFrom, keySince, keyUntil, keyFallback, keyApprox,
	}
}

// identityLabels are those that every sample gets from its source. LabelRole is not one: most instances have no role, and stored mappings
// may add the label.
func identityLabels() []string {
	return []string{
		catalog.LabelClusterID, catalog.LabelClusterName, catalog.LabelWorkerID, catalog.LabelWorkerName, catalog.LabelModelID,
		catalog.LabelModelName, catalog.LabelModelInstanceID, catalog.LabelModelInstanceName, catalog.LabelRuntime,
	}
}

// targetReader reads the object form of a target.
type targetReader struct {
	*validator
	p      pointer
	n      *node
	target target
	change Change
	since  string
	until  string
}

func (v *validator) targetObject(p pointer, n *node) target {
	r := targetReader{validator: v, p: p, n: n, change: Change{Scale: 1}}
	before := len(v.faults)
	for f := range v.fields(p, n, asWritten) {
		r.field(f)
	}
	switch to, name := n.get(keyTo), n.get(keyName); {
	case to == nil && name == nil:
		v.fault(p, n, "found no key %q, required is the metric name of the target, here or as GPUStack spells it, %q", keyTo, keyName)
	case to != nil && name != nil:
		v.fault(p.key(keyName), name, "found %q besides %q, allowed is one of the two: they mean the same", keyName, keyTo)
	}
	if r.target.family != "" {
		r.combinations()
		if v.takeMisfits(p, n, r.target.family, before) {
			r.target.family = ""
		}
	}
	if r.since != "" || r.until != "" {
		r.target.versions = r.versionBounds()
	}
	if c := &r.change; c.Match != nil || c.Ignore != nil || c.ValueFrom != nil || c.Scale != 1 || c.Keep != nil || c.Drop != nil || c.MaxOver != nil || c.Rename != nil || c.Add != nil {
		r.target.change = c
	}
	if len(v.faults) > before {
		r.target.family = "" // what is faulty is not compared with its neighbours
	}
	return r.target
}

func (r *targetReader) field(f field) {
	switch f.name {
	case keyTo, keyName:
		if r.is(kindString, f.at, f.value, "a metric name as a string") {
			r.target.family = r.reference(f.at, f.value)
		}
	case keyMatch:
		r.change.Match = r.match(f)
	case keyAs:
		r.as(f)
	case keyScale:
		if scale, ok := r.number(f.at, f.value, "a number above 0"); ok {
			if scale <= 0 {
				r.wrongType(f.at, f.value, "a number above 0")
			} else {
				r.change.Scale = scale
			}
		}
	case keyIgnore:
		for at, item := range r.items(f, "a number or a list of numbers") {
			if number, ok := r.number(at, item, "a number"); ok {
				r.change.Ignore = append(r.change.Ignore, number)
			}
		}
	case keySumOver:
		r.change.Drop, r.change.Sum = append(r.change.Drop, r.labels(f)...), true
	case keySumBy:
		r.change.Keep, r.change.Sum = append([]string{}, r.labels(f)...), true
	case keyMaxOver:
		r.change.MaxOver = r.labels(f)
	case keyDrop:
		r.change.Drop = append(r.change.Drop, r.labels(f)...)
	case keyKeep:
		r.change.Keep = append([]string{}, r.labels(f)...)
	case keyValueFrom:
		r.change.ValueFrom = r.labels(f)
	case keyRename:
		r.rename(f)
	case keyAdd:
		r.add(f)
	case keySince:
		r.readSince(f)
	case keyUntil:
		r.until = r.version(f)
	case keyFallback:
		if r.is(kindBool, f.at, f.value, "true or false") {
			f.value.lower()
			r.target.fallback = f.value.text == "true"
		}
	case keyApprox:
		r.approx(f)
	default:
		r.unknownKey(f, targetKeys()...)
	}
}

// combinations checks what the family's type and the keys' company allow.
func (r *targetReader) combinations() {
	typ := r.types[withoutTotal(r.target.family)]
	single := typ == catalog.Gauge || typ == catalog.Counter
	at := func(key string) (pointer, *node) { return r.p.key(key), r.n.get(key) }
	refuse := func(bad bool, key, why string) {
		if p, n := at(key); bad && n != nil {
			r.fault(p, n, "found %s, which %s", quote(key), why)
		}
	}
	if typ == "" {
		return // the definition is faulty itself
	}
	refuse(r.target.as != AsDeclared && !single, keyAs, "makes a counter or gauge; the target is a "+string(typ))
	refuse(!single, keyIgnore, "is for gauges and counters; the target is a "+string(typ))
	refuse(typ != catalog.Gauge, keyValueFrom, "makes a gauge; the target is a "+string(typ))
	for _, key := range []string{keySumOver, keySumBy} {
		refuse(typ == catalog.Summary, key, "is not for summaries: quantiles cannot be added up")
	}
	refuse(typ == catalog.Summary, keyMaxOver, "is not for summaries: the largest of several quantiles is a quantile of nothing")
	for i, name := range r.change.MaxOver {
		if p, n := at(keyMaxOver); slices.Contains(r.change.Drop, name) {
			if n.kind == kindArray && i < len(n.items) {
				p, n = p.index(i), n.items[i]
			}
			r.fault(p, n, "found the label %s, which drop or sum_over removes, allowed is a label that stays: of replicas the lowest one's labels are written", quote(name))
		}
	}
	refuse(r.target.as == AsCount, keyScale, "does not go with as: count: numbers of observations have no unit")
	refuse(r.target.as != AsDeclared && r.change.ValueFrom != nil, keyValueFrom, "does not go with as: the value cannot come from labels and from a histogram")
	for _, rename := range r.change.Rename {
		if slices.Contains(r.change.Drop, rename.From) {
			p, n := at(keyRename)
			r.fault(p.key(rename.From), n.key(rename.From), "found the label %s, which is dropped: rename it or drop it", quote(rename.From))
		}
	}
	keeps := keyKeep
	if r.n.get(keySumBy) != nil {
		keeps = keySumBy
		refuse(r.n.get(keyKeep) != nil, keyKeep, "does not go with sum_by, which says all about labels that stay")
	}
	for _, key := range []string{keyDrop, keySumOver} {
		refuse(r.change.Keep != nil, key, "does not go with "+keeps+", which says all about labels that stay")
	}
}

// number reads a number and gives it a spelling that JSON has too.
func (v *validator) number(p pointer, n *node, allowed string) (float64, bool) {
	number, ok := 0.0, false
	if n.kind == kindNumber {
		number, ok = exposition.ParseNumber([]byte(n.text))
	}
	if digits := strings.TrimLeft(n.text, "+-"); ok && len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		v.fault(p, n, "found %s, which some read as an octal number, allowed is %s without a 0 before it", n.text, allowed)
		return 0, false
	}
	if !ok || math.IsNaN(number) || math.IsInf(number, 0) {
		v.wrongType(p, n, allowed)
		return 0, false
	}
	if !json.Valid([]byte(n.text)) {
		n.text = strconv.FormatFloat(number, 'g', -1, 64)
	}
	return number, true
}

// items yields the items of a list, or the one value that stands in a list's place.
func (v *validator) items(f field, allowed string) func(yield func(pointer, *node) bool) {
	return func(yield func(pointer, *node) bool) {
		if f.value.kind != kindArray {
			yield(f.at, f.value)
			return
		}
		if n := len(f.value.items); n == 0 || n > maxTargetItems {
			v.fault(f.at, f.value, "found a list of %d, allowed is %s, at most %d", n, allowed, maxTargetItems)
			return
		}
		for i, item := range f.value.items {
			if !yield(f.at.index(i), item) {
				return
			}
		}
	}
}

// label checks a label name that a target speaks of.
func (v *validator) label(p pointer, n *node, name string) bool {
	switch {
	case len(name) > maxNameBytes || !exposition.ValidLabelName(name):
		v.fault(p, n, "found %s, allowed is a label name: letters, digits and _, no digit first", quote(name))
	case name == "le" || name == "quantile" || name == "__name__":
		v.fault(p, n, "found the label %s, which says what a sample is and stays as it is", quote(name))
	default:
		return true
	}
	return false
}

func (v *validator) labels(f field) []string {
	var names []string
	for at, item := range v.items(f, "a label name or a list of label names") {
		if !v.is(kindString, at, item, "a label name as a string") || !v.label(at, item, item.text) {
			continue
		}
		if slices.Contains(names, item.text) {
			v.fault(at, item, "found the label %s again, allowed is each label once", quote(item.text))
			continue
		}
		names = append(names, item.text)
	}
	return names
}

func (v *validator) labelText(p pointer, n *node) bool {
	if !v.is(kindString, p, n, "a string (quote numbers)") {
		return false
	}
	if len(n.text) > maxLabelBytes {
		v.fault(p, n, "found a value of %d bytes, allowed are %d", len(n.text), maxLabelBytes)
		return false
	}
	return true
}

// pairs yields the members of an object with label names as keys.
func (v *validator) pairs(f field, allowed string) func(yield func(field) bool) {
	return func(yield func(field) bool) {
		if !v.is(kindObject, f.at, f.value, allowed) {
			return
		}
		if n := len(f.value.members); n == 0 || n > maxTargetItems {
			v.fault(f.at, f.value, "found %d labels, allowed are 1 to %d", n, maxTargetItems)
			return
		}
		for m := range v.fields(f.at, f.value, asWritten) {
			if v.label(m.at, m.key, m.name) && !yield(m) {
				return
			}
		}
	}
}

func (v *validator) match(f field) []Match {
	list := []Match{}
	// Conditions and values hold in any order, so that targets that have the same are the same.
	defer func() { slices.SortFunc(list, func(a, b Match) int { return strings.Compare(a.Label, b.Label) }) }()
	for m := range v.pairs(f, "an object of labels and the values that they may have") {
		one := Match{Label: m.name}
		for at, item := range v.items(m, "a value or a list of values") {
			if !v.labelText(at, item) {
				continue
			}
			value, not := strings.CutPrefix(item.text, negation)
			if rest, escaped := strings.CutPrefix(value, escapedNegation); escaped {
				value = negation + rest
			}
			if len(one.Values) > 0 && not != one.Not {
				v.fault(at, item, "found %s among values of the other kind, allowed are values that all begin with ! (none of these) or all do not (one of these)", quote(item.text))
				continue
			}
			one.Not = not
			one.Values = append(one.Values, value)
		}
		slices.Sort(one.Values)
		one.Values = slices.Compact(one.Values)
		list = append(list, one)
	}
	return list
}

func (r *targetReader) as(f field) {
	allowed := []string{asCumulative, asGauge, asSum, asCount}
	if !r.is(kindString, f.at, f.value, "one of "+strings.Join(allowed, ", ")) {
		return
	}
	switch f.value.text {
	case asCumulative, asGauge:
	case asSum:
		r.target.as = AsSum
	case asCount:
		r.target.as = AsCount
	default:
		r.fault(f.at, f.value, "found %s, allowed are %s%s", quote(f.value.text), strings.Join(allowed, ", "), r.suggest(f.value.text, allowed))
	}
}

func (r *targetReader) rename(f field) {
	for m := range r.pairs(f, "an object of labels and their new names") {
		if !r.is(kindString, m.at, m.value, "a label name as a string") || !r.label(m.at, m.value, m.value.text) {
			continue
		}
		to := m.value.text
		if to == m.name || slices.ContainsFunc(r.change.Rename, func(o Rename) bool { return o.To == to || o.From == to || o.To == m.name }) {
			r.fault(m.at, m.value, "found the new name %s, which is another one's name here, allowed is each name once", quote(to))
			continue
		}
		r.change.Rename = append(r.change.Rename, Rename{From: m.name, To: to})
	}
}

func (r *targetReader) add(f field) {
	for m := range r.pairs(f, "an object of labels and their values") {
		if slices.Contains(identityLabels(), m.name) {
			r.fault(m.at, m.key, "found the label %s, which the worker gives its samples itself", quote(m.name))
			continue
		}
		if r.labelText(m.at, m.value) {
			if m.value.text == "" {
				r.fault(m.at, m.value, "found an empty value, allowed is a text: a label without a value is none")
				continue
			}
			r.change.Add = append(r.change.Add, Add{Name: m.name, Value: m.value.text})
		}
	}
}

// approximate is the reason of a target that gives none.
const approximate = "close, not equal"

func (r *targetReader) approx(f field) {
	switch f.value.kind {
	case kindBool:
		f.value.lower()
		if f.value.text == "true" {
			r.target.approx = approximate
		}
	case kindString:
		if len(f.value.text) > maxApproxBytes {
			r.fault(f.at, f.value, "found a text of %d bytes, allowed are %d", len(f.value.text), maxApproxBytes)
		}
		r.target.approx = cmp.Or(strings.TrimSpace(f.value.text), approximate)
	default:
		r.wrongType(f.at, f.value, "true, or a text that says what differs")
	}
}

// aliases reads name_aliases.
func (v *validator) aliases(p pointer, n *node) {
	if !v.is(kindObject, p, n, "an object of runtime names") {
		return
	}
	for f := range v.fields(p, n, v.ofOverlay(strings.ToLower)) {
		if f.name == "" || len(f.name) > maxNameBytes {
			v.fault(f.at, f.key, "found a runtime name of %d bytes, allowed are 1 to %d", len(f.name), maxNameBytes)
		}
		if !v.is(kindObject, f.at, f.value, "an object of beginnings of names and what they stand for") {
			continue
		}
		if v.runtimes != nil && !v.runtimes[strings.ToLower(f.name)] {
			v.fault(f.at, f.key, "found aliases for %s, allowed are the runtimes of %s%s", quote(f.name), keyMapping, v.suggest(f.name, v.runtimeNames))
			continue
		}
		if len(f.value.members) > maxNameAliases {
			v.fault(f.at, f.value, "found %d aliases, allowed are %d", len(f.value.members), maxNameAliases)
			continue
		}
		for m := range v.fields(f.at, f.value, asWritten) {
			if !v.metricName(m.name, m.at, m.key) || !v.is(kindString, m.at, m.value, "the beginning of a metric name as a string") || !v.metricName(m.value.text, m.at, m.value) {
				continue
			}
			key := strings.ToLower(f.name)
			v.doc.aliases[key] = append(v.doc.aliases[key], alias{from: m.name, to: m.value.text})
		}
	}
}
