package translate_test

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/stackscope/stackscope/internal/translate"
)

// refReplica says of which series a sample is a replica.
type refReplica struct {
	max    bool
	series string   // the labels of the output without those of max_over
	native string   // those of the page without them; "" if samples are not added up
	ranks  []string // the values of the labels of max_over
}

func refReplicaOf(t refTarget, set labels.Labels, value string, own []translate.Label) refReplica {
	if t.Change == nil || len(t.Change.MaxOver) == 0 {
		return refReplica{}
	}
	b := labels.NewBuilder(set)
	b.Del(t.Change.MaxOver...)
	others := b.Labels()
	c := *t.Change
	c.Match = nil
	changed, _, ok := refChange(refTarget{t.Target, t.suffix}, set, value)
	if !ok {
		panic("the sample was taken before")
	}
	t.Change = &c
	series, _, _ := refChange(t, others, value)
	r := refReplica{max: true, series: refRender(refLabels(own, series))}
	for _, name := range c.MaxOver {
		r.ranks = append(r.ranks, set.Get(name))
	}
	if c.Sum {
		b := labels.NewBuilder(others)
		b.Set("le", changed.Get("le")).Del("__name__")
		r.native = b.Labels().String()
	}
	return r
}

// refLargest takes of each series' replicas the largest value and the labels of the lowest one, and adds up what sum_over and
// sum_by make equal. The samples are in the order of the first ones.
func refLargest(candidates []refCandidate, stats *translate.Stats) []refSample {
	var order []string
	bySeries := map[string][]refCandidate{}
	for _, c := range candidates {
		key := c.Name + c.series
		if bySeries[key] == nil {
			order = append(order, key)
		}
		bySeries[key] = append(bySeries[key], c)
	}
	var samples []refSample
	for _, key := range order {
		lowest := slices.MinFunc(bySeries[key], func(a, b refCandidate) int { return slices.CompareFunc(a.ranks, b.ranks, refCompare) })
		sample := refSample{Name: lowest.Name, Labels: lowest.Labels}
		seen := map[string]bool{}
		largest := map[string]string{}
		var groups []string
		for _, c := range bySeries[key] {
			id := c.native + " " + strings.Join(c.ranks, "\x00")
			if seen[id] {
				stats.Duplicates++
				continue
			}
			seen[id] = true
			old, known := largest[c.native]
			if !known {
				groups = append(groups, c.native)
			}
			a, _ := refNumber(old)
			b, _ := refNumber(c.Value)
			if !known || b > a || math.IsNaN(a) && !math.IsNaN(b) {
				largest[c.native] = c.Value
			}
		}
		for i, group := range groups {
			if i == 0 {
				sample.Value = largest[group]
			} else {
				refAdd(&sample, largest[group])
			}
		}
		samples = append(samples, sample)
	}
	return samples
}

// refCompare compares the values of a label of max_over.
func refCompare(a, b string) int {
	kind := func(s string) (int, float64) {
		v, ok := refNumber(s)
		switch {
		case s == "":
			return 0, 0
		case ok && !math.IsNaN(v):
			return 1, v
		}
		return 2, 0
	}
	ka, va := kind(a)
	kb, vb := kind(b)
	return cmp.Or(cmp.Compare(ka, kb), cmp.Compare(va, vb), strings.Compare(a, b))
}
