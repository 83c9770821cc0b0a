package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stackscope/stackscope/internal/catalog"
)

// Family is a unified family.
type Family struct {
	// Name is the family's name, for a counter without _total.
	Name string
	// WireName is the name of the samples: a counter has _total.
	WireName string
	Type     catalog.Type
	// Help is the document's description or, where it has none, the catalog's.
	Help string
}

// Bounds of what Compiled keeps. Versions come from engines, so there can be any number of them; the plans that they
// lead to are few.
const (
	maxCachedVersions = 1024
	maxCachedPlans    = 64
)

// Compiled is a document made ready for use. It does not change and is safe for concurrent use; plans are made when
// they are first asked for.
type Compiled struct {
	families []Family
	index    map[string]int // of families, by name without _total
	runtimes []runtimeMapping
	aliases  map[string][]alias // by runtime in small letters
	core     []int
	gateway  []int // of families, those of gateways
	empty    *Plan

	mu       sync.RWMutex
	versions map[versionKey]*Plan // guarded by mu
	plans    map[string]*Plan     // guarded by mu; by planKey
}

type versionKey struct {
	runtime int
	version string
}

// Compile makes a document ready for use: of an overlay the effective one.
func Compile(d *Document) (*Compiled, error) {
	if d == nil {
		return nil, errors.New("compile mapping: there is no document; take mapping.Default")
	}
	d = d.Effective()
	c := &Compiled{
		families: make([]Family, len(d.families)),
		index:    make(map[string]int, len(d.families)),
		runtimes: d.runtimes,
		aliases:  d.aliases,
		versions: map[versionKey]*Plan{},
		plans:    map[string]*Plan{},
	}
	for i, def := range d.families {
		c.families[i] = def.family()
		c.index[withoutTotal(def.name)] = i
	}
	c.markApproximate()
	c.core, c.gateway = core(c.families), among(c.families, catalog.Gateway)
	c.empty = &Plan{families: c.families, core: c.core}
	return c, nil
}

func (d definition) family() Family {
	f := Family{Name: d.name, Type: d.typ, Help: d.description}
	f.WireName = catalog.Metric{Name: d.name, Type: d.typ}.WireName()
	if d.described {
		return f
	}
	for _, m := range slices.Concat(catalog.Runtime, catalog.RuntimeExtra, catalog.Gateway) {
		if m.Name == d.name {
			f.Help = m.Help
		}
	}
	return f
}

// markApproximate says in the help of each family for which runtimes a target is close and not equal.
func (c *Compiled) markApproximate() {
	marked := make([][]string, len(c.families))
	for _, r := range c.runtimes {
		for _, ranges := range r.ranges {
			for _, e := range ranges.entries {
				for _, t := range e.targets {
					if i := c.index[t.family]; t.approx != "" && !slices.Contains(marked[i], r.name) {
						marked[i] = append(marked[i], r.name)
					}
				}
			}
		}
	}
	for i, runtimes := range marked {
		if len(runtimes) > 0 {
			help, stop := strings.CutSuffix(c.families[i].Help, ".")
			c.families[i].Help = strings.TrimSpace(help + " (approximate: " + strings.Join(runtimes, ", ") + ")")
			if stop {
				c.families[i].Help += "."
			}
		}
	}
}

// core returns the indexes of the families that count for coverage: GPUStack's or, in a document without one of them, all.
func core(families []Family) []int {
	if known := among(families, catalog.Runtime); len(known) > 0 {
		return known
	}
	all := make([]int, len(families))
	for i := range families {
		all[i] = i
	}
	return all
}

