package translate

import (
	"bytes"

	"github.com/stackscope/stackscope/internal/exposition"
)

// readLines reads all lines of a page. Engines write their samples in the same order on every page, so the loop first compares
// a line with the sample name of the line before and with the name that followed that one last time. Only a line with
// another name is looked up, by readLine.
func (r *Result) readLines(page []byte, f Format) {
	cur := int32(0)
	if r.fast.recording != nil { // it must be told of each line
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
		s := &r.names.entries[cur]
		if !s.startsLine(rest) {
			next := s.next
			if !r.names.entries[next].startsLine(rest) {
				pos, cur = r.readLine(page, pos, cur, f)
				continue
			}
			cur = next
			s = &r.names.entries[cur]
		}
		r.shown |= s.shows
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

// readComment reads a line that begins with # and reports whether it ends the page.
func (r *Result) readComment(line []byte, f Format) (end bool) {
	if f == OpenMetrics && string(line) == "# EOF" {
		return true
	}
	if len(line) > 2 && line[2] == 'H' {
		return false // HELP: the mapping has the help text
	}
	if r.names.checkTypeLine(line) {
		r.stats.TypeConflicts++
	}
	return false
}

// readLine reads a line of any kind. It returns where the next line begins, and the index of the sample name to compare that
// line with.
func (r *Result) readLine(page []byte, pos int, cur int32, f Format) (next int, nextName int32) {
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
	if int(cur) < len(r.names.entries) {
		r.names.entries[cur].next = found
	}
	s := &r.names.entries[found]
	r.shown |= s.shows
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

// readKnownLine reads a line whose labels are spelled like those of the line before, or like those that followed them last
// time. It returns the length of the line with its line end, and 0 for any other line.
func (r *Result) readKnownLine(s *sampleName, rest []byte) int {
	if !s.uniform {
		return 0
	}
	n := len(s.name)
	var lt *labelTemplate
	var le []byte
	if s.outputs[0].kind != kindBucket {
		list := &r.labels.rewrites[s.outputs[0].rewrite].plain
		lt = &list.templates[list.last]
		if !hasPrefix(rest[n:], lt.before) {
			next := lt.next
			if lt = &list.templates[next]; !hasPrefix(rest[n:], lt.before) {
				return 0
			}
			list.last = next
		}
		n += len(lt.before)
	} else {
		list := &r.labels.rewrites[s.outputs[0].rewrite].buckets
		lt = &list.templates[list.last]
		var m int
		if le, m = lt.matchBucket(rest[n:]); m == 0 {
			next := lt.next
			lt = &list.templates[next]
			if le, m = lt.matchBucket(rest[n:]); m == 0 {
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
	result := outcomeTaken
	for i := range s.outputs {
		if result = r.writeSample(&s.outputs[i], lt, le, value); result == outcomeInvalid {
			return 0
		}
	}
	if result == outcomeUnselected {
		r.stats.Unselected++
		r.names.countUnselected(s, lt.skipped)
	}
	return n
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// matchBucket compares the text after a name with a label template of buckets. It returns the value of le and the length of
// the text before the sample's value; 0 if the labels differ or le is not a plain number.
func (lt *labelTemplate) matchBucket(b []byte) (le []byte, n int) {
	if !hasPrefix(b, lt.before) {
		return nil, 0
	}
	le = b[len(lt.before):]
	n = exposition.PlainNumberLen(le)
	if n == 0 {
		if !hasPrefix(le, "+Inf") {
			return nil, 0
		}
		n = len("+Inf")
	}
	if !hasPrefix(le[n:], lt.after) {
		return nil, 0
	}
	return le[:n], len(lt.before) + n + len(lt.after)
}

// parseLine reads a line with a mapped name by parsing its labels and value.
func (r *Result) parseLine(s *sampleName, page []byte, pos int, line []byte) {
	r.stats.Lines++
	if err := r.sample.Parse(line); err != nil {
		r.addParseError(page, pos, line, err)
		return
	}
	r.fast.recording.mapped(pos, line, &r.sample)
	invalid, selected := false, false
	skipped := skippedByMatch
	for i := range s.outputs {
		o := &s.outputs[i]
		result := outcomeInvalid
		if lt, le := r.labels.find(o.rewrite, line, &r.sample, o.kind == kindBucket); lt != nil {
			result = r.writeSample(o, lt, le, r.sample.Value)
			if skipped != notSkipped {
				skipped = lt.skipped // that of the last target, unless one takes the labels
			}
			r.fast.recording.wrote(o, lt, le, pos, &r.sample, r)
		}
		selected = selected || result != outcomeUnselected
		invalid = invalid || result == outcomeInvalid
	}
	if invalid {
		r.addParseError(page, pos, line, errInvalidPart)
	}
	if !selected {
		r.stats.Unselected++
		r.names.countUnselected(s, skipped)
		r.fast.recording.unselected()
	}
}

// addParseError counts a parse error in the line that begins at pos. Only the first error needs the line's number. The error
// ends up in a log, so it shows only the metric's name if names of users are hashed.
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
