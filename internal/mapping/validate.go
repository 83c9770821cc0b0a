package mapping

import (
	"reflect"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
)

// Bounds of a document's parts.
const (
	maxFamilies  = 1000
	maxNameBytes = 256
	maxHelpBytes = 4096
)

// validator turns a tree into a document and collects every fault on the way.
type validator struct {
	faults Faults
	seqs   []int // of the nodes of faults
	// overlay is nil of a document that is none.
	overlay *overlay
	// suggestions counts the searches for a nearest name, which are the costly part of a fault.
	suggestions int

	doc *Document
	// known holds the names of gpustack_metrics without _total, also of faulty definitions: a fault in a definition is
	// not repeated at each target. It is nil without gpustack_metrics.
	known map[string]bool
	names []string                // keys of gpustack_metrics, for suggestions
	types map[string]catalog.Type // by names without _total; those of faulty definitions are missing
	// runtimes holds the runtimes of runtime_mapping in small letters; nil without it.
	runtimes     map[string]bool
	runtimeNames []string
}

func (v *validator) document(root *node) *Document {
	v.doc = &Document{root: root}
	if root.empty {
		v.faults = append(v.faults, *emptyFault())
		return v.doc
	}
	if !v.is(kindObject, "", root, "an object with "+keyMetrics+" and "+keyMapping) {
		return v.doc
	}
	// The definitions may stand after the mapping that names them.
	v.collect(root.get(keyMetrics))
	v.collectRuntimes(root.get(keyMapping))
	v.doc.aliases = map[string][]alias{}
	for _, key := range []string{keyMetrics, keyMapping} {
		if root.get(key) == nil {
			v.fault("", root, "found no key %q, required is an object of that name, or %s: %s, which adds to the built-in document", key, keyExtends, ExtendsDefault)
		}
	}
	for f := range v.fields("", root, asWritten) {
		switch f.name {
		case keyMetrics:
			v.metrics(f.at, f.value)
		case keyMapping:
			v.mapping(f.at, f.value)
		case keyAliases:
			v.aliases(f.at, f.value)
		case keyQueries:
			if v.is(kindObject, f.at, f.value, "an object") {
				v.unused(f.at, f.value)
			}
		case keyExtends:
			v.extends(f)
		default:
			v.unknownKey(f, keyMetrics, keyMapping, keyAliases, keyQueries, keyExtends)
		}
	}
	return v.doc
}

// collect learns the defined names before anything refers to them.
func (v *validator) collect(metrics *node) {
	if metrics == nil || metrics.kind != kindObject {
		return
	}
	v.known, v.types = map[string]bool{}, map[string]catalog.Type{}
	for _, m := range metrics.members {
		if m.key.kind != kindString {
			continue
		}
		if name := m.key.text; !v.known[withoutTotal(name)] {
			v.known[withoutTotal(name)] = true
			if n := m.value.get(keyType); n != nil && catalog.Type(strings.ToLower(n.text)).Valid() {
				v.types[withoutTotal(name)] = catalog.Type(strings.ToLower(n.text))
			}
			v.names = append(v.names, name)
		}
	}
}

// collectRuntimes learns the mapped runtimes before aliases speak of them.
func (v *validator) collectRuntimes(mapping *node) {
	if mapping == nil || mapping.kind != kindObject {
		return
	}
	v.runtimes = map[string]bool{}
	for _, m := range mapping.members {
		if m.key.kind == kindString {
			v.runtimes[strings.ToLower(m.key.text)] = true
			v.runtimeNames = append(v.runtimeNames, m.key.text)
		}
	}
}

func (v *validator) metrics(p pointer, n *node) {
	if !v.is(kindObject, p, n, "an object of metric names") {
		return
	}
	if len(n.members) > maxFamilies {
		besides := ""
		if v.overlay != nil {
			besides = ", built-in ones included"
		}
		v.fault(p, n, "found %d metrics%s, allowed are %d", len(n.members), besides, maxFamilies)
		return
	}
	samples := sampleNames{}
	for f := range v.fields(p, n, withoutTotal) {
		def, ok := v.definition(f)
		if !ok {
			continue
		}
		if taken := samples.add(def.family()); taken != "" {
			v.fault(f.at, f.key, "found %s, whose samples would be called like those of %s", quote(f.name), quote(taken))
			continue
		}
		v.doc.families = append(v.doc.families, def)
	}
}

// definition checks an entry of gpustack_metrics.
func (v *validator) definition(metric field) (definition, bool) {
	before := len(v.faults)
	def := definition{name: metric.name}
	if v.metricName(metric.name, metric.at, metric.key) {
		if owner := reservedFor(metric.name); owner != "" {
			v.fault(metric.at, metric.key, "found %s, a name that %s", quote(metric.name), owner)
		}
	}
	if !v.is(kindObject, metric.at, metric.value, "an object with "+keyType+" and "+keyDescription) {
		return def, false
	}
	for f := range v.fields(metric.at, metric.value, asWritten) {
		switch f.name {
		case keyType:
			def.typ = v.metricType(f.at, f.value)
			v.overrides(metric.name, f)
		case keyDescription:
			def.described = true
			def.description = v.description(f.at, f.value)
		case keyUnit:
			v.is(kindString, f.at, f.value, "a string")
		default:
			v.unknownKey(f, keyType, keyDescription, keyUnit)
		}
	}
	if metric.value.get(keyType) == nil {
		v.fault(metric.at, metric.key, "found no key %q, required is one of %s", keyType, allowedTypes)
	}
	if def.typ == catalog.Counter {
		def.name = withoutTotal(metric.name)
	}
	return def, len(v.faults) == before
}

