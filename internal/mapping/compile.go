package mapping

import (
	"errors"
	"fmt"
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
	empty    *Plan

	mu       sync.RWMutex
	versions map[versionKey]*Plan // guarded by mu
	plans    map[string]*Plan     // guarded by mu; by planKey
}

type versionKey struct {
	runtime int
	version string
}

// Compile makes a document ready for use.
func Compile(d *Document) (*Compiled, error) {
	if d == nil {
		return nil, errors.New("compile mapping: there is no document; take mapping.Default")
	}
	c := &Compiled{
		families: make([]Family, len(d.families)),
		index:    make(map[string]int, len(d.families)),
		runtimes: d.runtimes,
		versions: map[versionKey]*Plan{},
		plans:    map[string]*Plan{},
	}
	for i, def := range d.families {
		c.families[i] = def.family()
		c.index[withoutTotal(def.name)] = i
	}
	c.empty = &Plan{families: c.families}
	return c, nil
}

func (d definition) family() Family {
	f := Family{Name: d.name, Type: d.typ, Help: d.description}
	f.WireName = catalog.Metric{Name: d.name, Type: d.typ}.WireName()
	if d.described {
		return f
	}
	for _, m := range catalog.Runtime {
		if m.Name == d.name {
			f.Help = m.Help
		}
	}
	return f
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

// matching returns the indexes of the ranges that a version is in, in the order in which they count: ranges as in the
// document, then "*".
func (c *Compiled) matching(runtime int, version string) []int {
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
	return matching
}

func (c *Compiled) cache(key versionKey, matching []int) *Plan {
	id := planKey(key.runtime, matching)
	c.mu.Lock()
	defer c.mu.Unlock()
	plan := c.plans[id]
	if plan == nil {
		plan = c.build(key.runtime, matching)
		if len(c.plans) >= maxCachedPlans {
			clear(c.plans)
		}
		c.plans[id] = plan
	}
	if len(c.versions) >= maxCachedVersions {
		clear(c.versions)
	}
	c.versions[key] = plan
	return plan
}

// planKey names the plan of a runtime under a set of ranges.
func planKey(runtime int, matching []int) string {
	return fmt.Sprint(runtime, matching)
}

// build resolves natives: the first range that names one wins. Ranks follow the order of ranges and entries.
func (c *Compiled) build(runtime int, matching []int) *Plan {
	plan := &Plan{families: c.families, natives: map[string][]Target{}}
	candidates := make([]int, len(c.families))
	claimed := map[string]bool{}
	for _, i := range matching {
		for _, e := range c.runtimes[runtime].ranges[i].entries {
			if claimed[e.native] {
				continue
			}
			claimed[e.native] = true
			targets := make([]Target, len(e.targets))
			for k, name := range e.targets {
				family := c.index[name]
				targets[k] = Target{Family: family, Rank: candidates[family]}
				candidates[family]++
			}
			plan.add(e.native, targets)
			plan.add(e.native+totalSuffix, targets)
		}
	}
	return plan
}
