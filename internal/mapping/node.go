package mapping

import (
	"cmp"
	"strconv"
	"strings"
)

// kind is the JSON type of a node, or what YAML has besides.
type kind uint8

const (
	kindObject kind = iota
	kindArray
	kindString
	kindNumber
	kindBool
	kindNull
	kindAlias
	kindTagged
)

// node is a value of a document with everything that the author wrote: order, duplicate keys, lines.
type node struct {
	kind    kind
	text    string   // of scalars: the value; of an alias: its name
	tag     string   // of a tagged value: the YAML tag
	members []member // of an object
	items   []*node  // of an array
	line    int      // from 1; 0: not known
	seq     int      // the place in the document, to compare
	builtin bool     // in an overlay's tree: of the built-in document
	spelled string   // of a key of an overlay that the built-in document spells otherwise: how the overlay does
	empty   bool     // of a YAML document: nothing is written there
}

// member is a key of an object with its value.
type member struct {
	key   *node // always a string in JSON
	value *node
}

// Bounds of a document's tree. GPUStack's own document has about 250 values on 5 levels.
const (
	maxNodes = 50_000
	maxDepth = 16
)

// what names the node in a fault.
func (n *node) what() string {
	switch n.kind {
	case kindObject:
		return "an object"
	case kindArray:
		return "a list"
	case kindString:
		return "the string " + quote(n.text)
	case kindNumber:
		return "the number " + shorten(n.text)
	case kindBool:
		return "the boolean " + shorten(n.text)
	case kindNull:
		return "null"
	case kindAlias:
		return "the YAML alias *" + shorten(n.text)
	default:
		switch n.tag {
		case "!!timestamp":
			return "the date " + shorten(n.text)
		case "!!merge":
			return "the YAML merge key " + shorten(n.text)
		default:
			return "the YAML tag " + shorten(n.tag)
		}
	}
}

// get returns the value of the first member with the given key, or nil.
func (n *node) get(key string) *node {
	if n == nil || n.kind != kindObject {
		return nil
	}
	for _, m := range n.members {
		if m.key.kind == kindString && m.key.text == key {
			return m.value
		}
	}
	return nil
}

// key returns the first key of that name, or nil.
func (n *node) key(name string) *node {
	for _, m := range n.members {
		if m.key.kind == kindString && m.key.text == name {
			return m.key
		}
	}
	return nil
}

// member returns the first member of an object whose key has a canonical name, or nil.
func (n *node) member(name string, canonical func(string) string) *member {
	if n == nil {
		return nil
	}
	for i, m := range n.members {
		if m.key.kind == kindString && canonical(m.key.text) == name {
			return &n.members[i]
		}
	}
	return nil
}

// lower spells a boolean as JSON does. A tree that is valid already is only read.
func (n *node) lower() {
	if lower := strings.ToLower(n.text); lower != n.text {
		n.text = lower
	}
}

// spelling returns a key as the document's author wrote it.
func (n *node) spelling() string { return cmp.Or(n.spelled, n.text) }

// equal compares two trees, lines left out.
func (n *node) equal(o *node) bool {
	if n.kind != o.kind || n.text != o.text || n.tag != o.tag || len(n.members) != len(o.members) || len(n.items) != len(o.items) {
		return false
	}
	for i, m := range n.members {
		if !m.key.equal(o.members[i].key) || !m.value.equal(o.members[i].value) {
			return false
		}
	}
	for i, item := range n.items {
		if !item.equal(o.items[i]) {
			return false
		}
	}
	return true
}

// budget counts the nodes of a tree while it is built.
type budget struct {
	nodes int
}

// take accounts for one node at a depth and returns a fault when the tree is too large.
func (b *budget) take(depth int) *Fault {
	b.nodes++
	if b.nodes > maxNodes {
		return &Fault{Detail: "found more than " + strconv.Itoa(maxNodes) + " values, allowed are " + strconv.Itoa(maxNodes)}
	}
	if depth > maxDepth {
		return &Fault{Detail: "found values nested deeper than " + strconv.Itoa(maxDepth) + " levels, allowed are " + strconv.Itoa(maxDepth)}
	}
	return nil
}
