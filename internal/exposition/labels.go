package exposition

import (
	"strings"
	"unicode/utf8"
)

// Labels is a list of labels as it stands between the braces of a sample line, escaped: `a="b",c="d"`. The empty string
// is no labels.
type Labels string

// RenderLabels renders name, value, name, value, ... A pair with an empty value is left out, because an empty label and
// an absent one are the same to Prometheus; so is a pair whose name is not a label name (see ValidLabelName), because it
// would make the page illegal. The caller sees to it that no name comes twice.
func RenderLabels(pairs ...string) Labels {
	size := 0
	for _, s := range pairs {
		size += len(s) + 2
	}
	b := make([]byte, 0, size)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" || !ValidLabelName(pairs[i]) {
			continue
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(b, pairs[i]...)
		b = append(b, '=', '"')
		b = AppendLabelValue(b, pairs[i+1])
		b = append(b, '"')
	}
	return Labels(b)
}

// With returns l followed by more.
func (l Labels) With(more Labels) Labels {
	switch {
	case l == "":
		return more
	case more == "":
		return l
	}
	return l + "," + more
}

// AppendLabelValue appends s as it stands between the quotes of a label value: backslash, quote and newline escaped,
// bytes that are no UTF-8 replaced by U+FFFD.
func AppendLabelValue(dst []byte, s string) []byte {
	return appendEscaped(dst, s, true)
}

// appendHelp appends s as it stands in a HELP line, where quotes are not escaped.
func appendHelp(dst []byte, s string) []byte {
	return appendEscaped(dst, s, false)
}

func appendEscaped(dst []byte, s string, quotes bool) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	if strings.IndexByte(s, '\\') < 0 && strings.IndexByte(s, '\n') < 0 && (!quotes || strings.IndexByte(s, '"') < 0) {
		return append(dst, s...)
	}
	from := 0
	for i := 0; i < len(s); i++ {
		var esc byte
		switch c := s[i]; {
		case c == '\\', c == '"' && quotes:
			esc = c
		case c == '\n':
			esc = 'n'
		default:
			continue
		}
		dst = append(dst, s[from:i]...)
		dst = append(dst, '\\', esc)
		from = i + 1
	}
	return append(dst, s[from:]...)
}
