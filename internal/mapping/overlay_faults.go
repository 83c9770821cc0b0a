package mapping

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
)

// This file checks what only overlays have.

// ofOverlay returns how an overlay compares names that other documents compare as they are written.
func (v *validator) ofOverlay(canonical func(string) string) func(string) string {
	if v.overlay == nil {
		return asWritten
	}
	return canonical
}

func (v *validator) extends(f field) {
	if v.is(kindString, f.at, f.value, quote(ExtendsDefault)) && f.value.text != ExtendsDefault {
		v.fault(f.at, f.value, "found %s, allowed is %s: the built-in document", quote(f.value.text), quote(ExtendsDefault))
	}
}

// removal checks a native metric with the value null.
func (v *validator) removal(f field) {
	if v.overlay == nil {
		v.fault(f.at, f.value, "found null, allowed is %s; null removes a built-in entry in a document with %s: %s", allowedTargets, keyExtends, ExtendsDefault)
		return
	}
	r, ok := v.overlay.removals[f.value]
	if !ok || r.versions.member(withoutTotal(f.name), withoutTotal) != nil {
		return
	}
	before := len(v.faults)
	v.noRemoval(f, r)
	v.leave(before)
}

// leave makes the faults since before no faults of a stored overlay.
func (v *validator) leave(before int) {
	if v.overlay.stored && before < len(v.faults) {
		v.overlay.left = append(v.overlay.left, v.faults[before:]...)
		v.faults, v.seqs = v.faults[:before], v.seqs[:before]
	}
}

// noRemoval adds the fault of a removal of what is not there.
func (v *validator) noRemoval(f field, r removal) {
	native := withoutTotal(f.name)
	const found = "found null, which removes a built-in entry, but the built-in document has no "
	if r.runtime == nil {
		var names []string
		if mapping := v.overlay.builtin.get(keyMapping); mapping != nil {
			names = mapping.names()
		}
		v.fault(f.at, f.value, found+"runtime %s%s", quote(r.runtimeName), v.suggest(r.runtimeName, names))
		return
	}
	for _, m := range r.runtime.members {
		if m.value.member(native, withoutTotal) != nil {
			v.fault(f.at, f.value, found+"%s in the range %s of %s; it has it in %s", quote(f.name), quote(r.rangeName), quote(r.runtimeName), quote(m.key.text))
			return
		}
	}
	if r.versions == nil {
		v.fault(f.at, f.value, found+"range %s of %s%s", quote(r.rangeName), quote(r.runtimeName), v.suggest(r.rangeName, r.runtime.names()))
		return
	}
	v.fault(f.at, f.value, found+"%s in the range %s of %s%s", quote(f.name), quote(r.rangeName), quote(r.runtimeName), v.suggest(f.name, r.versions.names()))
}

// names returns the keys of an object of the built-in document.
func (n *node) names() []string {
	names := make([]string, len(n.members))
	for i, m := range n.members {
		names[i] = m.key.text
	}
	return names
}

// overrides notes the type of a unified metric that the built-in document has, too.
func (v *validator) overrides(name string, typ field) {
	if v.overlay == nil || typ.value.builtin {
		return
	}
	if o := v.overlay.overrides[withoutTotal(name)]; o != nil && o.typ == nil {
		o.at, o.typ = typ.at, typ.value
	}
}

// misfit reports whether a target is a built-in one of a unified metric whose type the overlay has changed from or to a histogram
// or a summary, and counts it: the native metric has no samples of such names.
func (v *validator) misfit(p pointer, n *node, family string) bool {
	if v.overlay == nil || !n.builtin {
		return false
	}
	o := v.overlay.overrides[family]
	if o == nil || v.types[family] == "" {
		return false
	}
	was, ok := typeOf(o.builtin)
	if !ok || samples(was) == samples(v.types[family]) {
		return false
	}
	v.overlay.leaveOut(o, p, n, "")
	return true
}

// takeMisfits takes back the faults of a built-in target since before, which come from the type that the overlay gave its family,
// and reports whether there are any.
func (v *validator) takeMisfits(p pointer, n *node, family string, before int) bool {
	if v.overlay == nil || !n.builtin || len(v.faults) <= before {
		return false
	}
	o := v.overlay.overrides[family]
	if o == nil {
		return false
	}
	v.overlay.leaveOut(o, p, n, strings.TrimSuffix(v.faults[before].Detail, inBuiltin))
	v.faults, v.seqs = v.faults[:before], v.seqs[:before]
	return true
}

// leaveOut counts a built-in target that does not fit.
func (o *overlay) leaveOut(of *override, p pointer, n *node, why string) {
	o.unfit[n] = true
	of.count(p, why)
}

func (o *override) count(p pointer, why string) {
	if o.misfits++; o.misfits == 1 {
		o.example = string(p)
		if why != "" {
			o.example += " (" + why + ")"
		}
	}
}

// overridden adds the faults of unified metrics whose built-in targets do not fit the overlay's type.
func (v *validator) overridden() {
	defer v.leave(len(v.faults))
	for name, o := range v.overlay.overrides {
		if o.misfits == 0 || o.typ == nil {
			continue
		}
		was, _ := typeOf(o.builtin)
		v.fault(o.at, o.typ, "found %s for %s, which is a %s in the built-in document: %d of its built-in targets do not fit, such as %s; override or remove them, too, or define a metric of another name",
			quote(o.typ.text), quote(name), was, o.misfits, o.example)
	}
}

// typeOf returns the type of a definition.
func typeOf(definition *node) (catalog.Type, bool) {
	n := definition.get(keyType)
	if n == nil {
		return "", false
	}
	typ := catalog.Type(strings.ToLower(n.text))
	return typ, typ.Valid()
}

// samples says how samples of a type are called: a gauge's and a counter's have one name.
func samples(t catalog.Type) catalog.Type {
	if t == catalog.Counter {
		return catalog.Gauge
	}
	return t
}

// inOrder returns the faults in the overlay's order; those of built-in entries come last.
func (v *validator) inOrder() Faults {
	order := make([]int, len(v.faults))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(v.seqs[a], v.seqs[b]), cmp.Compare(v.faults[a].Pointer, v.faults[b].Pointer))
	})
	faults := make(Faults, len(order))
	for i, at := range order {
		faults[i] = v.faults[at]
	}
	return faults
}
