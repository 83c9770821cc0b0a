// Package accesstable holds the table of routes and rights: which client gets which result from which route. Tests send the requests,
// and compare the results with a table in testdata.
package accesstable

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// Yes is the result of a request that is served. Other results are the HTTP status with which it is refused.
const Yes = "yes"

// Table is a table of routes and rights.
type Table struct {
	Clients []string // in the order of each row's results
	Rows    []Row
}

// Row holds the results for one route.
type Row struct {
	Port, Route, Right, Mode string
	Results                  []string
}

// key identifies a row. A table has at most one row for each key.
func (r Row) key() [3]string { return [3]string{r.Port, r.Route, r.Mode} }

// name names the row in messages.
func (r Row) name() string { return fmt.Sprintf("%s on the %s port, %s", r.Route, r.Port, r.Mode) }

// Format writes a table. Each row is a line, its columns are separated by tabs.
func (t Table) Format() []byte {
	var b bytes.Buffer
	line := func(columns ...string) { b.WriteString(strings.Join(columns, "\t") + "\n") }
	line(append([]string{"port", "route", "right", "mode"}, t.Clients...)...)
	for _, r := range t.Rows {
		line(append([]string{r.Port, r.Route, r.Right, r.Mode}, r.Results...)...)
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
			t.Clients = columns[fixed:]
			continue
		case len(columns) != fixed+len(t.Clients):
			return Table{}, fmt.Errorf("access table, line %d: %d columns, the first line has %d", i+1, len(columns), fixed+len(t.Clients))
		}
		t.Rows = append(t.Rows, Row{columns[0], columns[1], columns[2], columns[3], columns[fixed:]})
	}
	return t, nil
}

// Compare returns the differences of got from t, one sentence each.
func (t Table) Compare(got Table) []string {
	if !slices.Equal(t.Clients, got.Clients) {
		return []string{fmt.Sprintf("the table has columns for %q, requests were sent as %q", t.Clients, got.Clients)}
	}
	var differences []string
	rows := map[[3]string]Row{}
	for _, r := range t.Rows {
		rows[r.key()] = r
	}
	for _, r := range got.Rows {
		known, ok := rows[r.key()]
		delete(rows, r.key())
		if !ok {
			differences = append(differences, fmt.Sprintf("there is no row for %s. It needs the right %q; found: %s", r.name(), r.Right, strings.Join(t.describe(r.Results), ", ")))
			continue
		}
		if known.Right != r.Right {
			differences = append(differences, fmt.Sprintf("%s: needs the right %q, the table has %q", r.name(), r.Right, known.Right))
		}
		for i, v := range r.Results {
			if v != known.Results[i] {
				differences = append(differences, fmt.Sprintf("%s, sent as %q: %s, the table has %s", r.name(), t.Clients[i], v, known.Results[i]))
			}
		}
	}
	for _, r := range t.Rows {
		if _, left := rows[r.key()]; left {
			differences = append(differences, "the table has a row for "+r.name()+", and there is no such route")
		}
	}
	return differences
}

func (t Table) describe(results []string) []string {
	words := make([]string, len(results))
	for i, v := range results {
		words[i] = t.Clients[i] + " " + v
	}
	return words
}

// Check compares got with the table in a file of the package under test. With update it first writes got to the file.
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
		t.Errorf("%s has %d differences. For a new route, decide who may request it, what it changes and what it costs. Then run in the package's directory\n"+
			"\tgo test -run '%s$' -update . && (cd ../.. && make gen)\nRead the differences of the table and of docs/access.md, and commit both", file, len(different), t.Name())
	}
}
