package guard

import (
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/util/strutil"
)

// Costs of a regular expression, in instructions: of some 150 bytes each, while it is compiled.
const (
	maxRegexp       = 300_000 // of all of a request; 5,000 alternatives in 128 KiB cost half as much
	maxPattern      = 10_000  // of those that are more than alternatives: a value may pass each instruction at each letter
	smallRegexp     = 4000    // compiled without waiting for a slot
	quantifierCost  = 7
	classCost       = 4
	unicodeCost     = 300 // like \pL: hundreds of ranges, sorted
	maxRepeat       = 1000
	maxClassName    = 64
	saturatedRegexp = 1 << 40
)

// CheckMatchers bounds names and values of matchers that reach the storage without passing the parser.
func CheckMatchers(texts []string) error {
	var size exprSize
	for _, text := range texts {
		if size.bytes += len(text); size.bytes > MaxBytes {
			return fmt.Errorf("the matchers have more than %d bytes: select by fewer or shorter ones, or ask in several requests", MaxBytes)
		}
		if err := size.addRegexp(text); err != nil {
			return err
		}
	}
	return nil
}

// addRegexp counts a text that may be a regular expression.
func (s *exprSize) addRegexp(text string) error {
	cost := regexpCost(text)
	if s.regexps += cost; s.regexps > maxRegexp {
		return errRegexp(s.regexps)
	}
	if !alternatives(text) {
		if s.patterns += cost; s.patterns > maxPattern {
			return fmt.Errorf("the regular expressions would compile to more than %d instructions (%d or more), and some repeat: "+
				"repeat less by {n}, match names alone, as in a|b|c, or ask in several queries", maxPattern, s.patterns)
		}
	}
	return nil
}

// alternatives reports whether a text matches as a tree of texts does, like a|b\.c|d(e|f): a value passes each instruction once at
// most. Groups end their alternative; what comes behind one could be reached in several ways.
func alternatives(text string) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '+', '*', '?', '{':
			return false
		case '\\':
			if i++; i < len(text) && (text[i] == 'Q' || text[i] == 'p' || text[i] == 'P') {
				return false
			}
		case '[':
			i = classEnd(text, i) - 1
		case '(':
			if strings.HasPrefix(text[i+1:], "?") {
				end := len(text) - len(strings.TrimLeft(text[i+2:], "is"))
				if end == len(text) || text[end] != ':' && text[end] != ')' {
					return false
				}
				i = end
			}
		case ')':
			switch rest := text[i+1:]; {
			case rest == "$":
				return true
			case rest != "" && rest[0] != '|' && rest[0] != ')':
				return false
			}
		}
	}
	return true
}

func errRegexp(cost int64) error {
	return fmt.Errorf("the regular expressions would compile to more than %d instructions (%d or more): repeat less by {n}, use fewer classes like \\pL, or ask in several queries", maxRegexp, cost)
}

// unquoted returns what a string of PromQL means that has its quotes.
func unquoted(quoted string) string {
	text := strings.Trim(quoted, "\"'`")
	if quoted[0] != '`' && strings.Contains(quoted, `\`) {
		if plain, err := strutil.Unquote(quoted); err == nil {
			text = plain
		}
	}
	return text
}

// regexpCost returns at least about how many instructions a text is compiled to when it is a regular expression. It goes over the
// text once; what is no regular expression has a cost near its length.
func regexpCost(text string) int64 {
	groups := []int64{0} // costs of the groups that are open
	last := int64(0)     // of the atom before
	atom := func(cost int64) {
		last = min(cost, saturatedRegexp)
		groups[len(groups)-1] = min(groups[len(groups)-1]+last, saturatedRegexp)
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i++; i < len(text) && (text[i] == 'p' || text[i] == 'P') {
				atom(unicodeCost)
				if i+1 < len(text) && text[i+1] == '{' {
					i += max(1, strings.IndexByte(text[i:min(len(text), i+maxClassName)], '}'))
				}
			} else {
				atom(1)
			}
		case '[':
			end := classEnd(text, i)
			class := text[i:end]
			atom(classCost + int64(len(class)) + unicodeCost*int64(strings.Count(class, `\p`)+strings.Count(class, `\P`)))
			i = end - 1
		case '(':
			groups = append(groups, 1)
			last = 0
		case ')':
			if n := len(groups) - 1; n > 0 {
				inner := groups[n]
				groups = groups[:n]
				atom(inner)
			}
		case '*', '+', '?':
			before := last
			atom(quantifierCost)
			last = min(last+before, saturatedRegexp)
		case '{':
			n, end := repeat(text, i)
			if n > 1 {
				before := last
				atom(before * (n - 1))
				last = min(last+before, saturatedRegexp)
			}
			i = end - 1
		default:
			atom(1)
		}
	}
	total := int64(0)
	for _, cost := range groups {
		total = min(total+cost, saturatedRegexp)
	}
	return total
}

// repeat reads {n}, {n,} or {n,m} at i: the larger number, and where it ends. What is none of these is one letter.
func repeat(text string, i int) (n int64, end int) {
	most, number, digits := int64(0), int64(0), 0
	for j := i + 1; j < len(text); j++ {
		switch c := text[j]; {
		case '0' <= c && c <= '9':
			number, digits = min(number*10+int64(c-'0'), maxRepeat), digits+1
		case c == ',' && digits > 0:
			most, number = number, 0
		case c == '}' && digits > 0:
			return max(most, number), j + 1
		default:
			return 0, i + 1
		}
	}
	return 0, i + 1
}

// classEnd returns where the class that begins at i ends.
func classEnd(text string, i int) int {
	j := i + 1
	if j < len(text) && text[j] == '^' {
		j++
	}
	if j < len(text) && text[j] == ']' {
		j++
	}
	for ; j < len(text); j++ {
		switch {
		case text[j] == '\\':
			j++
		case strings.HasPrefix(text[j:], "[:"):
			if n := strings.Index(text[j+2:min(len(text), j+16)], ":]"); n >= 0 {
				j += n + 3
			}
		case text[j] == ']':
			return j + 1
		}
	}
	return len(text)
}
