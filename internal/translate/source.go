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

// Source is an instance as its samples name it: the labels that each of them gets. It does not change.
type Source struct {
	labels   []Label
	rendered exposition.Labels
}

// NewSource returns a Source with the given labels, rendered in their order. Labels are left out that have no value, no
// legal name, or a name that comes twice; le, quantile and __name__ are left out because they say what a sample is and
// not where it comes from.
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

// Names of labels with a meaning of their own.
const (
	labelLE       = "le"
	labelQuantile = "quantile"
)

var nameLE = []byte(labelLE)

// Prefixes of native labels whose name is taken. Cluster labels get a prefix of their own: the instance's may be left
// out for one scrape and be there in the next, and the native one must not change its name with them.
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

// reserved reports whether a native label may never keep its name.
func reserved(name []byte) bool {
	return string(name) == catalog.LabelClusterID || string(name) == catalog.LabelClusterName ||
		bytes.HasPrefix(name, []byte(prefixExportedCluster))
}

// relabel returns the native labels as they go beside the instance's, in their order: those without a value are left out,
// as are those that say the same as the instance's; one whose name the instance has with another value is kept as
// exported_<name>, or exported_exported_<name> and so on where that is taken too, as Prometheus does it. The labels of
// the result are escaped and point into the arguments where nothing changed.
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
	// Prometheus renames short names first.
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

// unescapesTo reports whether an escaped value means the given text.
func unescapesTo(escaped []byte, text string) bool {
	if bytes.IndexByte(escaped, '\\') < 0 {
		return string(escaped) == text
	}
	return string(exposition.Unescape(nil, escaped)) == text
}

// writtenOut reports whether text is what an escaped value means, with what doesn't show of it written out, as an instance's names are.
func spelledOut(escaped []byte, text string) bool {
	return strings.Contains(text, "<U+") && fleet.Spelled(string(exposition.Unescape(nil, escaped)), fleet.MaxModelName) == text
}

// canonicalValue returns a value with nothing escaped that need not be. Prometheus reads a backslash before any other
// character as itself, other parsers refuse the page for it.
func canonicalValue(escaped []byte) []byte {
	if bytes.IndexByte(escaped, '\\') < 0 {
		return escaped
	}
	return exposition.AppendLabelValue(nil, string(exposition.Unescape(nil, escaped)))
}
