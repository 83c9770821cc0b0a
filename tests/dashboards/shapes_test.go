package dashboards

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/tests/dashboards/viewer"
)

var (
	legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
	fieldLabel  = regexp.MustCompile(`\$\{__field\.labels\.(\w+)\}`)
	dataField   = regexp.MustCompile(`\$\{__data\.fields\.(\w+)\}`)
)

// shapeFaults compare answers with what the panel shows of them: columns of tables, labels of legends and links. Of a panel
// without data nothing is known.
func (s *shown) shapeFaults() []string {
	if !s.anyData() {
		return nil
	}
	faults := s.linkFaults()
	switch {
	case s.panel.Type == "table" && s.panel.Matrix != nil:
		return append(faults, s.matrixFaults()...)
	case s.panel.Type == "table":
		return append(faults, s.tableFaults()...)
	case s.panel.Type == "heatmap":
		return faults
	}
	return append(faults, s.legendFaults()...)
}

// labels returns which labels the series of the answers have.
func (a *asked) labels() map[string]bool {
	all := map[string]bool{}
	for _, s := range a.series() {
		for name := range s.Labels {
			all[name] = true
		}
	}
	return all
}

// fields returns which fields a table can show.
func (s *shown) fields() map[string]bool {
	all := map[string]bool{"Time": true}
	for _, a := range s.targets {
		for name := range a.labels() {
			all[name] = true
		}
		name := "Value"
		if len(s.targets) > 1 {
			name += " #" + a.RefID
		}
		all[name] = a.hasData() || a.why != ""
	}
	return all
}

// tableFaults are columns that no query fills.
func (s *shown) tableFaults() (faults []string) {
	has := s.fields()
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(s.panel.Columns, s.panel.Overridden)))) {
		if !has[name] && !s.hasNot(name) {
			faults = append(faults, fmt.Sprintf("column %q is in no answer:\n%s", name, s.targets[0].tell()))
		}
	}
	if len(s.panel.Columns) == 0 {
		faults = append(faults, "the table chooses no columns")
	}
	return faults
}

func (s *shown) matrixFaults() (faults []string) {
	has := s.fields()
	for _, name := range []string{s.panel.Matrix.Column, s.panel.Matrix.Row, s.panel.Matrix.Value} {
		if !has[name] {
			faults = append(faults, fmt.Sprintf("the matrix is made of %q, which is in no answer", name))
		}
	}
	return faults
}

// legendFaults are labels of legends that no series has, and series that one cannot tell apart.
func (s *shown) legendFaults() (faults []string) {
	for _, a := range s.targets {
		has := a.labels()
		for _, m := range legendLabel.FindAllStringSubmatch(a.Legend, -1) {
			if len(has) > 0 && !has[m[1]] && !s.hasNot(m[1]) { // what has no labels at all stands in for what there is none of
				faults = append(faults, fmt.Sprintf("query %s: the legend's label %s is on no series:\n%s", a.RefID, m[1], a.tell()))
			}
		}
	}
	for choice := range s.targets[0].answers {
		seen := map[string]viewer.Series{}
		for _, a := range s.targets {
			if choice >= len(a.answers) || a.Legend == "__auto" {
				continue
			}
			for _, series := range a.answers[choice].answer.Series {
				text := legendOf(a.Legend, series)
				if before, ok := seen[text]; ok {
					return append(faults, fmt.Sprintf("query %s: two series have the same legend %q: %v and %v", a.RefID, text, before.Labels, series.Labels))
				}
				seen[text] = series
			}
		}
	}
	return faults
}

func legendOf(format string, s viewer.Series) string {
	return legendLabel.ReplaceAllStringFunc(format, func(found string) string { return s.Labels[strings.Trim(found, "{} ")] })
}

// linkFaults are labels and fields of links that aren't there.
func (s *shown) linkFaults() (faults []string) {
	has := s.fields()
	for _, link := range s.panel.Links {
		for _, m := range fieldLabel.FindAllStringSubmatch(link, -1) {
			if !has[m[1]] {
				faults = append(faults, fmt.Sprintf("a link uses the label %s, which no series has", m[1]))
			}
		}
		for _, m := range dataField.FindAllStringSubmatch(link, -1) {
			if !slices.Contains(s.panel.Columns, m[1]) {
				faults = append(faults, fmt.Sprintf("a link uses the field %s, which is not among the table's columns", m[1]))
			}
		}
	}
	return faults
}
