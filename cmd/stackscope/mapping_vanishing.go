package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/wire"
)

// vanishing is what a change of the mapping takes away.
type vanishing struct {
	Series  int            `json:"series"` // of live engines
	Metrics []vanishedLine `json:"metrics"`
	// SeriesLeftOut is how many of the series are of metrics that workers left out of their lists.
	SeriesLeftOut int `json:"series_left_out,omitempty"`
	// Documents are metrics that only the documents say vanish: no engine that was read has them.
	Documents []wire.VanishingMetric `json:"by_documents"`
	Unknown   []string               `json:"unknown"`

	unchanged bool // the document is the active one
	told      bool // what vanishes of live engines is printed elsewhere
}

// vanishedLine is a unified metric of which series vanish.
type vanishedLine struct {
	Metric   string   `json:"metric"`
	Series   int      `json:"series"`
	Runtimes []string `json:"runtimes"`
}

// vanishingOf reads it from a dry run, the metrics with the most series first.
func vanishingOf(run *wire.MappingDryRun) *vanishing {
	v := &vanishing{Series: run.Removed, Metrics: []vanishedLine{}, Documents: []wire.VanishingMetric{}, Unknown: []string{}}
	at := map[string]int{}
	for _, worker := range run.Workers {
		if worker.State != wire.DryRunAnswered {
			v.Unknown = append(v.Unknown, fmt.Sprintf("worker %s: %s", worker.WorkerName, worker.Detail))
		}
		for i := range worker.Instances {
			in := &worker.Instances[i]
			if in.Error != "" {
				v.Unknown = append(v.Unknown, fmt.Sprintf("instance %s: %s", in.Name, in.Error))
			}
			listed := 0
			for _, f := range in.Families {
				if f.Removed == 0 {
					continue
				}
				listed += f.Removed
				k, ok := at[f.Name]
				if !ok {
					k = len(v.Metrics)
					at[f.Name] = k
					v.Metrics = append(v.Metrics, vanishedLine{Metric: f.Name, Runtimes: []string{}})
				}
				v.Metrics[k].Series += f.Removed
				v.Metrics[k].Runtimes = withRuntime(v.Metrics[k].Runtimes, in.Runtime)
			}
			v.SeriesLeftOut += max(0, in.Removed-listed)
		}
	}
	if run.Vanishing != nil {
		for _, m := range run.Vanishing.Metrics {
			if k, ok := at[m.Metric]; ok {
				m.Runtimes = slices.DeleteFunc(slices.Clone(m.Runtimes), func(name string) bool { return hasRuntime(v.Metrics[k].Runtimes, name) })
			}
			if len(m.Runtimes) > 0 {
				v.Documents = append(v.Documents, m)
			}
		}
	}
	// Metrics that vanish altogether come before those of which another runtime has series.
	slices.SortStableFunc(v.Documents, func(a, b wire.VanishingMetric) int {
		_, x := at[a.Metric]
		_, y := at[b.Metric]
		return cmp.Compare(rank(x), rank(y))
	})
	slices.SortFunc(v.Metrics, func(a, b vanishedLine) int { return cmp.Or(b.Series-a.Series, cmp.Compare(a.Metric, b.Metric)) })
	return v
}

func rank(later bool) int {
	if later {
		return 1
	}
	return 0
}

// vanished is what a server says that it took away; nil: nothing that is known.
func vanished(s *wire.Vanishing) *vanishing {
	if s == nil {
		return nil
	}
	return &vanishing{Series: s.Series, Metrics: []vanishedLine{}, SeriesLeftOut: s.Series, Documents: s.Metrics, Unknown: s.Unknown}
}

// A runtime is the same in any letter case.
func hasRuntime(list []string, name string) bool {
	return slices.ContainsFunc(list, func(have string) bool { return strings.EqualFold(have, name) })
}

func withRuntime(list []string, name string) []string {
	if name == "" || hasRuntime(list, name) {
		return list
	}
	return append(list, name)
}

// any reports whether something vanishes.
func (v *vanishing) any() bool { return v.Series > 0 || len(v.Documents) > 0 }

func (v *vanishing) orNil() *vanishing {
	if v == nil || !v.any() {
		return nil
	}
	return v
}

