package mapping

import (
	"fmt"
	"strings"

	"github.com/stackscope/stackscope/internal/base/clip"
)

// MaxFaults bounds how many faults one document is told.
const MaxFaults = 1000

// Fault is one thing that is wrong with a mapping document.
type Fault struct {
	// Pointer is the RFC 6901 JSON pointer of the place, "" for the whole document. For a fault of a key it points to
	// the key's value, for a missing key to the object that lacks it.
	Pointer string
	// Detail says what was found and what is allowed.
	Detail string
	// Line is the line of the document, from 1; 0 if it is not known.
	Line int
}

// String returns the fault on one line: "line 12: /runtime_mapping/vLLM: found ...".
func (f Fault) String() string {
	text := f.Detail
	if f.Pointer != "" {
		text = f.Pointer + ": " + text
	}
	if f.Line > 0 {
		text = fmt.Sprintf("line %d: %s", f.Line, text)
	}
	return text
}

// Faults are all faults of a document, in document order, at most MaxFaults.
type Faults []Fault

// faultsInError is how many faults Error spells out.
const faultsInError = 3

// Error returns the first faults and the number of the others on one line.
func (f Faults) Error() string {
	var b strings.Builder
	switch len(f) {
	case 0:
		return "mapping document: no fault"
	case 1:
		b.WriteString("mapping document: ")
	default:
		fmt.Fprintf(&b, "mapping document: %d faults: ", len(f))
	}
	for i, fault := range f[:min(len(f), faultsInError)] {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(fault.String())
	}
	if more := len(f) - faultsInError; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// pointer is a JSON pointer under construction.
type pointer string

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

func (p pointer) key(key string) pointer {
	return p + pointer("/"+pointerEscaper.Replace(shorten(key)))
}

func (p pointer) index(i int) pointer {
	return pointer(fmt.Sprintf("%s/%d", p, i))
}

// clipBytes bounds how much of a document's own text a fault repeats.
const clipBytes = 300

// shorten bounds text of the document that a fault repeats.
func shorten(text string) string { return clip.End(text, clipBytes) }

// quote repeats a document's own text in a fault.
func quote(text string) string {
	return fmt.Sprintf("%q", shorten(text))
}
