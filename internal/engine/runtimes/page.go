package runtimes

import (
	"bytes"
	"iter"

	"github.com/stackscope/stackscope/internal/exposition"
)

// linesWith yields the lines of a page that begin with prefix.
func linesWith(page []byte, prefix string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		pattern := []byte("\n" + prefix)
		for at := 0; ; at += len(prefix) {
			if at > 0 || !bytes.HasPrefix(page, pattern[1:]) {
				i := bytes.Index(page[at:], pattern)
				if i < 0 {
					return
				}
				at += i + 1
			}
			line, _, _ := bytes.Cut(page[at:], pattern[:1])
			if !yield(exposition.TrimLine(line)) {
				return
			}
		}
	}
}

// labelValue returns the first value of label name on a page, in samples whose names begin with one of prefixes.
func labelValue(page []byte, name string, prefixes []string) string {
	var s exposition.Sample
	for _, prefix := range prefixes {
		for line := range linesWith(page, prefix) {
			if s.Parse(line) != nil {
				continue
			}
			for _, l := range s.Labels {
				if string(l.Name) == name && len(l.Value) > 0 {
					return string(exposition.Unescape(nil, l.Value))
				}
			}
		}
	}
	return ""
}
