package mapping

import "encoding/json"

// Kinds of differences.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Difference is a place where two documents differ.
type Difference struct {
	// Pointer is the RFC 6901 JSON pointer of the place.
	Pointer string `json:"pointer"`
	// Kind is Added, Removed or Changed.
	Kind string `json:"kind"`
	// Before and After are the values in JSON; empty where there is none.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Diff tells where two documents differ: what the first has, in its order, then what only the second has. Objects are compared
// key by key down to the entries of natives; that two spellings of a counter's name mean the same is not looked at, nor is the
// order of keys. A document that is nil differs in nothing.
func Diff(a, b *Document) []Difference {
	if a == nil || b == nil || a.root == nil || b.root == nil {
		return nil
	}
	var list []Difference
	appendDifferences(&list, "", a.root, b.root, 0)
	return list
}

// entryDepth is the depth of a document at which values are compared as a whole: families' definitions and natives' targets.
const entryDepth = 4

func appendDifferences(list *[]Difference, p pointer, a, b *node, depth int) {
	if a.kind != kindObject || b.kind != kindObject || depth == entryDepth {
		if !a.equal(b) {
			*list = append(*list, Difference{Pointer: string(p), Kind: Changed, Before: a.json(), After: b.json()})
		}
		return
	}
	for _, m := range a.members {
		at := p.key(m.key.text)
		if other := b.get(m.key.text); other != nil {
			appendDifferences(list, at, m.value, other, depth+1)
		} else {
			*list = append(*list, Difference{Pointer: string(at), Kind: Removed, Before: m.value.json()})
		}
	}
	for _, m := range b.members {
		if a.get(m.key.text) == nil {
			*list = append(*list, Difference{Pointer: string(p.key(m.key.text)), Kind: Added, After: m.value.json()})
		}
	}
}

// json returns a node of a valid document as JSON.
func (n *node) json() string {
	d := &Document{root: n}
	data, err := json.Marshal(d)
	if err != nil {
		return ""
	}
	return string(data)
}
