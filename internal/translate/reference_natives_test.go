package translate_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// refAbout returns the labels that a target makes of a sample's, without those of max_over and those that say what a sample is.
func refAbout(t refTarget, set labels.Labels, value string) map[string]string {
	if t.Change != nil {
		b := labels.NewBuilder(set)
		b.Del(t.Change.MaxOver...)
		set = b.Labels()
		c := *t.Change
		c.Match = nil
		t.Change = &c
	}
	set, _, _ = refChange(t, set, value)
	about := set.Map()
	maps.DeleteFunc(about, func(name, value string) bool {
		return value == "" || slices.Contains([]string{"__name__", "le", "quantile"}, name)
	})
	for name, value := range about {
		about[name] = strings.Map(func(r rune) rune { // small letters, as bytes.ToLower makes them
			return []rune(strings.ToLower(string(r)))[0]
		}, value)
	}
	return about
}

// refContest returns the samples of a family that stay, those of each native in a list: all of the best one, of the others those
// that are certainly about something else than all that stay.
func refContest(candidates []refCandidate, family int) [][]refCandidate {
	byRank := map[int][]refCandidate{}
	for _, c := range candidates {
		if c.family == family {
			byRank[c.rank] = append(byRank[c.rank], c)
		}
	}
	var stay [][]refCandidate
	for i, rank := range slices.Sorted(maps.Keys(byRank)) {
		list := byRank[rank]
		if i > 0 {
			list = slices.DeleteFunc(list, func(c refCandidate) bool { return c.Fallback || refMeets(c, slices.Concat(stay...)) })
		}
		if len(list) > 0 {
			stay = append(stay, list)
		}
	}
	return stay
}

func refMeets(c refCandidate, stay []refCandidate) bool {
	names := func(c refCandidate) string { return strings.Join(slices.Sorted(maps.Keys(c.about)), ",") }
	byShape := map[string][]refCandidate{}
	for _, s := range stay {
		if maps.Equal(s.about, c.about) {
			return true
		}
		byShape[names(s)] = append(byShape[names(s)], s)
	}
	for shape, list := range byShape {
		apart := slices.ContainsFunc([]string{"model_name", "model", "served_model", "engine", "dp_rank"}, func(name string) bool {
			return c.about[name] != "" && !slices.ContainsFunc(list, func(s refCandidate) bool {
				return cmp.Or(s.about[name], c.about[name]) == c.about[name]
			})
		})
		if shape != names(c) && !apart {
			return true
		}
	}
	return false
}
