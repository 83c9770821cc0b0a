package fleet

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// textFault says what is wrong with a text, or nothing. What people see of it is all that it is: no two texts differ by what
// doesn't show, and none shows as another. Letters of all scripts are allowed.
func textFault(s string, shortest, longest int) string {
	switch {
	case len(s) > longest:
		return fmt.Sprintf("is %d bytes long; at most %d are allowed", len(s), longest)
	case !utf8.ValidString(s):
		return fmt.Sprintf("is %s; it must be UTF-8", shown(s))
	case shortest > 0 && strings.TrimSpace(s) == "":
		return "is empty; it must be given"
	case s != "" && (s[0] == ' ' || s[len(s)-1] == ' '):
		return fmt.Sprintf("is %s; a space at its beginning or end is not allowed", shown(s))
	}
	place := 0
	for _, r := range s {
		place++
		if kind := unseen(r); kind != "" {
			return fmt.Sprintf("is %s; its character %d is %U, which is %s: leave it out", shown(s), place, r, kind)
		}
	}
	return ""
}

// NameFault says what is wrong with the name of a worker or cluster, or nothing. With the name before it, it is a sentence.
func NameFault(s string) string { return textFault(s, 1, MaxName) }

// TextFault says what of a text of any length doesn't show what it is, or nothing.
func TextFault(s string) string { return textFault(s, 0, len(s)) }

// LabelFault says what is wrong with a label of a worker, or nothing. It is a sentence.
func LabelFault(key, value string) string {
	if fault := textFault(key, 1, MaxLabelKey); fault != "" {
		return "label key " + fault
	}
	if fault := textFault(value, 0, MaxLabelValue); fault != "" {
		return fmt.Sprintf("label %q: its value %s", key, fault)
	}
	return ""
}

// blank are characters that look like nothing, though Unicode calls them symbols.
var blank = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x2800, Stride: 1}},   // of Braille
	R32: []unicode.Range32{{Lo: 0x1D159, Hi: 0x1D159, Stride: 1}}, // of musical notation
}

// unseen says what kind of character r is, if it doesn't show as what it is.
func unseen(r rune) string {
	switch {
	case ' ' <= r && r <= '~':
		return ""
	case unicode.IsControl(r):
		return "a control character"
	case unicode.Is(unicode.Bidi_Control, r):
		return "a character that turns the direction of text"
	case unicode.Is(unicode.Zs, r):
		return "a space of another kind than the ordinary one"
	case unicode.In(r, unicode.Zl, unicode.Zp):
		return "a separator of lines or paragraphs"
	case unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point, unicode.Noncharacter_Code_Point, blank):
		return "an invisible character"
	}
	return ""
}

// Visible returns s with all that textFault refuses of its characters written out, as in <U+200B>, or <0xFF> where it is no UTF-8: what
// engines say of themselves is shown for what it is, and two models don't become one (unless one's name is what is written of the other's).
func Visible(s string) string {
	if TextFault(s) == "" {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "<0x%02X>", s[i])
		case unseen(r) != "", r == ' ' && (i == 0 || i == len(s)-1):
			fmt.Fprintf(&b, "<%U>", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Fitted is Spelled for a text that may have any length: one that is too long is cut, and its end is replaced by a hash. fault says what was
// wrong with s, as NameFault does; empty: nothing.
func Fitted(s string, longest int) (fitted, fault string) {
	fault = textFault(s, 0, longest)
	if fault == "" {
		return s, ""
	}
	if fitted = Spelled(s, longest); len(fitted) > longest {
		fitted = hashed(fitted, s, longest)
	}
	return fitted, fault
}

// Spelled is Visible. Where that makes of a text of at most longest bytes a longer one, its end is replaced by a hash.
func Spelled(s string, longest int) string {
	v := Visible(s)
	if len(v) <= longest || len(s) > longest {
		return v
	}
	return hashed(v, s, longest)
}

// hashed cuts v, and replaces its end by a hash of s.
func hashed(v, s string, longest int) string {
	sum := sha256.Sum256([]byte(s))
	const hash = 4
	return fmt.Sprintf("%s~%x", Cut(v, longest-2*hash-1), sum[:hash])
}
