package translate

import (
	"cmp"
	"slices"
	"strings"
)

// Unselected says of how many samples of a native metric no target of the mapping takes the labels.
type Unselected struct {
	// Family is the native metric, as far as the names of its samples tell; OtherFamilies for all beyond the limit.
	Family string
	// Reason is the option of the targets that excludes the samples: match or value_from.
	Reason  string
	Samples int
}

// Values of Unselected.
const (
	ReasonMatch     = "match"
	ReasonValueFrom = "value_from"
	OtherFamilies   = "other"
)

// MaxUnselected bounds the native metrics of which Unselected tells separately.
const MaxUnselected = 16

// A skipReason is why a target does not take samples with certain labels.
type skipReason uint8

const (
	notSkipped skipReason = iota
	skippedByMatch
	skippedByValueFrom
)

var skipReasons = [...]string{skippedByMatch: ReasonMatch, skippedByValueFrom: ReasonValueFrom}

// countUnselected counts a line of which no target takes the labels.
func (t *nameTable) countUnselected(s *sampleName, reason skipReason) {
	if reason == notSkipped {
		return
	}
	if s.lastUnselected != t.pageNumber {
		s.lastUnselected, s.unselected = t.pageNumber, [len(skipReasons)]int{}
	}
	s.unselected[reason]++
}

// Unselected returns the samples of the last page of which no target takes the labels, most samples first. It is valid until the
// next Translate. Samples whose value is one that the mapping ignores are not among them.
func (r *Result) Unselected() []Unselected { return r.unselected }

// listUnselected makes the list that Unselected returns.
func (r *Result) listUnselected() {
	r.unselected = r.unselected[:0]
	if r.stats.Unselected == 0 {
		return
	}
	for i := range r.names.entries {
		s := &r.names.entries[i]
		if s.lastUnselected != r.names.pageNumber {
			continue
		}
		family := s.name[:len(familyName([]byte(s.name)))]
		for reason, n := range s.unselected {
			if n == 0 {
				continue
			}
			same := func(u Unselected) bool { return u.Family == family && u.Reason == skipReasons[reason] }
			if at := slices.IndexFunc(r.unselected, same); at >= 0 {
				r.unselected[at].Samples += n
			} else {
				r.unselected = append(r.unselected, Unselected{Family: family, Reason: skipReasons[reason], Samples: n})
			}
		}
	}
	slices.SortFunc(r.unselected, func(a, b Unselected) int {
		return cmp.Or(b.Samples-a.Samples, strings.Compare(a.Family, b.Family), strings.Compare(a.Reason, b.Reason))
	})
	if len(r.unselected) <= MaxUnselected {
		return
	}
	var other [len(skipReasons)]int
	for _, u := range r.unselected[MaxUnselected:] {
		other[slices.Index(skipReasons[:], u.Reason)] += u.Samples
	}
	r.unselected = r.unselected[:MaxUnselected]
	for reason, n := range other {
		if n > 0 {
			r.unselected = append(r.unselected, Unselected{Family: OtherFamilies, Reason: skipReasons[reason], Samples: n})
		}
	}
}
