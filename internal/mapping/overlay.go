package mapping

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
)

// ExtendsDefault is the value of Extends of an overlay: a document that adds to the built-in one and overrides its entries.
const ExtendsDefault = "default"

// Extends returns ExtendsDefault for an overlay, "" for a document that says all itself.
func (d *Document) Extends() string {
	if d == nil || d.effective == nil {
		return ""
	}
	return ExtendsDefault
}

// Effective returns what the document comes to: of an overlay the built-in document with the overlay's changes, without the key
// extends; of another document itself.
func (d *Document) Effective() *Document {
	if d == nil || d.effective == nil {
		return d
	}
	return d.effective
}

// AsOverlay returns the document with extends: default. Its error is Faults. DecodeOverlay reads one that is valid only as an
// overlay, such as one that feeds built-in unified metrics.
func (d *Document) AsOverlay() (*Document, error) {
	if d == nil || d.effective != nil {
		return d, nil
	}
	doc, _, err := validOverlay(withExtends(d.root), Default(), posted)
	return doc, err
}

// DecodeOverlay is Decode of a document that is meant as an overlay, whether it says extends: default or not.
func DecodeOverlay(data []byte) (*Document, error) {
	root, fault := parse(data)
	if fault != nil {
		return nil, Faults{*fault}
	}
	if root.kind != kindObject {
		return valid(root, Default)
	}
	doc, _, err := validOverlay(withExtends(root), Default(), posted)
	return doc, err
}

// DecodeOver is Decode with another built-in document, such as that of a newer version.
func DecodeOver(data []byte, builtin *Document) (*Document, error) {
	return decode(data, func() *Document { return builtin })
}

// DecodeStored is Decode of a document that was valid when it was stored, maybe over the built-in document of another version. What
// an overlay says that no longer fits the built-in document is no fault: the removal of an entry that is gone has no effect, and
// built-in targets that do not fit the type of a unified metric are left out. left says what that is.
func DecodeStored(data []byte, builtin *Document) (doc *Document, left Faults, err error) {
	root, fault := parse(data)
	switch {
	case fault != nil:
		return nil, nil, Faults{*fault}
	case root.key(keyExtends) == nil:
		doc, err = valid(root, nil)
		return doc, nil, err
	}
	return validOverlay(root, builtin, stored)
}

// Digest returns the SHA-256 of a document's bytes in hexadecimal digits, by which a server and its workers compare documents.
func Digest(document []byte) string {
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:])
}

// withExtends returns an object that has the key extends.
func withExtends(root *node) *node {
	if root.key(keyExtends) != nil {
		return root
	}
	with := *root
	extends := member{key: &node{kind: kindString, text: keyExtends}, value: &node{kind: kindString, text: ExtendsDefault}}
	with.members = append([]member{extends}, root.members...)
	return &with
}

// Origins of an overlay.
const (
	posted = false
	stored = true // maybe when the built-in document was another one
)

// validOverlay turns the tree of an overlay into a document. What is checked is the built-in document with the overlay's changes.
func validOverlay(root *node, builtin *Document, origin bool) (doc *Document, left Faults, err error) {
	o := overlay{
		builtin: builtin.Effective().root, stored: origin, removals: map[*node]removal{}, overrides: map[string]*override{}, unfit: map[*node]bool{},
	}
	merged := o.merge(root)
	if n := merged.count(); n > maxNodes {
		return nil, nil, Faults{{Detail: fmt.Sprintf("found %d values, built-in ones included, allowed are %d", n, maxNodes)}}
	}
	v := validator{overlay: &o}
	effective := v.document(merged)
	v.overridden()
	if len(v.faults) > 0 {
		return nil, nil, v.inOrder()
	}
	o.drop(merged)
	effective.root = merged
	if data, err := effective.MarshalJSON(); err != nil {
		return nil, nil, Faults{{Detail: err.Error()}}
	} else if len(data) > MaxDocumentBytes {
		return nil, nil, Faults{{Detail: fmt.Sprintf("found a document of %d bytes as JSON, built-in entries included, allowed are %d", len(data), MaxDocumentBytes)}}
	}
	return &Document{root: root, effective: effective}, o.left, nil
}

