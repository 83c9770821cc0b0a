package guard

import (
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/util/strutil"
)

// Costs of a regular expression, in instructions. Each takes some 150 bytes during compilation.
const (
	maxRegexp       = 300_000 // of all in a request; 5,000 alternatives in 128 KiB cost half as much
	maxPattern      = 10_000  // of all with more than alternatives: matching may execute each instruction at each character
	smallRegexp     = 4000    // compiled without waiting for a slot
	quantifierCost  = 7
	classCost       = 4
	unicodeCost     = 300 // like \pL: hundreds of ranges, sorted
	maxRepeat       = 1000
	maxClassName    = 64
	saturatedRegexp = 1 << 40
)

// CheckMatchers bounds the names and values of matchers that bypass the parser.
func CheckMatchers(texts []string) error {
	var size exprSize
	for _, text := range texts {
		if size.bytes += len(text); size.bytes > MaxBytes {
			return fmt.Errorf("the matchers have more than %d bytes: use fewer or shorter ones, or send several requests", MaxBytes)
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
	if !onlyAlternatives(text) {
		if s.patterns += cost; s.patterns > maxPattern {
			return fmt.Errorf("the regular expressions would compile to more than %d instructions (%d or more), and some repeat: "+
				"use smaller repetitions {n}, or only alternatives such as a|b|c, or send several queries", maxPattern, s.patterns)
		}
	}
	return nil
}

// onlyAlternatives reports whether a regular expression is a tree of literal texts, such as a|b\.c|d(e|f). Matching executes each of its
// instructions at most once. A group must be the end of its alternative, because text after it could be reached in several ways.
func onlyAlternatives(text string) bool {
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
	return fmt.Errorf("the regular expressions would compile to more than %d instructions (%d or more): use smaller repetitions {n}, fewer classes like \\pL, or send several queries", maxRegexp, cost)
}

// unquoted returns the value of a quoted PromQL string.
func unquoted(quoted string) string {
	text := strings.Trim(quoted, "\"'`")
	if quoted[0] != '`' && strings.Contains(quoted, `\`) {
		if plain, err := strutil.Unquote(quoted); err == nil {
			text = plain
		}
	}
	return text
}

// regexpCost estimates, as a lower bound, the instructions of a compiled regular expression. It reads the text once. The cost of a text that
// is not a regular expression is about its length.
func regexpCost(text string) int64 {
	groups := []int64{0} // costs of the open groups
	last := int64(0)     // cost of the previous atom
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

// repeat parses {n}, {n,} or {n,m} at i. It returns the larger number and the end; 0 and the next index for other text.
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
