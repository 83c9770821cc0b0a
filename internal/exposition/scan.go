package exposition

import "bytes"

// MaxLineBytes bounds a line of a page, without its line end. Longer lines are scanned as Malformed.
const MaxLineBytes = 1 << 20

// Kind says what stands in a line.
type Kind uint8

// The kinds of lines that a Scanner returns. Blank lines and comments are skipped.
const (
	Malformed  Kind = iota // neither a comment nor begun by a metric name
	SampleLine             // begun by a metric name, the rest not yet looked at
	HelpLine
	TypeLine
	UnitLine
)

// Scanner walks over the lines of a page. Its slices point into the page; it allocates nothing.
type Scanner struct {
	page   []byte
	format Format
	number int
	kind   Kind
	line   []byte
	name   []byte
	text   []byte
}

// NewScanner returns a Scanner of page.
func NewScanner(page []byte, f Format) Scanner { return Scanner{page: page, format: f} }

// Scan goes to the next line that is neither blank nor a comment and reports whether there is one. An OpenMetrics page
// ends at its "# EOF".
func (s *Scanner) Scan() bool {
	for len(s.page) > 0 {
		end := bytes.IndexByte(s.page, '\n')
		line := s.page
		if end < 0 {
			s.page = nil
		} else {
			line, s.page = s.page[:end], s.page[end+1:]
		}
		s.number++
		line = TrimLine(line)
		switch {
		case len(line) == 0:
			continue
		case line[0] == '#':
			if s.format == OpenMetrics && bytes.Equal(line, endOfPage) {
				s.page = nil
				return false
			}
			if !s.comment(line) {
				continue
			}
		default:
			s.line, s.name, s.text = line, line[:metricNameLen(line)], nil
			s.kind = SampleLine
			if len(s.name) == 0 || len(line) > MaxLineBytes {
				s.kind = Malformed
			}
		}
		return true
	}
	return false
}

// ScanAny is Scan for lines of any kind, comments and blank ones too: only Line and Number tell about the line. It is for a caller
// that takes few lines of a page and knows them by how they begin.
func (s *Scanner) ScanAny() bool {
	if len(s.page) == 0 {
		return false
	}
	line := s.page
	if end := bytes.IndexByte(line, '\n'); end < 0 {
		s.page = nil
	} else {
		line, s.page = line[:end], line[end+1:]
	}
	s.number++
	s.line = TrimLine(line)
	return true
}

// comment takes a line that begins with # apart and reports whether it is HELP, TYPE or UNIT.
func (s *Scanner) comment(line []byte) bool {
	kind, name, text := ParseComment(line)
	if kind == Malformed {
		return false
	}
	s.kind, s.line, s.name, s.text = kind, line, name, text
	return true
}

// Kind returns the kind of the current line.
func (s *Scanner) Kind() Kind { return s.kind }

// Line returns the current line without its line end and the blanks before it.
func (s *Scanner) Line() []byte { return s.line }

// Number returns the number of the current line, the first is 1.
func (s *Scanner) Number() int { return s.number }

// Name returns the name that a HELP, TYPE or UNIT line is about, or with which a sample line begins.
func (s *Scanner) Name() []byte { return s.name }

// Text returns what a HELP (still escaped), TYPE or UNIT line says.
func (s *Scanner) Text() []byte { return s.text }

// TrimLine returns a line without the blanks before it and without the carriage return of a CRLF line end.
func TrimLine(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return trimLeft(line)
}

// ParseComment takes a line apart that begins with #. It returns Malformed for all but HELP, TYPE and UNIT of a classic
// metric name. The text is trimmed and still escaped.
func ParseComment(line []byte) (kind Kind, name, text []byte) {
	rest := trimLeft(line[1:])
	if len(rest) < 5 || len(rest) == len(line)-1 {
		return Malformed, nil, nil
	}
	switch string(rest[:4]) {
	case "HELP":
		kind = HelpLine
	case "TYPE":
		kind = TypeLine
	case "UNIT":
		kind = UnitLine
	default:
		return Malformed, nil, nil
	}
	rest = rest[4:]
	if !isBlank(rest[0]) {
		return Malformed, nil, nil
	}
	rest = trimLeft(rest)
	if len(rest) > 0 && rest[0] == '"' {
		name, rest = cutQuoted(rest)
	} else {
		n := metricNameLen(rest)
		name, rest = rest[:n], rest[n:]
	}
	if len(name) == 0 || metricNameLen(name) != len(name) || len(rest) > 0 && !isBlank(rest[0]) {
		return Malformed, nil, nil
	}
	return kind, name, bytes.Trim(rest, " \t")
}

// Unescape appends s to dst with the escapes of HELP texts and label values resolved: \\ \" and \n; a backslash before
// anything else stands for itself.
func Unescape(dst, s []byte) []byte {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 || i+1 == len(s) {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		switch c := s[i+1]; c {
		case '\\', '"':
			dst = append(dst, c)
			s = s[i+2:]
		case 'n':
			dst = append(dst, '\n')
			s = s[i+2:]
		default:
			dst = append(dst, '\\')
			s = s[i+1:]
		}
	}
}

// cutQuoted returns what stands between the quote with which b begins and the next one that is not escaped, still
// escaped, and what comes after it. Without a closing quote it returns nil and b.
func cutQuoted(b []byte) (inner, rest []byte) {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[1:i:i], b[i+1:]
		}
	}
	return nil, b
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func trimLeft(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	return b
}
