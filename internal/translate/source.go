package translate

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Label is a label of an instance; the value is plain text, not escaped.
type Label struct{ Name, Value string }

// Source is the labels of an instance, which each of its samples gets, or those of the instances of several models. It is immutable.
type Source struct {
	labels   []Label
	rendered exposition.Labels
	split    *split             // nil: all samples get these labels
	hashed   []exposition.Label // of these labels, those that hashes of output labels contain
}

// NewSource returns a Source with the given labels, in their order. It omits labels without a value, with an illegal name, or
// with a name that came before. It also omits le, quantile and __name__, which do not describe an instance.
func NewSource(labels []Label) *Source {
	s := &Source{labels: make([]Label, 0, len(labels))}
	pairs := make([]string, 0, 2*len(labels))
	for _, l := range labels {
		if l.Value == "" || !exposition.ValidLabelName(l.Name) || s.has(l.Name) || l.Name == labelLE || l.Name == labelQuantile || l.Name == "__name__" {
			continue
		}
		l.Value = strings.ToValidUTF8(l.Value, "\uFFFD")
		s.labels = append(s.labels, l)
		pairs = append(pairs, l.Name, l.Value)
	}
	s.rendered = exposition.RenderLabels(pairs...)
	return s
}

// Labels that describe a sample.
const (
	labelLE       = "le"
	labelQuantile = "quantile"
)

var nameLE = []byte(labelLE)

// Prefixes of native labels whose name the instance has. A native cluster label is always renamed, to native_<name>: a scrape may
// ask for a page without the instance's cluster labels, and the native label must have the same name on both pages.
const (
	prefixExported        = "exported_"
	prefixNative          = "native_"
	prefixExportedCluster = prefixExported + "cluster"
)

func (s *Source) value(name string) (string, bool) {
	for i := range s.labels {
		if s.labels[i].Name == name {
			return s.labels[i].Value, true
		}
	}
	return "", false
}

func (s *Source) has(name string) bool {
	_, ok := s.value(name)
	return ok
}

// reserved reports whether a native label is always renamed.
func reserved(name []byte) bool {
	return string(name) == catalog.LabelClusterID || string(name) == catalog.LabelClusterName ||
		bytes.HasPrefix(name, []byte(prefixExportedCluster))
}

// relabel returns the native labels that follow those of the instance, in their order. It renames like Prometheus: where the
// instance has a label with another value, the native one becomes exported_<name>, or exported_exported_<name> if that exists,
// too. Labels without a value, and labels that the instance has with the same value, are omitted. Values are escaped; unchanged
// ones share memory with native.
func (s *Source) relabel(dst, native []exposition.Label) []exposition.Label {
	var clashes []int
	for _, l := range native {
		if len(l.Value) == 0 {
			continue
		}
		own, taken := s.value(string(l.Name))
		if taken && !reserved(l.Name) && (unescapesTo(l.Value, own) || spelledOut(l.Value, own)) {
			continue
		}
		if taken || reserved(l.Name) {
			clashes = append(clashes, len(dst))
		}
		dst = append(dst, l)
	}
	// Prometheus renames labels with short names first.
	slices.SortFunc(clashes, func(a, b int) int {
		return cmp.Or(cmp.Compare(len(dst[a].Name), len(dst[b].Name)), bytes.Compare(dst[a].Name, dst[b].Name))
	})
	for _, i := range clashes {
		prefix := prefixExported
		if reserved(dst[i].Name) || bytes.HasPrefix(dst[i].Name, []byte("cluster")) {
			prefix = prefixNative
		}
		name := prefix + string(dst[i].Name)
		for s.has(name) || hasName(dst, name) {
			name = prefix + name
		}
		dst[i].Name = []byte(name)
	}
	for i := range dst {
		dst[i].Value = canonicalValue(dst[i].Value)
	}
	return dst
}

// hasName reports whether one of the labels has the name and a value.
func hasName(labels []exposition.Label, name string) bool {
	for i := range labels {
		if string(labels[i].Name) == name && len(labels[i].Value) > 0 {
			return true
		}
	}
	return false
}

// unescapesTo reports whether an escaped value stands for the text.
func unescapesTo(escaped []byte, text string) bool {
	if bytes.IndexByte(escaped, '\\') < 0 {
		return string(escaped) == text
	}
	return string(exposition.Unescape(nil, escaped)) == text
}

// spelledOut reports whether text is an escaped value with its invisible characters spelled out, as in names of instances:
// <U+200B>.
func spelledOut(escaped []byte, text string) bool {
	return strings.Contains(text, "<U+") && fleet.Spelled(string(exposition.Unescape(nil, escaped)), fleet.MaxModelName) == text
}

// canonicalValue removes needless escapes from a value. Prometheus reads \d as a backslash and a d; other parsers refuse a page
// that has it.
func canonicalValue(escaped []byte) []byte {
	if bytes.IndexByte(escaped, '\\') < 0 {
		return escaped
	}
	return exposition.AppendLabelValue(nil, string(exposition.Unescape(nil, escaped)))
}