// overlay lays a document over the built-in one. The merged tree shares the overlay's nodes below those that are merged, so that
// their faults have the overlay's lines.
type overlay struct {
	builtin   *node
	removals  map[*node]removal    // by the value null
	ranges    []*node              // merged; they hold nulls until drop
	overrides map[string]*override // unified metrics of both documents, by name without _total

	// Of a stored overlay: what no longer fits the built-in document, and the built-in targets that are left out for that.
	stored bool
	left   Faults
	unfit  map[*node]bool
}

// removal is a native metric with the value null.
type removal struct {
	runtimeName, rangeName string
	// Of the built-in document; nil: it has none.
	runtime, versions *node
}

// override is a unified metric of the overlay that the built-in document has, too.
type override struct {
	builtin *node // the built-in definition
	at      pointer
	typ     *node
	// Of the built-in targets that stay, those that do not fit the overlay's type.
	misfits int
	example string
}

// spaceless is the canonical spelling of a version range.
func spaceless(text string) string { return strings.Join(strings.Fields(text), "") }

func (o *overlay) merge(root *node) *node {
	merged := *root
	merged.members = nil
	seen := map[string]bool{}
	for _, m := range root.members {
		base := o.builtin.get(m.key.text)
		if m.key.kind == kindString && !seen[m.key.text] {
			seen[m.key.text] = true
			switch m.key.text {
			case keyMetrics:
				m.value = o.metrics(m.value, base)
			case keyMapping:
				m.value = o.byRuntime(m.value, base, o.runtime)
			case keyAliases:
				m.value = o.byRuntime(m.value, base, func(_ string, over, base *node) *node { return before(over, base, asWritten) })
			}
		}
		merged.members = append(merged.members, m)
	}
	for _, m := range o.builtin.members {
		if !seen[m.key.text] {
			merged.members = append(merged.members, m.ofBuiltin())
		}
	}
	return &merged
}

// metrics replaces unified metrics where they stand and adds others at the end.
func (o *overlay) metrics(over, base *node) *node {
	return inPlace(over, base, withoutTotal, func(m member, was *member) member {
		if was != nil {
			o.overrides[withoutTotal(m.key.text)] = &override{builtin: was.value}
		}
		return m
	})
}

// byRuntime merges the values of runtimes that both have.
func (o *overlay) byRuntime(over, base *node, merge func(runtime string, over, base *node) *node) *node {
	return inPlace(over, base, strings.ToLower, func(m member, was *member) member {
		if was == nil {
			return member{key: m.key, value: merge(m.key.text, m.value, nil)}
		}
		return member{key: m.key.named(was.key.text), value: merge(was.key.text, m.value, was.value)}
	})
}

// runtime puts the overlay's version ranges before the built-in ones.
func (o *overlay) runtime(name string, over, base *node) *node {
	if over.kind != kindObject {
		return over
	}
	ranges := *over
	ranges.members = nil
	taken := map[string]bool{}
	for _, m := range over.members {
		r := removal{runtimeName: name, rangeName: m.key.text, runtime: base}
		if key := spaceless(m.key.text); m.key.kind == kindString && !taken[key] {
			taken[key] = true
			if was := base.member(key, spaceless); was != nil {
				r.versions = was.value
				m.key = m.key.named(was.key.text)
			}
			m.value = o.entries(r, m.value)
		}
		ranges.members = append(ranges.members, m)
	}
	if base != nil {
		for _, m := range base.members {
			if !taken[spaceless(m.key.text)] {
				ranges.members = append(ranges.members, m.ofBuiltin())
			}
		}
	}
	return &ranges
}

// entries puts the overlay's native metrics before the built-in ones.
func (o *overlay) entries(r removal, over *node) *node {
	if over.kind != kindObject {
		return over
	}
	for _, m := range over.members {
		if m.value.kind == kindNull {
			m.value.text = ""
			o.removals[m.value] = r
		}
	}
	merged := before(over, r.versions, withoutTotal)
	o.ranges = append(o.ranges, merged)
	return merged
}

