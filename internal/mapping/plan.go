package mapping

// Target is a unified family that a native family feeds.
type Target struct {
	// Family is the index into Compiled.Families.
	Family int
	// Rank is the position among the candidates of that family: of several that are present in one page, the lowest
	// is used.
	Rank int
}

// Plan is a mapping for one runtime in one version. It is immutable; the nil plan maps nothing.
type Plan struct {
	families []Family
	natives  map[string][]Target
}

// Lookup returns the unified families that the native family feeds, nil if there is none. A family is found with and
// without _total. The result must not be changed. Lookup does not allocate.
func (p *Plan) Lookup(native []byte) []Target {
	if p == nil {
		return nil
	}
	return p.natives[string(native)]
}

// Families returns Compiled.Families of the mapping that the plan is of.
func (p *Plan) Families() []Family {
	if p == nil {
		return nil
	}
	return p.families
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
