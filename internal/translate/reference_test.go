package translate_test

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// This file is the translator once more, without regard to speed: Prometheus' own parsers read each line alone, label sets
// are maps, and which samples stay is decided when all are there. The translator must give the same samples in the same
// order for every page.

// refSample is a sample of the output.
type refSample struct {
	Name   string
	Labels string // sorted and escaped
	Value  string
}

// refCandidate is a sample that a line gives for one family.
type refCandidate struct {
	refSample
	family int
	rank   int
	sum    bool // is added to others of its series
	refReplica
	about map[string]string // see natives.go
	mapping.Target
}

var (
	refName  = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`)
	refLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	refType  = regexp.MustCompile(`^#[ \t]+TYPE[ \t]+("[a-zA-Z_:][a-zA-Z0-9_:]*"|[a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]+([^ \t].*)?$`)
)

// refLines returns the lines of a page that are samples or rubbish, and those that are comments.
func refLines(page []byte, f translate.Format) (lines, comments []string) {
	for line := range strings.SplitSeq(string(page), "\n") {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		switch {
		case line == "# EOF" && f == translate.OpenMetrics:
			return lines, comments
		case strings.HasPrefix(line, "#"):
			comments = append(comments, line)
		case line != "":
			lines = append(lines, line)
		}
	}
	return lines, comments
}

// refParse reads a line with Prometheus' parser of text 0.0.4, else with that of OpenMetrics. The value is returned as the
// line spells it.
func refParse(line string) (set labels.Labels, value string, ok bool) {
	if line[0] == '{' || strings.Contains(line, "\x00") || len(line) > exposition.MaxLineBytes {
		return labels.EmptyLabels(), "", false
	}
	for _, p := range []textparse.Parser{
		textparse.NewPromParser([]byte(line), labels.NewSymbolTable(), false),
		textparse.NewOpenMetricsParser([]byte(line+"\n# EOF\n"), labels.NewSymbolTable()),
	} {
		if entry, err := p.Next(); err != nil || entry != textparse.EntrySeries {
			continue
		}
		p.Labels(&set)
		series, _, v := p.Series()
		rest := line[len(series):]
		if _, err := p.Next(); errors.Is(err, io.EOF) && refLegal(set) {
			return set, refValue(rest, v), true
		}
	}
	return labels.EmptyLabels(), "", false
}

// refValue returns the text of a value, which is the first word after the series.
func refValue(rest string, parsed float64) string {
	value := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == '\t' })[0]
	if v, err := strconv.ParseFloat(value, 64); err != nil || v != parsed && v == v {
		panic("the reference misread " + rest)
	}
	return value
}

// refLegal reports whether text 0.0.4 can carry the labels.
func refLegal(set labels.Labels) bool {
	if _, twice := set.HasDuplicateLabelNames(); twice || set.Len() > exposition.MaxLabels+1 {
		return false
	}
	legal := true
	set.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel {
			legal = legal && refLabel.MatchString(l.Name)
		}
	})
	return legal
}

// refNumber reads a number as Prometheus does.
func refNumber(s string) (float64, bool) {
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && !strings.ContainsAny(s, "pP_")
}

// refLabels puts the labels of an instance and of a line together.
func refLabels(own []translate.Label, set labels.Labels) map[string]string {
	out := map[string]string{}
	for _, l := range own {
		if _, twice := out[l.Name]; !twice && l.Value != "" && exposition.ValidLabelName(l.Name) && l.Name != "le" && l.Name != "quantile" && l.Name != "__name__" {
			out[l.Name] = strings.ToValidUTF8(l.Value, "\uFFFD")
		}
	}
	ours := maps.Clone(out)
	native := map[string]string{}
	set.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel && l.Value != "" {
			native[l.Name] = l.Value
		}
	})
	var clashes []string
	for name, value := range native {
		switch own, taken := ours[name]; {
		case name == "cluster_id", name == "cluster_name", strings.HasPrefix(name, "exported_cluster"):
			clashes = append(clashes, name)
		case taken && own == value:
		case taken:
			clashes = append(clashes, name)
		default:
			out[name] = value
		}
	}
	slices.SortFunc(clashes, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	for _, name := range clashes {
		prefix := "exported_"
		if strings.HasPrefix(name, "cluster") || strings.HasPrefix(name, "exported_cluster") {
			prefix = "native_"
		}
		renamed := prefix + name
		for {
			_, inNative := native[renamed]
			_, inOut := out[renamed]
			if !inNative && !inOut {
				break
			}
			renamed = prefix + renamed
		}
		out[renamed] = native[name]
	}
	return out
}

