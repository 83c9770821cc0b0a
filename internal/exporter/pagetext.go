package exporter

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// cutText returns a page's text as valid UTF-8, at most limit bytes long, and twice that as a JSON string. A longer one is cut after a line.
func cutText(page []byte, limit int) (text string, cut bool) {
	size, asJSON, at := 0, 0, 0
	for at < len(page) {
		r, n := utf8.DecodeRune(page[at:])
		size, asJSON = size+utf8.RuneLen(r), asJSON+jsonLen(r, n)
		if size > limit || asJSON > 2*limit {
			break
		}
		at += n
	}
	if at >= len(page) {
		return strings.ToValidUTF8(string(page), "\uFFFD"), false
	}
	return strings.ToValidUTF8(string(page[:bytes.LastIndexByte(page[:at], '\n')+1]), "\uFFFD"), true
}

// jsonLen is the most that encoding/json makes of a character of n bytes in a string.
func jsonLen(r rune, n int) int {
	const escaped = len(`\u0000`)
	switch {
	case r == '"', r == '\\', r == '\n', r == '\r', r == '\t':
		return 2
	case r < ' ', r == '<', r == '>', r == '&', r == '\u2028', r == '\u2029', r == utf8.RuneError:
		return escaped
	}
	return n
}
