package mapping

import (
	"bytes"
	"slices"
	"strings"
)

// Target is a unified family that a native family feeds.
type Target struct {
	// Family is the index into Compiled.Families.
	Family int
	// Rank is the position among the candidates of that family: where several have the same series on a page, the lowest is
	// used.
	Rank int
	// Fallback says that the target is used only if no candidate before it has samples on the page.
	Fallback bool
	// ShownBy are the bits of Plan.Shows of which the page must have one; 0: it need not.
	ShownBy uint64
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
	// several tells the families with several candidates; shown are the natives that since.shown_by names.
	several []bool
	shown   []string
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

// HasSeveralNatives reports whether several native families of the plan feed a unified one, or one several times.
func (p *Plan) HasSeveralNatives(family int) bool { return p.several[family] }

// Shows returns the bits of Target.ShownBy that a sample name of a page sets.
func (p *Plan) Shows(sample []byte) uint64 {
	var bits uint64
	if p == nil {
		return bits
	}
	for i, native := range p.shown {
		if isSampleOf(string(sample), native) {
			bits |= bitOf(i)
		}
		for _, a := range p.aliases {
			if rest, ok := strings.CutPrefix(string(sample), a.from); ok && isSampleOf(a.to+rest, native) {
				bits |= bitOf(i)
			}
		}
	}
	return bits
}

// showing returns the bits of natives that since.shown_by names, and gives bits to new ones.
func (p *Plan) showing(natives []string) uint64 {
	var bits uint64
	for _, native := range natives {
		i := slices.Index(p.shown, native)
		if i < 0 {
			i = len(p.shown)
			p.shown = append(p.shown, native)
		}
		bits |= bitOf(i)
	}
	return bits
}

// bitOf returns the bit of a native of Plan.shown. Those beyond the last bit share it.
func bitOf(i int) uint64 { return 1 << min(i, 63) }

// isSampleOf reports whether a native family has samples of a name. The family's name is without _total.
func isSampleOf(sample, family string) bool {
	suffix, ok := strings.CutPrefix(sample, family)
	return ok && slices.Contains([]string{"", totalSuffix, "_bucket", "_sum", "_count"}, suffix)
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
