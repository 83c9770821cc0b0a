// Package pagetemplate finds the values of a page that differs from an earlier one in nothing but its values, and puts them
// into the lines that the earlier page became.
//
// From scrape to scrape an engine's page nearly always changes in its values alone:
//
//	first page                    next page                     slot
//	vllm:running{rank="0"} 3      vllm:running{rank="0"} 12     0: "3", "12"
//	vllm:cached{rank="0"} 0.5     vllm:cached{rank="0"} 0.25    1: "0.5", "0.25"
//
// A Template is the text of the first page with a slot for each value. Match compares the next page with the text between
// the slots, which takes a fraction of the time that reading its lines takes. Lines are the output of the first page;
// Lines.Fill writes the next page's values over those of the first.
//
// The package knows nothing about metrics beyond the syntax of a value. What a line becomes, and which pages may have a
// template at all, is decided in package translate.
package pagetemplate

import (
	"bytes"
	"unsafe"

	"github.com/stackscope/stackscope/internal/exposition"
)

// Bounds of a template. A page beyond them gets none.
const (
	// MaxPageBytes bounds the page that a template is made of. A page that matches may have twice as much.
	MaxPageBytes = 4 << 20
	// MaxLineBytes bounds a line that has a value of interest.
	MaxLineBytes = 64 << 10
	maxSlots     = 64 << 10
)

// A Template is the text of a page with slots where its values are.
type Template struct {
	text  []byte
	slots []slot
	// found is where Match found the value of each slot.
	found []span
}

// A slot is a part of a page that may differ from page to page.
type slot struct {
	span
	kind slotKind
}

type span struct{ start, end uint32 }

type slotKind uint8

const (
	anyNumber slotKind = iota
	notNegative
	anyText // the rest of a line in which nobody is interested
)

// New returns a template of a page, with no slots yet. The page is copied.
func New(page []byte) *Template { return &Template{text: bytes.Clone(page)} }

// AddValue adds a slot for the value of length n that begins at the given place, behind all other slots. It returns the
// slot's number, and false if there are too many.
func (t *Template) AddValue(at, n int) (slotNumber int32, ok bool) {
	return t.add(slot{span: span{uint32(at), uint32(at + n)}})
}

// ForbidNegative makes Match refuse pages in which the slot's value begins with a minus.
func (t *Template) ForbidNegative(slotNumber int32) { t.slots[slotNumber].kind = notNegative }

// AddIgnored adds a slot for the rest of a line, of which the name up to nameEnd alone matters. It returns false if no blank
// or brace ends the name, or if there are too many slots.
func (t *Template) AddIgnored(nameEnd int) (ok bool) {
	if nameEnd == len(t.text) || t.text[nameEnd] != ' ' && t.text[nameEnd] != '{' {
		return false
	}
	end := bytes.IndexByte(t.text[nameEnd:], '\n')
	if end < 0 {
		end = len(t.text) - nameEnd
	}
	_, ok = t.add(slot{span{uint32(nameEnd + 1), uint32(nameEnd + end)}, anyText})
	return ok
}

func (t *Template) add(s slot) (int32, bool) {
	if len(t.slots) == maxSlots {
		return 0, false
	}
	t.slots = append(t.slots, s)
	return int32(len(t.slots) - 1), true
}

// Text returns the n bytes of the template that begin at the given place. They stay as they are.
func (t *Template) Text(at, n int) []byte { return t.text[at : at+n : at+n] }

// PageBytes returns the size of the page that the template was made of.
func (t *Template) PageBytes() int { return len(t.text) }

// Bytes returns about how much memory the template takes.
func (t *Template) Bytes() int {
	return len(t.text) + len(t.slots)*int(unsafe.Sizeof(slot{})+unsafe.Sizeof(span{}))
}

// Match finds the values of a page, and reports whether the page is the template's but for them. The values hold until the
// next Match.
func (t *Template) Match(page []byte) (Values, bool) {
	if len(page) > 2*MaxPageBytes {
		return Values{}, false
	}
	if len(t.found) != len(t.slots) {
		t.found = make([]span, len(t.slots))
	}
	found := t.found
	pos, from := 0, uint32(0)
	for i := range t.slots {
		s := &t.slots[i]
		text := t.text[from:s.start]
		if len(page)-pos < len(text) || string(page[pos:pos+len(text)]) != string(text) {
			return Values{}, false
		}
		pos += len(text)
		rest, n := page[pos:], 0
		if s.kind == anyText {
			if n = bytes.IndexByte(rest, '\n'); n < 0 {
				n = len(rest)
			}
		} else if n = exposition.PlainNumberLen(rest); n == 0 {
			if n = bytes.IndexAny(rest[:min(len(rest), MaxLineBytes)], " \t\r\n"); n < 0 || !exposition.ValidNumber(rest[:n]) {
				return Values{}, false
			}
		}
		if s.kind == notNegative && rest[0] == '-' {
			return Values{}, false
		}
		found[i] = span{uint32(pos), uint32(pos + n)}
		pos += n
		from = s.end
	}
	return Values{page, found}, string(page[pos:]) == string(t.text[from:])
}

// Values are the values of a page that matches a template.
type Values struct {
	page  []byte
	found []span
}

// At returns the value of a slot.
func (v Values) At(slotNumber int32) []byte {
	s := &v.found[slotNumber]
	return v.page[s.start:s.end]
}
