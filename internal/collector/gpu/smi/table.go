package smi

import (
	"regexp"
	"slices"
	"strings"
)

// Cells splits a row of a table drawn with | into its cells, trimmed and with runs of spaces made one. A line that does not
// begin and end with | is not a row, nor is one that is drawn between rows (|---+---|).
func Cells(line string) (cells []string, ok bool) {
	line = strings.TrimSpace(line)
	if len(line) < 2 || line[0] != '|' || line[len(line)-1] != '|' || strings.Trim(line, "|+-=") == "" {
		return nil, false
	}
	for cell := range strings.SplitSeq(line[1:len(line)-1], "|") {
		cells = append(cells, strings.Join(strings.Fields(cell), " "))
	}
	return cells, true
}

// Layout maps the text of a header cell, as Cells returns it, to an expression for the cells below it, with named groups. The
// expression must begin with ^ and end with $, so that it matches the whole cell.
type Layout map[string]*regexp.Regexp

// Columns are the expressions of a table's columns, nil for one that the Layout does not know.
type Columns []*regexp.Regexp

// Columns returns the columns of a header row, nil if none of them has one of the needed groups. unknown are the texts of the
// header cells that the Layout does not know; Fields skips the cells below them.
func (l Layout) Columns(header []string, need ...string) (columns Columns, unknown []string) {
	columns = make(Columns, len(header))
	for i, text := range header {
		if columns[i] = l[text]; columns[i] == nil {
			unknown = append(unknown, text)
		}
	}
	for _, group := range need {
		if !slices.ContainsFunc(columns, func(c *regexp.Regexp) bool { return c != nil && c.SubexpIndex(group) > 0 }) {
			return nil, unknown
		}
	}
	return columns, unknown
}

// Fields returns what each group matched in a row, by the group's name. ok is false for a row that has another number of cells
// than the header, or a cell that does not match its column.
func (c Columns) Fields(row []string) (fields map[string]string, ok bool) {
	if len(row) != len(c) {
		return nil, false
	}
	fields = make(map[string]string, 2*len(c))
	for i, column := range c {
		if column == nil {
			continue
		}
		groups := column.FindStringSubmatch(row[i])
		if groups == nil {
			return nil, false
		}
		for j, name := range column.SubexpNames() {
			if name != "" {
				fields[name] = groups[j]
			}
		}
	}
	return fields, true
}