// String is a sentence without its end, such as "449 series of 78 metrics vanish".
func (v *vanishing) String() string {
	verb := "vanish"
	if v.Series == 1 && len(v.Metrics) > 0 || v.Series == 0 && len(v.Documents) == 1 {
		verb = "vanishes"
	}
	return v.amount() + " " + verb
}

func (v *vanishing) would() string { return v.amount() + " would vanish" }

func (v *vanishing) amount() string {
	switch {
	case v.Series == 0:
		return "No live series but " + count(len(v.Documents), "metric")
	case len(v.Metrics) == 0:
		return count(v.Series, "series")
	}
	return count(v.Series, "series") + " of " + count(len(v.Metrics), "metric")
}

const (
	// maxVanishing bounds each list for people.
	maxVanishing = 20
	// fewDocuments is how many metrics that vanish by the documents alone are listed beside others.
	fewDocuments = 3
)

// print writes it for people; nothing if nothing vanishes and everything is known.
func (v *vanishing) print(out io.Writer, verbose bool) error {
	most := maxVanishing
	if verbose {
		most = len(v.Metrics) + len(v.Documents) + len(v.Unknown)
	}
	w := terminal.NewTable(terminal.Of(out, os.Getenv))
	if v.Series > 0 {
		fmt.Fprintf(w, "%s:\n", v)
	}
	if len(v.Metrics) > 0 {
		fmt.Fprintln(w, "\nMETRIC\tSERIES\tRUNTIMES")
		for _, m := range v.Metrics[:min(most, len(v.Metrics))] {
			fmt.Fprintf(w, "%s\t%d\t%s\n", m.Metric, m.Series, runtimesCell(m.Runtimes, verbose))
		}
		andMore(w, len(v.Metrics)-most, "metric")
		fmt.Fprintln(w)
	}
	if v.SeriesLeftOut > 0 && v.SeriesLeftOut < v.Series {
		fmt.Fprintf(w, "%s of them are of further metrics, which the workers did not list.\n", count(v.SeriesLeftOut, "series"))
	}
	switch {
	case len(v.Documents) > fewDocuments && (v.told || len(v.Metrics) > 0) && !verbose:
		fmt.Fprintf(w, "By the documents alone %s of %s vanish, too; no engine that was read has them now. --verbose lists them.\n",
			count(len(v.Documents), "metric"), runtimesCell(v.documentRuntimes(), false))
	case len(v.Documents) > 0:
		fmt.Fprintln(w, "By the documents alone these vanish; no engine that was read has them now:")
		fmt.Fprintln(w, "\nMETRIC\tRUNTIMES")
		for _, m := range v.Documents[:min(most, len(v.Documents))] {
			fmt.Fprintf(w, "%s\t%s\n", m.Metric, runtimesCell(m.Runtimes, verbose))
		}
		andMore(w, len(v.Documents)-most, "metric")
		fmt.Fprintln(w)
	}
	if len(v.Unknown) > 0 {
		fmt.Fprintln(w, "Nothing is known of:")
		for _, who := range v.Unknown[:min(most, len(v.Unknown))] {
			fmt.Fprintf(w, "  %s\n", who)
		}
		andMore(w, len(v.Unknown)-most, "")
	}
	return w.Flush()
}

// documentRuntimes are the runtimes of which metrics vanish by the documents alone, in the order in which the metrics name them.
func (v *vanishing) documentRuntimes() []string {
	var all []string
	for _, m := range v.Documents {
		for _, name := range m.Runtimes {
			all = withRuntime(all, name)
		}
	}
	return all
}

// runtimesCell lists runtimes for a table.
func runtimesCell(list []string, verbose bool) string {
	const most = 4
	if verbose || len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most-1], ", "), len(list)-(most-1))
}

func andMore(w io.Writer, more int, what string) {
	switch {
	case more <= 0:
	case what == "":
		fmt.Fprintf(w, "  and %d more; --verbose lists them\n", more)
	default:
		fmt.Fprintf(w, "and %d more %s; --verbose lists them\n", more, strings.TrimPrefix(count(more, what), fmt.Sprint(more)+" "))
	}
}
