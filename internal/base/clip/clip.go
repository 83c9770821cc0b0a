// Package clip shortens text of others, which may be of any length and hold anything, for labels, errors and log lines.
package clip

import "strings"

// End returns s if it is at most limit bytes long, else its first bytes up to limit, without a partial character, and "...".
func End(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

// Line is End for text that may be of several lines or not UTF-8: white space becomes single blanks, what is no UTF-8 becomes U+FFFD.
func Line(s string, limit int) string {
	return End(strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " "), limit)
}
