// Package mapping decodes, checks and compiles the document that says which native metric family of an inference engine
// becomes which unified family: GPUStack's metrics configuration, extended by targets that are objects or lists.
package mapping

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/catalog"
)

// MaxDocumentBytes bounds a document.
const MaxDocumentBytes = 4 << 20

// Keys of a document.
const (
	keyMetrics     = "gpustack_metrics"
	keyMapping     = "runtime_mapping"
	keyType        = "type"
	keyDescription = "description"
	keyAliases     = "name_aliases"
	keyUnit        = "unit"           // of a metric; GPUStack reads it nowhere
	keyQueries     = "metric_queries" // of GPUStack; not used here
	keyExtends     = "extends"
)

// Keys of a target.
const (
	keyTo        = "to"
	keyName      = "name" // GPUStack's spelling of keyTo
	keyMatch     = "match"
	keyScale     = "scale"
	keyAs        = "as"
	keySumOver   = "sum_over"
	keySumBy     = "sum_by"
	keyMaxOver   = "max_over"
	keyIgnore    = "ignore"
	keyRename    = "rename"
	keyDrop      = "drop"
	keyKeep      = "keep"
	keyAdd       = "add"
	keyValueFrom = "value_from"
	keySince     = "since"
	keyUntil     = "until"
	keyApprox    = "approx"
	keyFallback  = "fallback"
)

// Keys of since as an object.
const (
	keyVersion = "version"
	keyShownBy = "shown_by"
)

// Document is a valid mapping document. It is immutable and keeps its author's order and spelling.
type Document struct {
	root *node
	// effective is what an overlay comes to, nil of other documents. The fields below are of other documents alone.
	effective *Document

	families []definition
	runtimes []runtimeMapping
	aliases  map[string][]alias // by runtime
}

// definition is an entry of gpustack_metrics.
type definition struct {
	name        string // as a unified family is named: a counter without _total
	typ         catalog.Type
	description string
	described   bool
}

// runtimeMapping is an entry of runtime_mapping.
type runtimeMapping struct {
	name   string
	ranges []rangeMapping
}

// rangeMapping holds the natives of one range or, when any is set, of every version.
type rangeMapping struct {
	any      bool
	versions versionRange
	entries  []entry
}

// entry maps a native family to unified ones. All names stand without _total.
type entry struct {
	native  string
	targets []target
}

// bounded reports whether a target holds for some versions only.
func (e *entry) bounded() bool {
	return slices.ContainsFunc(e.targets, func(t target) bool { return t.versions != nil })
}

// target is a unified family that a native one feeds, and how.
type target struct {
	family string
	as     As
	change *Change
	// versions is in force besides the range that the entry stands in; nil: all of that.
	versions *versionRange
	// shownBy are natives, without _total, of which one shows that an engine of unknown version has reached the target's since.
	shownBy []string
	// fallback says that the target is used only where no candidate before it is.
	fallback bool
	// approx says why the two are close but not equal, "" if they are equal.
	approx string
}

// Decode reads a document in JSON (its first byte is { or [) or YAML. It is strict: the error of a faulty document is
// Faults with every fault, or with one where the syntax is broken. A document with extends: default is an overlay, which is valid
// if the built-in document with its changes is.
func Decode(data []byte) (*Document, error) { return decode(data, Default) }

// decode is Decode with another built-in document; nil: there is none.
func decode(data []byte, builtin func() *Document) (*Document, error) {
	root, fault := parse(data)
	if fault != nil {
		return nil, Faults{*fault}
	}
	return valid(root, builtin)
}

// valid turns a tree into a document.
func valid(root *node, builtin func() *Document) (*Document, error) {
	if builtin != nil && root.key(keyExtends) != nil {
		doc, _, err := validOverlay(root, builtin(), posted)
		return doc, err
	}
	v := validator{}
	doc := v.document(root)
	if len(v.faults) > 0 {
		return nil, v.faults
	}
	return doc, nil
}

func parse(data []byte) (*node, *Fault) {
	if len(data) > MaxDocumentBytes {
		return nil, &Fault{Detail: fmt.Sprintf("found %d bytes, allowed are %d", len(data), MaxDocumentBytes)}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if at := invalidUTF8(data); at >= 0 {
		line, column := position(data, at)
		return nil, &Fault{Detail: fmt.Sprintf("found the byte 0x%02x at column %d, allowed is UTF-8", data[at], column), Line: line}
	}
	text := bytes.TrimLeft(data, " \t\r\n")
	if len(text) == 0 {
		return nil, emptyFault()
	}
	if text[0] == '{' || text[0] == '[' {
		return parseJSON(data)
	}
	return parseYAML(data)
}

func emptyFault() *Fault {
	return &Fault{Detail: "found an empty document, allowed is an object with " + keyMetrics + " and " + keyMapping}
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