// refRender writes labels sorted by name.
func refRender(set map[string]string) string {
	return labels.FromMap(set).String()
}

// reference translates a page.
func reference(page []byte, f translate.Format, plan *mapping.Plan, own []translate.Label) ([]refSample, translate.Stats) {
	var stats translate.Stats
	families := plan.Families()
	var candidates []refCandidate
	unmapped := map[string]bool{}
	shown := uint64(0)
	lines, comments := refLines(page, f)
	for _, line := range comments {
		if m := refType.FindStringSubmatch(line); m != nil && refConflict(plan, strings.Trim(m[1], `"`), strings.Trim(m[2], " \t")) {
			stats.TypeConflicts++
		}
	}
	for _, line := range lines {
		stats.Lines++
		name := refName.FindString(line)
		if name == "" {
			stats.ParseErrors++
			continue
		}
		shown |= plan.Shows([]byte(name))
		targets := refTargets(plan, name)
		if len(targets) == 0 {
			stats.Unmapped++
			if family := refFamily(name); plan.Lookup([]byte(name)) == nil && plan.Lookup([]byte(family)) == nil && !unmapped[family] {
				unmapped[family] = true
				stats.UnmappedFamilies++
			}
			continue
		}
		set, value, ok := refParse(line)
		if !ok {
			stats.ParseErrors++
			continue
		}
		refused, selected := false, false
		for _, t := range targets {
			typ := families[t.Family].Type
			if _, number := refNumber(set.Get("le")); t.suffix == "_bucket" && !number {
				refused, selected = true, true
				continue
			}
			changed, newValue, ok := refChange(t, set, value)
			if !ok {
				continue
			}
			selected = true
			if t.suffix == "" && (set.Get("quantile") != "") != (typ == catalog.Summary) {
				continue
			}
			if !refFits(typ, t.suffix, set, value) {
				refused = true
				continue
			}
			candidates = append(candidates, refCandidate{
				refSample:  refSample{Name: families[t.Family].WireName + t.suffix, Labels: refRender(refLabels(own, changed)), Value: newValue},
				family:     t.Family,
				rank:       t.Rank,
				sum:        t.Change != nil && t.Change.Sum,
				about:      refAbout(t, set, value),
				Target:     t.Target,
				refReplica: refReplicaOf(t, set, value, own),
			})
		}
		if refused {
			stats.ParseErrors++
		}
		if !selected {
			stats.Unselected++
		}
	}
	candidates = slices.DeleteFunc(candidates, func(c refCandidate) bool { return c.ShownBy != 0 && c.ShownBy&shown == 0 })
	samples := refSelect(candidates, len(families), &stats)
	return samples, stats
}

type refTarget struct {
	mapping.Target
	suffix string
}

// refTargets says which families a sample name feeds.
func refTargets(plan *mapping.Plan, name string) []refTarget {
	var targets []refTarget
	for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
		native, ok := strings.CutSuffix(name, suffix)
		if !ok {
			continue
		}
		for _, t := range plan.Lookup([]byte(native)) {
			parts := map[catalog.Type][]string{
				catalog.Gauge: {""}, catalog.Counter: {""}, catalog.Histogram: {"_bucket", "_sum", "_count"}, catalog.Summary: {"", "_sum", "_count"},
			}
			if t.As != mapping.AsDeclared {
				if suffix == map[mapping.As]string{mapping.AsSum: "_sum", mapping.AsCount: "_count"}[t.As] {
					targets = append(targets, refTarget{t, ""})
				}
				continue
			}
			if slices.Contains(parts[plan.Families()[t.Family].Type], suffix) {
				targets = append(targets, refTarget{t, suffix})
			}
		}
	}
	return targets
}

