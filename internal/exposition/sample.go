package exposition

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"
)

// MaxLabels bounds the labels of one sample line.
const MaxLabels = 128

// LineError says why a sample line was refused.
type LineError string

func (e LineError) Error() string { return string(e) }

// The reasons for which a sample line is refused.
const (
	ErrName           LineError = "no metric name"
	ErrNUL            LineError = "NUL byte"
	ErrLineTooLong    LineError = "line longer than 1 MiB"
	ErrLabelName      LineError = "label name expected"
	ErrEqual          LineError = "= expected after label name"
	ErrLabelValue     LineError = "quoted label value expected"
	ErrLabelUTF8      LineError = "label value is not UTF-8"
	ErrLabelDuplicate LineError = "label name twice"
	ErrTooManyLabels  LineError = "more than 128 labels"
	ErrValue          LineError = "value is not a number"
	ErrTail           LineError = "unexpected text after value"
)

// Label is a label of a sample line. The value is still escaped.
type Label struct {
	Name, Value []byte
	// At is where the value begins in the line.
	At int
}

// Sample is a sample line taken apart. Its slices point into the line. Reuse a Sample to parse without allocating.
type Sample struct {
	Name   []byte
	Labels []Label
	Value  []byte
	// At is where the value begins in the line.
	At int

	line []byte
}

// Forget lets go of the line and keeps the memory for the next.
func (s *Sample) Forget() {
	clear(s.Labels[:cap(s.Labels)])
	*s = Sample{Labels: s.Labels[:0]}
}

// Parse takes a line apart, which must be as Scanner.Line returns it. It accepts what Prometheus' parsers of text 0.0.4 and
// of OpenMetrics 1.0 accept, whichever the page is said to be, as long as metric and label names are classic ones; only
// label names may stand in quotes. A timestamp or an exemplar is checked and left out. Any error is a LineError.
func (s *Sample) Parse(line []byte) error {
	*s = Sample{Labels: s.Labels[:0], line: line}
	if len(line) > MaxLineBytes {
		return ErrLineTooLong
	}
	if bytes.IndexByte(line, 0) >= 0 {
		return ErrNUL
	}
	n := metricNameLen(line)
	if n == 0 {
		return ErrName
	}
	s.Name = line[:n]
	rest := trimLeft(line[n:])
	strict := len(rest) == len(line)-n
	if len(rest) > 0 && rest[0] == '{' {
		var err error
		var strictLabels bool
		if rest, strictLabels, err = s.parseLabels(rest[1:]); err != nil {
			return err
		}
		strict = strict && strictLabels
	} else {
		strict = true
		rest = line[n:]
	}
	return s.parseValue(rest, strict)
}

// parseLabels reads what follows an opening brace, the closing one included, and returns the rest of the line. The
// strictness that OpenMetrics asks for and text 0.0.4 does not, no blanks and a comma between labels, is reported, since
// only a line that keeps to it may have an exemplar.
func (s *Sample) parseLabels(b []byte) (rest []byte, strict bool, err error) {
	strict = true
	skip := func() {
		if t := trimLeft(b); len(t) != len(b) {
			b, strict = t, false
		}
	}
	for {
		skip()
		if len(b) == 0 {
			return nil, false, ErrLabelName
		}
		if b[0] == '}' {
			break
		}
		var name []byte
		if b[0] == '"' {
			inner, after := cutQuoted(b)
			if len(after) == len(b) {
				return nil, false, ErrLabelName
			}
			name, b = inner, after
		} else {
			n := labelNameLen(b)
			name, b = b[:n], b[n:]
			if n == 0 {
				return nil, false, ErrLabelName
			}
		}
		skip()
		if len(b) == 0 || b[0] != '=' {
			return nil, false, ErrEqual
		}
		b = b[1:]
		skip()
		if len(b) == 0 || b[0] != '"' {
			return nil, false, ErrLabelValue
		}
		value, after := cutQuoted(b)
		if len(after) == len(b) {
			return nil, false, ErrLabelValue
		}
		at := len(s.line) - len(b) + 1
		b = after
		if err := s.addLabel(name, value, at); err != nil {
			return nil, false, err
		}
		skip()
		if len(b) > 0 && b[0] == ',' {
			b = b[1:]
		} else if len(b) > 0 && b[0] != '}' {
			strict = false
		}
	}
	return b[1:], strict, nil
}

