package mapping

import (
	"fmt"
	"iter"
	"strings"

	"github.com/stackscope/stackscope/internal/exposition"
)

// This file walks over objects of a tree and tells what is wrong with their keys.

// inBuiltin ends the detail of a fault of an overlay that is in an entry of the built-in document.
const inBuiltin = " (in the built-in document)"

// fault adds a fault. The node gives the line.
func (v *validator) fault(p pointer, n *node, format string, args ...any) {
	if len(v.faults) >= MaxFaults {
		return
	}
	fault := Fault{Pointer: string(p), Detail: fmt.Sprintf(format, args...)}
	seq := 0
	if n != nil {
		fault.Line, seq = n.line, n.seq
		if n.builtin {
			fault.Detail += inBuiltin
		}
	}
	v.faults, v.seqs = append(v.faults, fault), append(v.seqs, seq)
}

// wrongType adds the fault of a value that has another type than the allowed one.
func (v *validator) wrongType(p pointer, n *node, allowed string) {
	if n.kind == kindAlias {
		allowed += ", written out"
	}
	v.fault(p, n, "found %s, allowed is %s", n.what(), allowed)
}

// is checks a node's kind.
func (v *validator) is(k kind, p pointer, n *node, allowed string) bool {
	if n.kind == k {
		return true
	}
	v.wrongType(p, n, allowed)
	return false
}

// field is a member of an object with its place.
type field struct {
	at    pointer
	name  string
	key   *node
	value *node
}

// fields yields the members of an object whose keys are strings and there for the first time; others are faults.
// Canonical names the key under which two spellings are the same.
func (v *validator) fields(p pointer, n *node, canonical func(string) string) iter.Seq[field] {
	return func(yield func(field) bool) {
		first := make(map[string]string, len(n.members))
		for _, m := range n.members {
			f, ok := v.field(p, m, canonical, first)
			if ok && !yield(f) {
				return
			}
		}
	}
}

// field checks a member's key. First holds the keys before it by their canonical names.
func (v *validator) field(p pointer, m member, canonical func(string) string, first map[string]string) (field, bool) {
	if m.key.kind != kindString {
		at := p
		if m.key.text != "" {
			at = p.key(m.key.text)
		}
		v.fault(at, m.key, "found %s as a key, allowed is a string%s", m.key.what(), keyHint(m.key))
		return field{}, false
	}
	written := m.key.spelling()
	f := field{at: p.key(written), name: m.key.text, key: m.key, value: m.value}
	before, again := first[canonical(f.name)]
	switch {
	case again && before == written:
		v.fault(f.at, f.key, "found the key %s again, allowed is each key once", quote(written))
	case again:
		v.fault(f.at, f.key, "found %s besides %s, allowed is one spelling of a name", quote(written), quote(before))
	default:
		first[canonical(f.name)] = written
	}
	return f, !again
}

func keyHint(key *node) string {
	switch key.kind {
	case kindNumber, kindBool, kindNull:
		return "; quote it"
	default:
		return ""
	}
}

func asWritten(key string) string { return key }

func (v *validator) unknownKey(f field, allowed ...string) {
	v.fault(f.at, f.key, "found the unknown key %s, allowed %s%s", quote(f.name), listed(allowed), v.suggest(f.name, allowed))
}

// listed writes "is a" or "are a, b".
func listed(allowed []string) string {
	if len(allowed) == 1 {
		return "is only " + quote(allowed[0])
	}
	return "are " + strings.Join(allowed, ", ")
}

// metricName checks a key or target that must be a metric name.
func (v *validator) metricName(name string, p pointer, n *node) bool {
	switch {
	case len(name) > maxNameBytes:
		v.fault(p, n, "found a name of %d bytes, allowed are %d", len(name), maxNameBytes)
	case !exposition.ValidMetricName(name):
		v.fault(p, n, "found %s, allowed is a metric name: letters, digits, _ and :, no digit first", quote(name))
	default:
		return true
	}
	return false
}
