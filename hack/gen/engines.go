package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
)

// coverage is a list that the tests of internal/mapping write: the unified metrics of an engine, or of one recorded page.
type coverage struct {
	// title is the name of an engine, or of a page with its runtime and version.
	title, count string
	// cells holds a table's cells by metric.
	cells map[string]string
}

const (
	cellEqual       = "●"
	cellApproximate = "○"
)

// readCoverage reads a list of internal/mapping/testdata.
func readCoverage(name string) (list []coverage, err error) {
	path := filepath.Join("internal", "mapping", "testdata", name)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var current *coverage
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if row, ok := strings.CutPrefix(line, "  "); ok {
			metric, natives, ok := strings.Cut(row, " <- ")
			if !ok || current == nil {
				return nil, fmt.Errorf("%s: found %q, want METRIC <- NATIVE", path, line)
			}
			// The first candidate is the usual one.
			first, _, _ := strings.Cut(natives, ", ")
			current.cells[metric] = cellEqual
			if strings.HasSuffix(first, " ~") {
				current.cells[metric] = cellApproximate
			}
			continue
		}
		title, count, ok := strings.Cut(line, ": ")
		if !ok {
			return nil, fmt.Errorf("%s: found %q, want TITLE: COUNT", path, line)
		}
		list = append(list, coverage{title: strings.TrimSuffix(title, " in the document"), count: count, cells: map[string]string{}})
		current = &list[len(list)-1]
	}
	return list, nil
}

// Lists that the tests of internal/mapping write.
const (
	candidates       = "candidates.txt"
	coverageRecorded = "coverage-recorded.txt"
)

// gatewayTable returns the table of which gateway has which metric.
func gatewayTable() ([]byte, error) {
	all, err := readCoverage(candidates)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	writeTable(&b, catalog.Gateway, slices.DeleteFunc(all, func(c coverage) bool { return !isGateway(c) }))
	return b.Bytes(), nil
}

func isGateway(c coverage) bool {
	return slices.ContainsFunc(catalog.Gateway, func(m catalog.Metric) bool { return c.cells[m.Name] != "" })
}

// writeTable writes a table with a row for each metric and a column for each of list.
func writeTable(b *bytes.Buffer, metrics []catalog.Metric, list []coverage) {
	b.WriteString("| metric |")
	for _, e := range list {
		fmt.Fprintf(b, " %s |", e.title)
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(list)) + "\n")
	for _, m := range metrics {
		fmt.Fprintf(b, "| `%s` |", m.WireName())
		for _, e := range list {
			fmt.Fprintf(b, " %s |", e.cells[m.Name])
		}
		b.WriteString("\n")
	}
}

// engineTables returns the table of which engine has which metric, and the number of metrics of each recorded page.
func engineTables() ([]byte, error) {
	pages, err := readCoverage(coverageRecorded)
	if err != nil {
		return nil, err
	}
	engines, err := readCoverage(candidates)
	if err != nil {
		return nil, err
	}
	engines = slices.DeleteFunc(engines, isGateway)
	var b bytes.Buffer
	writeTable(&b, slices.Concat(catalog.Runtime, catalog.RuntimeExtra), engines)
	fmt.Fprintf(&b, "| of GPUStack's %d |", len(catalog.Runtime))
	for _, e := range engines {
		count, _, _ := strings.Cut(e.count, " ")
		fmt.Fprintf(&b, " %s |", count)
	}
	b.WriteString("\n\nRecorded and documented pages have this many of them:\n\n| page | metrics |\n|---|---|\n")
	for _, p := range pages {
		fmt.Fprintf(&b, "| %s | %s |\n", p.title, p.count)
	}
	return b.Bytes(), nil
}
