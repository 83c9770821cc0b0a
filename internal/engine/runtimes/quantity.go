package runtimes

import "github.com/stackscope/stackscope/internal/exposition"

// series is the samples of a name on a page.
type series struct {
	name string
	// only selects, as label, value, label, value, ...: a sample counts if it has the value or lacks the label.
	only []string
}

// quantity is one thing that a page tells, by all the names that it goes by: the first that is there counts.
type quantity []series

// each makes a quantity of each name.
func each(names ...string) []quantity {
	list := make([]quantity, len(names))
	for i, name := range names {
		list[i] = quantity{{name: name}}
	}
	return list
}

// firstOf makes a quantity that goes by several names.
func firstOf(names ...string) quantity {
	q := make(quantity, len(names))
	for i, name := range names {
		q[i].name = name
	}
	return q
}

func (s series) selects(sample *exposition.Sample) bool {
	for _, l := range sample.Labels {
		for i := 0; i+1 < len(s.only); i += 2 {
			if string(l.Name) == s.only[i] && string(l.Value) != s.only[i+1] {
				return false
			}
		}
	}
	return true
}
