package smi

import (
	"regexp"
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

// Layout says, by the text of a header cell as Cells gives it, what stands in the cells below it: an expression with named
// groups. It must match a cell as a whole, so it has to begin with ^ and end with $.
type Layout map[string]*regexp.Regexp

// Columns are the expressions of a table's columns, nil for one that the Layout does not know.
type Columns []*regexp.Regexp

// Columns finds the columns of a header row. unknown are the texts of those that the Layout does not know; what stands in
// them is left out.
func (l Layout) Columns(header []string) (columns Columns, unknown []string) {
	columns = make(Columns, len(header))
	for i, text := range header {
		if columns[i] = l[text]; columns[i] == nil {
			unknown = append(unknown, text)
		}
	}
	return columns, unknown
}

// Fields reads a row: name of the group to what it matched. A row with another number of cells, or with a cell that is not as
// its column should be, gives nothing.
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
