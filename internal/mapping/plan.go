package mapping

import "bytes"

// Target is a unified family that a native family feeds.
type Target struct {
	// Family is the index into Compiled.Families.
	Family int
	// Rank is the position among the candidates of that family: of several that are present in one page, the lowest
	// is used.
	Rank int
	// As says which samples of the native family are taken.
	As As
	// Change is what happens to samples on the way; nil: they get the family's name and the instance's labels, no more.
	Change *Change
}

// As says which samples of a native family a target takes.
type As uint8

// The values of a target's key "as".
const (
	// AsDeclared takes those that the unified family's type has, whatever the page says about the native's. "cumulative" and
	// "gauge" are other spellings of it: they say that the engine's own type is wrong.
	AsDeclared As = iota
	// AsSum makes a counter or gauge of the _sum of a histogram or summary.
	AsSum
	// AsCount makes a counter or gauge of its _count.
	AsCount
)

// Change is what happens to the samples of a native family on the way to a unified one, in the order of the fields. It does
// not change.
type Change struct {
	// Match selects samples by their native labels: all must hold. A label that a sample does not have is "".
	Match []Match
	// Ignore holds values that mean "no value": such a sample is left out, as if the engine had not written it.
	Ignore []float64
	// ValueFrom names labels whose product is the value, for engines that write a number as a label (vLLM's
	// cache_config_info). A sample without one of them, or where one is no number, is left out. Empty: the sample's value.
	ValueFrom []string
	// Scale multiplies values, bucket bounds, quantile values and sums, but no counts. 1 changes nothing.
	Scale float64
	// Keep names the only native labels that stay; nil: all. Drop names labels that go. Samples that then have the same
	// labels are added up if Sum is set, else the first one stays.
	Keep, Drop []string
	// Sum says that samples with the same labels are added up: the target has sum_over or sum_by.
	Sum bool
	// MaxOver names labels that number replicas of one quantity, such as tensor-parallel ranks. Of samples whose other labels
	// are the same, the largest value is taken, with the labels of the lowest replica; this comes before Sum. Labels are
	// compared in their order here: numbers as numbers and below other texts, a missing label below all.
	MaxOver []string
	// Rename gives native labels another name.
	Rename []Rename
	// Add are labels with a fixed value.
	Add []Add
}

// Match selects by one label.
type Match struct {
	Label string
	// Values are those that the label may have or, with Not, may not have.
	Values []string
	Not    bool
}

// Rename is a label's native name and the one that it gets.
type Rename struct{ From, To string }

// Add is a label that every sample gets.
type Add struct{ Name, Value string }

// Plan is a mapping for one runtime in one version. It is immutable; the nil plan maps nothing.
type Plan struct {
	families []Family
	natives  map[string][]Target
	aliases  []alias
	core     []int
}

// alias is a beginning of native names that stands for another one.
type alias struct{ from, to string }

// Lookup returns the unified families that the native family feeds, nil if there is none. A family is found with and
// without _total. The result must not be changed. Lookup does not allocate.
func (p *Plan) Lookup(native []byte) []Target {
	if p == nil {
		return nil
	}
	if targets := p.natives[string(native)]; targets != nil {
		return targets
	}
	for _, a := range p.aliases {
		rest, ok := bytes.CutPrefix(native, []byte(a.from))
		if ok && len(a.to)+len(rest) <= maxNameBytes+len(totalSuffix) {
			var name [maxNameBytes + len(totalSuffix)]byte
			if targets := p.natives[string(append(append(name[:0], a.to...), rest...))]; targets != nil {
				return targets
			}
		}
	}
	return nil
}

// Families returns Compiled.Families of the mapping that the plan is of.
func (p *Plan) Families() []Family {
	if p == nil {
		return nil
	}
	return p.families
}

// Core returns the indexes of the families that count for coverage: of an engine GPUStack's 28, as far as the document has
// them, or all where it has none of them; of a gateway, which is a runtime that feeds families of gateways and no others,
// those of gateways. The result must not be changed.
func (p *Plan) Core() []int {
	if p == nil {
		return nil
	}
	return p.core
}

// Empty reports whether the plan maps nothing, as for an unknown runtime.
func (p *Plan) Empty() bool {
	return p == nil || len(p.natives) == 0
}

// add enters a spelling of a native. One that is there already stays: x_total of the native x before x_total_total's.
func (p *Plan) add(native string, targets []Target) {
	if _, taken := p.natives[native]; !taken {
		p.natives[native] = targets
	}
}