var metricNameLabel = []byte("__name__")

func (s *Sample) addLabel(name, value []byte, at int) error {
	switch {
	case labelNameLen(name) != len(name) || len(name) == 0:
		return ErrLabelName
	case len(s.Labels) == MaxLabels:
		return ErrTooManyLabels
	case !utf8.Valid(value):
		return ErrLabelUTF8
	case bytes.Equal(name, metricNameLabel):
		return ErrLabelDuplicate
	}
	for i := range s.Labels {
		if bytes.Equal(s.Labels[i].Name, name) {
			return ErrLabelDuplicate
		}
	}
	s.Labels = append(s.Labels, Label{Name: name, Value: value, At: at})
	return nil
}

// parseValue reads what follows name and labels. A timestamp in milliseconds may stand in any line, as in text 0.0.4; one
// in seconds and an exemplar only where strict says that OpenMetrics would have accepted the line so far.
func (s *Sample) parseValue(b []byte, strict bool) error {
	value := trimLeft(b)
	n := bytes.IndexAny(value, " \t{")
	if n < 0 {
		n = len(value)
	}
	tail := value[n:]
	value = value[:n:n]
	if !ValidNumber(value) {
		return ErrValue
	}
	s.Value, s.At = value, len(s.line)-len(value)-len(tail)
	if validTextTail(tail) {
		return nil
	}
	if strict && len(b) > n && b[0] == ' ' && b[1] == value[0] && validOpenMetricsTail(tail) {
		return nil
	}
	return ErrTail
}

// validTextTail reports whether b is what may follow a value in text 0.0.4: nothing or a timestamp.
func validTextTail(b []byte) bool {
	t := trimLeft(b)
	if len(t) == 0 {
		return true
	}
	n := 0
	for n < len(t) && t[n]-'0' <= 9 {
		n++
	}
	if n == 0 || len(t) == len(b) || len(trimLeft(t[n:])) > 0 {
		return false
	}
	_, err := strconv.ParseInt(string(t[:n]), 10, 64)
	return err == nil
}

// validOpenMetricsTail reports whether b is what may follow a value in OpenMetrics: a timestamp, an exemplar or both.
func validOpenMetricsTail(b []byte) bool {
	exemplar := []byte(" # {")
	if !bytes.HasPrefix(b, exemplar) {
		var ok bool
		if b, ok = cutTimestamp(b); !ok {
			return false
		}
		if len(b) == 0 {
			return true
		}
	}
	if !bytes.HasPrefix(b, exemplar) {
		return false
	}
	rest, ok := cutExemplarLabels(b[len(exemplar):])
	if !ok {
		return false
	}
	if rest, ok = cutNumber(rest, false); !ok {
		return false
	}
	if len(rest) > 0 {
		rest, ok = cutTimestamp(rest)
	}
	return ok && len(rest) == 0
}

// cutTimestamp cuts a blank and a finite number from the front of b.
func cutTimestamp(b []byte) (rest []byte, ok bool) { return cutNumber(b, true) }

func cutNumber(b []byte, finite bool) (rest []byte, ok bool) {
	if len(b) < 2 || b[0] != ' ' {
		return nil, false
	}
	b = b[1:]
	n := bytes.IndexByte(b, ' ')
	if n < 0 {
		n = len(b)
	}
	v, ok := ParseNumber(b[:n])
	if finite && (math.IsNaN(v) || math.IsInf(v, 0)) {
		ok = false
	}
	return b[n:], ok
}

// cutExemplarLabels cuts an exemplar's labels and the closing brace from the front of b. Their names may repeat and may
// be any quoted text; nothing of an exemplar is kept.
func cutExemplarLabels(b []byte) (rest []byte, ok bool) {
	for {
		if len(b) == 0 {
			return nil, false
		}
		if b[0] == '}' {
			return b[1:], true
		}
		n := labelNameLen(b)
		if b[0] == '"' {
			_, after := cutQuoted(b)
			n = len(b) - len(after)
		}
		if n == 0 || len(b) < n+2 || b[n] != '=' || b[n+1] != '"' {
			return nil, false
		}
		value, after := cutQuoted(b[n+1:])
		if len(after) == len(b)-n-1 || !utf8.Valid(value) || len(after) == 0 {
			return nil, false
		}
		switch b = after; b[0] {
		case ',':
			b = b[1:]
		case '}':
		default:
			return nil, false
		}
	}
}
