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

// coverage is what the mapping's tests list: the families that an engine, or a recorded page of one, has.
type coverage struct {
	// title is a page's name and what it is read as, or an engine's name.
	title, count string
	// families holds cells by family.
	families map[string]string
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
			family, natives, ok := strings.Cut(row, " <- ")
			if !ok || current == nil {
				return nil, fmt.Errorf("%s: found %q, wanted is METRIC <- NATIVE", path, line)
			}
			// The first candidate is the usual one.
			first, _, _ := strings.Cut(natives, ", ")
			current.families[family] = cellEqual
			if strings.HasSuffix(first, " ~") {
				current.families[family] = cellApproximate
			}
			continue
		}
		title, count, ok := strings.Cut(line, ": ")
		if !ok {
			return nil, fmt.Errorf("%s: found %q, wanted is TITLE: COUNT", path, line)
		}
		list = append(list, coverage{title: strings.TrimSuffix(title, " in the document"), count: count, families: map[string]string{}})
		current = &list[len(list)-1]
	}
	return list, nil
}

// Lists that the tests of internal/mapping write.
const (
	candidates       = "candidates.txt"
	coverageRecorded = "coverage-recorded.txt"
)

// gatewayTable writes which families each gateway has.
func gatewayTable() ([]byte, error) {
	all, err := readCoverage(candidates)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	cells(&b, catalog.Gateway, slices.DeleteFunc(all, func(c coverage) bool { return !isGateway(c) }))
	return b.Bytes(), nil
}

func isGateway(c coverage) bool {
	return slices.ContainsFunc(catalog.Gateway, func(m catalog.Metric) bool { return c.families[m.Name] != "" })
}

// cells writes a table of families and who has them.
func cells(b *bytes.Buffer, families []catalog.Metric, list []coverage) {
	b.WriteString("| metric |")
	for _, e := range list {
		fmt.Fprintf(b, " %s |", e.title)
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(list)) + "\n")
	for _, m := range families {
		fmt.Fprintf(b, "| `%s` |", m.WireName())
		for _, e := range list {
			fmt.Fprintf(b, " %s |", e.families[m.Name])
		}
		b.WriteString("\n")
	}
}

// engineTables writes which unified families each engine has, and how many each recorded page has.
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
	cells(&b, slices.Concat(catalog.Runtime, catalog.RuntimeExtra), engines)
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
