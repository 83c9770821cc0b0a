// Package accesstable is the table of who may ask what: what a test found out by asking, as text that is kept and compared.
package accesstable

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// Yes is the verdict of a request that is answered. Others are the status that refuses it.
const Yes = "yes"

// Table is who may ask what.
type Table struct {
	Askers []string // who asks, in the order of each row's verdicts
	Rows   []Row
}

// Row is what becomes of the requests for one route.
type Row struct {
	Port, Route, Right, Mode string
	Verdicts                 []string
}

// key is what there may be one row for.
func (r Row) key() [3]string { return [3]string{r.Port, r.Route, r.Mode} }

// about says in words which row that is.
func (r Row) about() string { return fmt.Sprintf("%s on the %s port, %s", r.Route, r.Port, r.Mode) }

// Format writes a table. Each row is a line, its columns are separated by tabs.
func (t Table) Format() []byte {
	var b bytes.Buffer
	line := func(columns ...string) { b.WriteString(strings.Join(columns, "\t") + "\n") }
	line(append([]string{"port", "route", "right", "mode"}, t.Askers...)...)
	for _, r := range t.Rows {
		line(append([]string{r.Port, r.Route, r.Right, r.Mode}, r.Verdicts...)...)
	}
	return b.Bytes()
}

// Parse reads what Format wrote.
func Parse(text []byte) (Table, error) {
	const fixed = 4
	var t Table
	for i, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		columns := strings.Split(line, "\t")
		switch {
		case len(columns) <= fixed:
			return Table{}, fmt.Errorf("access table, line %d: %d columns, more than %d are needed", i+1, len(columns), fixed)
		case i == 0:
			t.Askers = columns[fixed:]
			continue
		case len(columns) != fixed+len(t.Askers):
			return Table{}, fmt.Errorf("access table, line %d: %d columns, the first line has %d", i+1, len(columns), fixed+len(t.Askers))
		}
		t.Rows = append(t.Rows, Row{columns[0], columns[1], columns[2], columns[3], columns[fixed:]})
	}
	return t, nil
}

// Compare returns what is different in got, a sentence each.
func (t Table) Compare(got Table) []string {
	if !slices.Equal(t.Askers, got.Askers) {
		return []string{fmt.Sprintf("the table has columns for %q, asked was as %q", t.Askers, got.Askers)}
	}
	var told []string
	rows := map[[3]string]Row{}
	for _, r := range t.Rows {
		rows[r.key()] = r
	}
	for _, r := range got.Rows {
		known, ok := rows[r.key()]
		delete(rows, r.key())
		if !ok {
			told = append(told, fmt.Sprintf("there is no row for %s. It asks for the right %q; found: %s", r.about(), r.Right, strings.Join(t.sentence(r.Verdicts), ", ")))
			continue
		}
		if known.Right != r.Right {
			told = append(told, fmt.Sprintf("%s: asks for the right %q, the table has %q", r.about(), r.Right, known.Right))
		}
		for i, v := range r.Verdicts {
			if v != known.Verdicts[i] {
				told = append(told, fmt.Sprintf("%s, asked as %q: %s, the table has %s", r.about(), t.Askers[i], v, known.Verdicts[i]))
			}
		}
	}
	for _, r := range t.Rows {
		if _, left := rows[r.key()]; left {
			told = append(told, "the table has a row for "+r.about()+", and there is no such route")
		}
	}
	return told
}

func (t Table) sentence(verdicts []string) []string {
	said := make([]string, len(verdicts))
	for i, v := range verdicts {
		said[i] = t.Askers[i] + " " + v
	}
	return said
}

// Check compares got with the table in a file of the package under test, which it writes first if update is set.
func Check(t *testing.T, file string, update bool, got Table) {
	t.Helper()
	if update {
		if err := os.WriteFile(file, got.Format(), 0o644); err != nil { //nolint:gosec // a table for everybody
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	different := want.Compare(got)
	for _, d := range different {
		t.Error(d)
	}
	if len(different) > 0 {
		t.Errorf("%s has %d differences. A new route: think who may ask it, what it changes and what it costs whom. Then, in the package's directory,\n"+
			"\tgo test -run '%s$' -update . && (cd ../.. && make gen)\nread what changed in the table and in docs/access.md, and commit both", file, len(different), t.Name())
	}
}