// among returns the indexes of the families that are in list.
func among(families []Family, list []catalog.Metric) []int {
	var indexes []int
	for i, f := range families {
		if slices.ContainsFunc(list, func(m catalog.Metric) bool { return m.Name == f.Name }) {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// Families returns the unified families in document order. The result must not be changed.
func (c *Compiled) Families() []Family {
	if c == nil {
		return nil
	}
	return c.families
}

// Plan returns the mapping for an engine. The runtime is matched exactly, else without regard to letter case; an
// unknown one gives an empty plan. The version may be empty or of any form.
func (c *Compiled) Plan(runtime, version string) *Plan {
	if c == nil {
		return nil
	}
	at := c.runtime(runtime)
	if at < 0 {
		return c.empty
	}
	version = strings.TrimSpace(version)
	if len(version) > maxVersionBytes {
		version = "" // in no range
	}
	key := versionKey{runtime: at, version: version}
	c.mu.RLock()
	plan := c.versions[key]
	c.mu.RUnlock()
	if plan != nil {
		return plan
	}
	return c.cache(key, c.matching(at, version))
}

// Missing says why the mapping has nothing for an engine, "" if it has something.
func (c *Compiled) Missing(runtime, version string) string {
	switch at := c.runtime(runtime); {
	case !c.Plan(runtime, version).Empty():
		return ""
	case at < 0:
		return fmt.Sprintf("%s has no runtime %s", keyMapping, quote(runtime))
	case slices.ContainsFunc(c.runtimes[at].ranges, func(r rangeMapping) bool { return r.any || r.versions.matches(parseVersion(version)) }):
		return fmt.Sprintf("runtime %s has no target that holds for version %s: see its since and until", quote(runtime), quote(version))
	case version == "":
		return fmt.Sprintf("none of the version ranges of runtime %s holds for an engine of unknown version: %s", quote(runtime), c.runtimes[at].rangeTexts())
	default:
		return fmt.Sprintf("no version range of runtime %s matches version %s: %s", quote(runtime), quote(version), c.runtimes[at].rangeTexts())
	}
}

// maxRangeTexts bounds how many version ranges an error lists.
const maxRangeTexts = 10

// rangeTexts lists the version ranges of a runtime.
func (r *runtimeMapping) rangeTexts() string {
	var texts []string
	for i := range r.ranges {
		switch {
		case i == maxRangeTexts:
			texts = append(texts, fmt.Sprintf("and %d more", len(r.ranges)-i))
			return strings.Join(texts, ", ")
		case r.ranges[i].any:
			texts = append(texts, quote(anyVersion))
		default:
			texts = append(texts, quote(r.ranges[i].versions.text))
		}
	}
	if len(texts) == 0 {
		return "it has none"
	}
	return "it has " + strings.Join(texts, ", ")
}

// runtime returns the index of a runtime, or -1.
func (c *Compiled) runtime(name string) int {
	folded := -1
	for i := range c.runtimes {
		if c.runtimes[i].name == name {
			return i
		}
		if folded < 0 && strings.EqualFold(c.runtimes[i].name, name) {
			folded = i
		}
	}
	return folded
}

// choice is what a version selects of a runtime's mapping: entries in the order in which they count, of ranges as in the
// document, then of "*", each with the targets that hold for the version.
type choice struct {
	entries []entry
	key     string
}

// matching returns what a version selects.
func (c *Compiled) matching(runtime int, version string) choice {
	v := parseVersion(version)
	ranges := c.runtimes[runtime].ranges
	var matching []int
	star := -1
	for i := range ranges {
		if ranges[i].any {
			star = i
		} else if ranges[i].versions.matches(v) {
			matching = append(matching, i)
		}
	}
	if star >= 0 {
		matching = append(matching, star)
	}
	var chosen choice
	var bounded []byte // which of the targets with since or until hold
	for _, i := range matching {
		for _, e := range ranges[i].entries {
			targets := e.targets
			if e.bounded() {
				targets = nil
				for _, t := range e.targets {
					switch {
					case t.versions == nil || t.versions.matches(v):
						t.shownBy = nil
						bounded = append(bounded, '1')
					case t.shownBy != nil && !v.parsed:
						bounded = append(bounded, '2')
					default:
						bounded = append(bounded, '0')
						continue
					}
					targets = append(targets, t)
				}
			}
			if len(targets) > 0 {
				chosen.entries = append(chosen.entries, entry{native: e.native, targets: targets})
			}
		}
	}
	chosen.key = fmt.Sprint(runtime, matching, string(bounded))
	return chosen
}

func (c *Compiled) cache(key versionKey, chosen choice) *Plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	plan := c.plans[chosen.key]
	if plan == nil {
		plan = c.build(key.runtime, chosen.entries)
		if len(c.plans) >= maxCachedPlans {
			clear(c.plans)
		}
		c.plans[chosen.key] = plan
	}
	if len(c.versions) >= maxCachedVersions {
		clear(c.versions)
	}
	c.versions[key] = plan
	return plan
}

// build resolves natives: the first range that names one wins. Ranks follow the order of ranges and entries.
func (c *Compiled) build(runtime int, entries []entry) *Plan {
	plan := &Plan{families: c.families, core: c.core, natives: map[string][]Target{}, aliases: c.aliases[strings.ToLower(c.runtimes[runtime].name)]}
	candidates := make([]int, len(c.families))
	claimed := map[string]bool{}
	for _, e := range entries {
		if claimed[e.native] {
			continue
		}
		claimed[e.native] = true
		targets := make([]Target, len(e.targets))
		for k, t := range e.targets {
			family := c.index[t.family]
			targets[k] = Target{Family: family, Rank: candidates[family], As: t.as, Change: t.change, Fallback: t.fallback, ShownBy: plan.showing(t.shownBy)}
			candidates[family]++
		}
		plan.add(e.native, targets)
		plan.add(e.native+totalSuffix, targets)
	}
	plan.several = make([]bool, len(c.families))
	for family, n := range candidates {
		plan.several[family] = n > 1
	}
	if c.feedsGateways(entries) {
		plan.core = c.gateway
	}
	return plan
}

// feedsGateways reports whether all that is fed are families of gateways: the runtime is one.
func (c *Compiled) feedsGateways(entries []entry) bool {
	for _, e := range entries {
		for _, t := range e.targets {
			if !slices.Contains(c.gateway, c.index[t.family]) {
				return false
			}
		}
	}
	return len(entries) > 0
}
