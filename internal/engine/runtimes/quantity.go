package runtimes

import "github.com/stackscope/stackscope/internal/exposition"

// series selects samples of a page.
type series struct {
	name string
	// only selects, as label, value, label, value, ...: a sample counts if it has the value or lacks the label.
	only []string
	// replicas are labels that number replicas of one value: of samples that are equal but for these labels the largest one counts.
	replicas []string
}

// quantity is one number of a page under all the names that it has had: the first name on the page counts.
type quantity []series

// each makes a quantity of one name for each of names.
func each(names ...string) []quantity {
	list := make([]quantity, len(names))
	for i, name := range names {
		list[i] = quantity{{name: name}}
	}
	return list
}

// firstOf makes a quantity of several names.
func firstOf(names ...string) quantity {
	q := make(quantity, len(names))
	for i, name := range names {
		q[i].name = name
	}
	return q
}

// only selects samples of q, see series.
func (q quantity) only(labels ...string) quantity {
	for i := range q {
		q[i].only = labels
	}
	return q
}

// maxOver takes one of q's samples that are equal but for labels, see series.
func (q quantity) maxOver(labels []string) quantity {
	for i := range q {
		q[i].replicas = labels
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
