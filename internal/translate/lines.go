package translate

import (
	"bytes"

	"github.com/stackscope/stackscope/internal/exposition"
)

// lines takes all lines of a page.
func (r *Result) readLines(page []byte, f Format) {
	cur := int32(0)
	if r.fast.recording != nil {
		for pos := 0; pos < len(page); {
			pos, cur = r.readLine(page, pos, cur, f)
		}
		return
	}
	for pos := 0; pos < len(page); {
		rest := page[pos:]
		if rest[0] == '#' {
			line, next := cutLine(page, pos)
			if r.readComment(line, f) {
				break
			}
			pos = next
			continue
		}
		s := &r.names.names[cur]
		if !s.startsLine(rest) {
			next := s.next
			if !r.names.names[next].startsLine(rest) {
				pos, cur = r.readLine(page, pos, cur, f)
				continue
			}
			cur = next
			s = &r.names.names[cur]
		}
		if len(s.outputs) == 0 {
			r.stats.Lines++
			r.stats.Unmapped++
			if s.lastPage != r.names.pageNumber && r.names.countUnmapped(s) {
				r.stats.UnmappedFamilies++
			}
			n := bytes.IndexByte(rest, '\n')
			if n < 0 {
				break
			}
			pos += n + 1
			continue
		}
		if n := r.readKnownLine(s, rest); n > 0 {
			r.stats.Lines++
			pos += n
			continue
		}
		line, next := cutLine(page, pos)
		r.parseLine(s, page, pos, line)
		pos = next
	}
}

// comment takes a line that begins with # and reports whether it ends the page.
func (r *Result) readComment(line []byte, f Format) (end bool) {
	if f == OpenMetrics && string(line) == "# EOF" {
		return true
	}
	if len(line) > 2 && line[2] == 'H' {
		return false // HELP has nothing to say here
	}
	if r.names.checkTypeLine(line) {
		r.stats.TypeConflicts++
	}
	return false
}

// slowLine takes a line that is neither of the series before nor of its successor. It returns where the next line begins
// and the series to compare it with.
func (r *Result) readLine(page []byte, pos int, cur int32, f Format) (next int, series int32) {
	line, next := cutLine(page, pos)
	if len(line) == 0 {
		return next, cur
	}
	if line[0] == '#' {
		if r.readComment(line, f) {
			return len(page), cur
		}
		return next, cur
	}
	name := line[:exposition.MetricNameLen(line)]
	if len(name) == 0 {
		r.stats.Lines++
		r.addParseError(page, pos, line, exposition.ErrName)
		return next, cur
	}
	found := r.names.find(name, &r.labels)
	if int(cur) < len(r.names.names) {
		r.names.names[cur].next = found
	}
	s := &r.names.names[found]
	if len(s.outputs) == 0 {
		r.stats.Lines++
		r.stats.Unmapped++
		if r.names.countUnmapped(s) {
			r.stats.UnmappedFamilies++
		}
		r.fast.recording.unmapped(pos + len(name))
	} else {
		r.parseLine(s, page, pos, line)
	}
	return next, found
}

// fastLine takes a line of a series whose label block is that of the line before it, or of the one that followed that the
// last time. It returns the length of the line, its end included, or 0 where it does not know such a line.
func (r *Result) readKnownLine(s *sampleName, rest []byte) int {
	if !s.uniform {
		return 0
	}
	n := len(s.name)
	var sh *labelTemplate
	var le []byte
	if s.outputs[0].kind != kindBucket {
		list := &r.labels.rewrites[s.outputs[0].rewrite].plain
		sh = &list.templates[list.last]
		if !hasPrefix(rest[n:], sh.before) {
			next := sh.next
			if sh = &list.templates[next]; !hasPrefix(rest[n:], sh.before) {
				return 0
			}
			list.last = next
		}
		n += len(sh.before)
	} else {
		list := &r.labels.rewrites[s.outputs[0].rewrite].buckets
		sh = &list.templates[list.last]
		var m int
		if le, m = sh.matchBucket(rest[n:]); m == 0 {
			next := sh.next
			sh = &list.templates[next]
			if le, m = sh.matchBucket(rest[n:]); m == 0 {
				return 0
			}
			list.last = next
		}
		n += m
	}
	m := exposition.PlainNumberLen(rest[n:])
	if m == 0 {
		return 0
	}
	value := rest[n : n+m]
	n += m
	switch {
	case n < len(rest) && rest[n] == '\n':
		n++
	case n == len(rest):
	case n+1 < len(rest) && rest[n] == '\r' && rest[n+1] == '\n':
		n += 2
	default:
		return 0
	}
	what := outcomeTaken
	for i := range s.outputs {
		if what = r.writeSample(&s.outputs[i], sh, le, value); what == outcomeInvalid {
			return 0
		}
	}
	if what == outcomeUnselected {
		r.stats.Unselected++
	}
	return n
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// matchGap compares the text that follows a name with a gapped shape. It returns the value of le and the length of what
// comes before the sample's value, 0 if it is another shape or le is no plain number.
func (sh *labelTemplate) matchBucket(b []byte) (le []byte, n int) {
	if !hasPrefix(b, sh.before) {
		return nil, 0
	}
	le = b[len(sh.before):]
	n = exposition.PlainNumberLen(le)
	if n == 0 {
		if !hasPrefix(le, "+Inf") {
			return nil, 0
		}
		n = len("+Inf")
	}
	if !hasPrefix(le[n:], sh.after) {
		return nil, 0
	}
	return le[:n], len(sh.before) + n + len(sh.after)
}

// parsedLine takes a line of a mapped series apart.
func (r *Result) parseLine(s *sampleName, page []byte, pos int, line []byte) {
	r.stats.Lines++
	if err := r.sample.Parse(line); err != nil {
		r.addParseError(page, pos, line, err)
		return
	}
	r.fast.recording.mapped(pos, line, &r.sample)
	worst, selected := outcomeTaken, false
	for i := range s.outputs {
		o := &s.outputs[i]
		what := outcomeInvalid
		if sh, le := r.labels.find(o.rewrite, line, &r.sample, o.kind == kindBucket); sh != nil {
			what = r.writeSample(o, sh, le, r.sample.Value)
			r.fast.recording.wrote(o, sh, le, pos, &r.sample, &r.buffers[o.family])
		}
		selected = selected || what != outcomeUnselected
		if what == outcomeInvalid {
			worst = outcomeInvalid
		}
	}
	if worst == outcomeInvalid {
		r.addParseError(page, pos, line, errInvalidPart)
	}
	if !selected {
		r.stats.Unselected++
		r.fast.recording.unselected()
	}
}

// fault counts a parse error in the line that begins at pos. Its number is worked out only where it is wanted. Where users'
// names are hashed the line is shown by its metric's name alone: a log reads it.
func (r *Result) addParseError(page []byte, pos int, line []byte, err error) {
	number := 0
	if r.stats.FirstError == "" {
		number = bytes.Count(page[:pos], []byte{'\n'}) + 1
	}
	if r.Users.areHashed() {
		line = line[:exposition.MetricNameLen(line)]
	}
	r.stats.addParseError(number, line, err)
}

const errInvalidPart exposition.LineError = "le or quantile is not a number, or a count is negative"