// drop takes out of a merged tree what is no part of the effective document, and gives it the built-in document's order.
func (o *overlay) drop(merged *node) {
	for _, r := range o.ranges {
		r.members = slices.DeleteFunc(r.members, func(m member) bool { return m.value.kind == kindNull })
	}
	if len(o.unfit) > 0 {
		for _, runtime := range merged.get(keyMapping).members {
			for _, r := range runtime.value.members {
				r.value.members = slices.DeleteFunc(r.value.members, func(m member) bool { return o.isUnfit(m.value) })
			}
		}
	}
	order := append(o.builtin.names(), keyMetrics, keyMapping, keyAliases, keyQueries)
	merged.members = slices.DeleteFunc(merged.members, func(m member) bool { return m.key.text == keyExtends })
	slices.SortStableFunc(merged.members, func(a, b member) int {
		return cmp.Compare(slices.Index(order, a.key.text), slices.Index(order, b.key.text))
	})
}

// isUnfit takes the targets that are left out from a list, and reports whether none is left.
func (o *overlay) isUnfit(targets *node) bool {
	if targets.kind != kindArray || !targets.builtin {
		return o.unfit[targets]
	}
	targets.items = slices.DeleteFunc(targets.items, func(n *node) bool { return o.unfit[n] })
	return len(targets.items) == 0
}

// inPlace returns the object base with the members of over: the first one of a name that base has replaces it there, the others
// follow. place returns what stands in the object for a member of over and the one that it replaces, nil for none.
func inPlace(over, base *node, canonical func(string) string, place func(m member, was *member) member) *node {
	if over.kind != kindObject {
		return over
	}
	merged := *over
	merged.members = nil
	at := map[string]int{}
	if base != nil {
		for i, m := range base.members {
			merged.members = append(merged.members, m.ofBuiltin())
			if _, twice := at[canonical(m.key.text)]; !twice {
				at[canonical(m.key.text)] = i
			}
		}
	}
	for _, m := range over.members {
		i, ok := at[canonical(m.key.text)]
		if !ok || m.key.kind != kindString {
			merged.members = append(merged.members, place(m, nil))
			continue
		}
		delete(at, canonical(m.key.text))
		merged.members[i] = place(m, &base.members[i])
	}
	return &merged
}

// before returns an object with the members of over and then those of base that over does not name.
func before(over, base *node, canonical func(string) string) *node {
	if over.kind != kindObject {
		return over
	}
	merged := *over
	merged.members = slices.Clone(over.members)
	named := make(map[string]bool, len(over.members))
	for _, m := range over.members {
		if m.key.kind == kindString {
			named[canonical(m.key.text)] = true
		}
	}
	if base != nil {
		for _, m := range base.members {
			if !named[canonical(m.key.text)] {
				merged.members = append(merged.members, m.ofBuiltin())
			}
		}
	}
	return &merged
}

// named returns a key of the overlay that is spelled as the built-in document does. Faults speak of it as the author does.
func (n *node) named(text string) *node {
	key := *n
	key.text, key.spelled = text, n.text
	return &key
}

// ofBuiltin returns a copy of a member of the built-in document.
func (m member) ofBuiltin() member {
	return member{key: m.key.ofBuiltin(), value: m.value.ofBuiltin()}
}

func (n *node) ofBuiltin() *node {
	c := &node{kind: n.kind, text: n.text, builtin: true, seq: math.MaxInt}
	for _, m := range n.members {
		c.members = append(c.members, m.ofBuiltin())
	}
	for _, item := range n.items {
		c.items = append(c.items, item.ofBuiltin())
	}
	return c
}

// count returns the number of nodes of a tree.
func (n *node) count() int {
	sum := 1
	for _, m := range n.members {
		sum += m.key.count() + m.value.count()
	}
	for _, item := range n.items {
		sum += item.count()
	}
	return sum
}