// refFits reports whether a sample may stand in a family: a histogram's buckets have an le, an le and a summary's quantile
// are numbers, counts are not negative.
func refFits(typ catalog.Type, suffix string, set labels.Labels, value string) bool {
	if le := set.Get("le"); typ == catalog.Histogram && (suffix == "_bucket" || le != "") {
		if _, number := refNumber(le); !number {
			return false
		}
	}
	if quantile := set.Get("quantile"); typ == catalog.Summary && quantile != "" {
		if _, number := refNumber(quantile); !number {
			return false
		}
	}
	v, _ := refNumber(value)
	return suffix != "_bucket" && suffix != "_count" || !(v < 0)
}

// refConflict reports whether one of the families that a native feeds cannot be fed by the type that the page declares.
func refConflict(plan *mapping.Plan, native, typ string) bool {
	return slices.ContainsFunc(plan.Lookup([]byte(native)), func(t mapping.Target) bool {
		if wanted := plan.Families()[t.Family].Type; wanted == catalog.Histogram || wanted == catalog.Summary || t.As != mapping.AsDeclared {
			return typ == "counter" || typ == "gauge"
		}
		return typ == "histogram" || typ == "summary"
	})
}

// refSelect keeps the samples of each family that stay, and of each series the first.
func refSelect(candidates []refCandidate, families int, stats *translate.Stats) []refSample {
	var samples []refSample
	for family := range families {
		n := len(samples)
		for i, list := range refContest(candidates, family) {
			unused := new(translate.Stats)
			if i == 0 {
				unused = stats
			}
			samples = append(samples, refMerge(list, unused)...)
		}
		if len(samples) > n {
			stats.Families++
		}
	}
	stats.Samples = len(samples)
	return samples
}

// refMerge makes one sample of each series of one native.
func refMerge(candidates []refCandidate, stats *translate.Stats) []refSample {
	var samples []refSample
	seen := map[[2]string]bool{}
	sums := map[[2]string]int{}
	for _, c := range candidates {
		if c.max {
			continue
		}
		key := [2]string{c.Name, c.Labels}
		if c.sum && seen[key] {
			refAdd(&samples[sums[key]], c.Value)
			continue
		}
		sums[key] = len(samples)
		if seen[key] {
			stats.Duplicates++
		} else {
			seen[key] = true
			samples = append(samples, c.refSample)
		}
	}
	replicas := slices.DeleteFunc(slices.Clone(candidates), func(c refCandidate) bool { return !c.max })
	return append(samples, refLargest(replicas, stats)...)
}

// readBack reads a page of ours, line by line, in the reference's terms.
func readBack(page []byte) ([]refSample, error) {
	var samples []refSample
	lines, _ := refLines(page, translate.Text)
	for _, line := range lines {
		set, value, ok := refParse(line)
		if !ok {
			return nil, errors.New("unreadable line " + line)
		}
		b := labels.NewBuilder(set)
		b.Del(model.MetricNameLabel)
		samples = append(samples, refSample{Name: set.Get(model.MetricNameLabel), Labels: b.Labels().String(), Value: value})
	}
	return samples, nil
}

// wholePage reads a page with Prometheus' parser as a whole and returns the number of samples.
func wholePage(page []byte) (int, error) {
	p := textparse.NewPromParser(bytes.Clone(page), labels.NewSymbolTable(), false)
	n := 0
	for {
		switch entry, err := p.Next(); {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		case entry == textparse.EntrySeries:
			n++
		}
	}
}