func (v *validator) description(p pointer, n *node) string {
	if !v.is(kindString, p, n, "a string") {
		return ""
	}
	if len(n.text) > maxHelpBytes {
		v.fault(p, n, "found a description of %d bytes, allowed are %d", len(n.text), maxHelpBytes)
	}
	return n.text
}

const allowedTypes = string(catalog.Gauge) + ", " + string(catalog.Counter) + ", " + string(catalog.Histogram) + ", " + string(catalog.Summary)

// metricType reads a type in any letter case: GPUStack's own document spells it Gauge.
func (v *validator) metricType(p pointer, n *node) catalog.Type {
	if !v.is(kindString, p, n, "one of "+allowedTypes) {
		return ""
	}
	typ := catalog.Type(strings.ToLower(n.text))
	if !typ.Valid() {
		v.fault(p, n, "found %s, allowed are %s%s", quote(n.text), allowedTypes,
			v.suggest(strings.ToLower(n.text), strings.Split(allowedTypes, ", ")))
		return ""
	}
	return typ
}

func (v *validator) mapping(p pointer, n *node) {
	if !v.is(kindObject, p, n, "an object of runtime names") {
		return
	}
	for f := range v.fields(p, n, v.ofOverlay(strings.ToLower)) {
		if f.name == "" || len(f.name) > maxNameBytes {
			v.fault(f.at, f.key, "found a runtime name of %d bytes, allowed are 1 to %d", len(f.name), maxNameBytes)
		}
		if v.is(kindObject, f.at, f.value, `an object of version ranges and "*"`) {
			v.doc.runtimes = append(v.doc.runtimes, runtimeMapping{name: f.name, ranges: v.ranges(f.at, f.value)})
		}
	}
}

func (v *validator) ranges(p pointer, n *node) []rangeMapping {
	var ranges []rangeMapping
	for f := range v.fields(p, n, v.ofOverlay(spaceless)) {
		r := rangeMapping{any: f.name == anyVersion}
		if !r.any {
			versions, err := parseRange(f.name)
			if err != nil {
				v.fault(f.at, f.key, `found the version range %s (%s), allowed are "*", a version such as 0.10.0, or comparisons such as >=0.9,<0.11`, quote(f.name), err)
			}
			r.versions = versions
		}
		r.entries = v.entries(f.at, f.value)
		ranges = append(ranges, r)
	}
	return ranges
}

func (v *validator) entries(p pointer, n *node) []entry {
	if !v.is(kindObject, p, n, "an object of native metric names") {
		return nil
	}
	var entries []entry
	for f := range v.fields(p, n, withoutTotal) {
		v.metricName(f.name, f.at, f.key)
		if f.value.kind == kindNull {
			v.removal(f)
			continue
		}
		if targets := v.targets(f.at, f.value); len(targets) > 0 {
			entries = append(entries, entry{native: withoutTotal(f.name), targets: targets})
		}
	}
	return entries
}

// unused checks a part of a document that has no effect: it must be one that JSON can express.
func (v *validator) unused(p pointer, n *node) {
	switch n.kind {
	case kindObject:
		for f := range v.fields(p, n, asWritten) {
			v.unused(f.at, f.value)
		}
	case kindArray:
		for i, item := range n.items {
			v.unused(p.index(i), item)
		}
	case kindString:
	case kindNumber:
		v.number(p, n, "a number")
	case kindBool:
		n.lower()
	default:
		v.wrongType(p, n, "an object, a list, a string, a number or a boolean")
	}
}

const allowedTargets = "a metric name as a string, an object with " + keyTo + ", or a list of these"

func (v *validator) targets(p pointer, n *node) []target {
	if n.kind != kindArray {
		return v.target(nil, p, n, allowedTargets)
	}
	if len(n.items) == 0 {
		v.fault(p, n, "found an empty list, allowed is a list of at least one target")
	}
	var targets []target
	for i, item := range n.items {
		targets = v.target(targets, p.index(i), item, "a metric name as a string or an object with "+keyTo)
	}
	return targets
}

// target appends a target, its family's name without _total.
func (v *validator) target(targets []target, p pointer, n *node, allowed string) []target {
	t := target{}
	switch n.kind {
	case kindString:
		t.family = v.reference(p, n)
	case kindObject:
		t = v.targetObject(p, n)
	default:
		v.wrongType(p, n, allowed)
	}
	if t.family == "" {
		return targets
	}
	if v.misfit(p, n, t.family) {
		return targets
	}
	for _, before := range targets {
		if before.family == t.family && sameMatch(before, t) {
			v.fault(p, n, "found the target %s again, allowed is each target once, or again with another %s", quote(t.family), keyMatch)
			return targets
		}
	}
	return append(targets, t)
}

// sameMatch reports whether two targets take the same samples, so that the second never has one of its own.
func sameMatch(a, b target) bool {
	if a.versions != nil || b.versions != nil {
		return false
	}
	var one, other []Match
	if a.change != nil {
		one = a.change.Match
	}
	if b.change != nil {
		other = b.change.Match
	}
	return one == nil || reflect.DeepEqual(one, other)
}

// reference returns a name of gpustack_metrics, without _total; "" for a fault.
func (v *validator) reference(p pointer, n *node) string {
	if !v.metricName(n.text, p, n) {
		return ""
	}
	name := withoutTotal(n.text)
	if v.known != nil && !v.known[name] {
		definers := keyMetrics + " does not define"
		if v.overlay != nil {
			definers = "neither " + keyMetrics + " nor the built-in document defines"
		}
		v.fault(p, n, "found %s, which %s%s", quote(n.text), definers, v.suggest(n.text, v.names))
		return ""
	}
	return name
}
