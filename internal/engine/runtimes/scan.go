package runtimes

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/stackscope/stackscope/internal/exposition"
)

// counterScan adds up the samples of several series in one pass over a page.
type counterScan struct {
	list []series
	// Bit sets of the series that a line may belong to, by its first byte and by the one at prefilterAt. Most lines of a page belong to
	// none, so these two bytes decide.
	byFirst, byPrefilter [256]uint64
}

const (
	prefilterAt   = 7
	maxScanSeries = 64
)

// total is the sum of a series on a page.
type total struct {
	sum   float64
	found bool
}

func newCounterScan(list []series) *counterScan {
	if len(list) > maxScanSeries {
		panic("a runtime has more series than a counter scan takes")
	}
	c := &counterScan{list: list}
	for i, s := range list {
		bit := uint64(1) << i
		c.byFirst[s.name[0]] |= bit
		if len(s.name) > prefilterAt {
			c.byPrefilter[s.name[prefilterAt]] |= bit
			continue
		}
		for b := range c.byPrefilter {
			c.byPrefilter[b] |= bit
		}
	}
	return c
}

// totals returns the total of each series on a page. It skips values that are not finite. It tells models of each sample that counts.
func (c *counterScan) totals(page []byte, models *modelScan) []total {
	result := make([]total, len(c.list))
	var space [indexedGroups]group
	replicas := groups{list: space[:0]}
	var sample exposition.Sample
	lines := exposition.NewScanner(page, exposition.Text)
	for lines.ScanAny() {
		line := lines.Line()
		if len(line) == 0 {
			continue
		}
		may := c.byFirst[line[0]]
		if len(line) > prefilterAt {
			may &= c.byPrefilter[line[prefilterAt]]
		}
		for ; may != 0; may &= may - 1 {
			i := bits.TrailingZeros64(may)
			s := &c.list[i]
			if len(line) <= len(s.name) || string(line[:len(s.name)]) != s.name ||
				sample.Parse(line) != nil || string(sample.Name) != s.name || !s.selects(&sample) {
				continue
			}
			if v, ok := exposition.ParseNumber(sample.Value); ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
				if len(s.replicas) > 0 {
					v = replicas.increase(groupKey{i, s.labelsHash(&sample)}, v)
				}
				result[i].sum += v
				result[i].found = true
				models.add(&sample)
			}
		}
	}
	return result
}

// group is the largest value so far of samples that are replicas of one another.
type group struct {
	groupKey
	value float64
}

type groupKey struct {
	series int
	labels uint64 // series.labelsHash
}

// groups are the groups of a page.
type groups struct {
	list  []group
	index map[groupKey]int // of list; nil up to indexedGroups
}

// indexedGroups is from how many groups on they have an index. Few are found faster without one.
const indexedGroups = 64

// increase returns by how much a value increases the sum of the groups' largest values.
func (g *groups) increase(key groupKey, v float64) float64 {
	at, known := g.find(key)
	if !known {
		g.add(group{key, v})
		return v
	}
	more := max(0, v-g.list[at].value)
	g.list[at].value += more
	return more
}

func (g *groups) find(key groupKey) (at int, known bool) {
	if g.index != nil {
		at, known = g.index[key]
		return at, known
	}
	for i := range g.list {
		if g.list[i].groupKey == key {
			return i, true
		}
	}
	return 0, false
}

func (g *groups) add(added group) {
	if g.index == nil && len(g.list) == indexedGroups {
		g.index = make(map[groupKey]int, 2*indexedGroups)
		for i := range g.list {
			g.index[g.list[i].groupKey] = i
		}
	}
	if g.index != nil {
		g.index[added.groupKey] = len(g.list)
	}
	g.list = append(g.list, added)
}

// labelsHash returns a hash of the labels that don't number replicas.
func (s *series) labelsHash(sample *exposition.Sample) uint64 {
	hash := uint64(fnvOffset)
	for _, l := range sample.Labels {
		if slices.ContainsFunc(s.replicas, func(name string) bool { return name == string(l.Name) }) {
			continue
		}
		for _, text := range [...][]byte{l.Name, l.Value} {
			for _, b := range text {
				hash = (hash ^ uint64(b)) * fnvPrime
			}
			hash = (hash ^ '"') * fnvPrime
		}
	}
	return hash
}

// Parameters of the hash FNV-1a.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// newScan makes the scan of all series that Read needs, in the order in which it takes them.
func (r Runtime) newScan() *counterScan {
	list := []series{{name: processStart}}
	for _, name := range r.restartCounters {
		list = append(list, series{name: name})
	}
	for _, quantities := range [...][]quantity{r.stepCounters, r.requestCounters, r.requestGauges} {
		for _, q := range quantities {
			list = append(list, q...)
		}
	}
	return newCounterScan(list)
}

const processStart = "process_start_time_seconds"

// Reading is what a page shows of the process that wrote it.
type Reading struct {
	// Start is when the process started, in Unix seconds; 0: the page does not say.
	Start float64
	// RestartCounters is the sum of counters that fall only when the engine restarts.
	RestartCounters float64
	Work            Work
	// Models are the models that the labels of the counters and gauges name, see ModelLabels, in the order of the page, up to
	// MaxNames.
	Models []string
}

// Work is what a page shows of an engine's requests and its progress with them.
type Work struct {
	HasCounters bool          // there are progress counters
	PerStep     bool          // some of them move with each step, not only when a request ends
	Moved       bool          // some of them are not 0
	Counters    []float64     // of all of the runtime's counters; 0 for one that is not on the page
	Requests    float64       // running and waiting
	GaugeLag    time.Duration // Requests may include some that ended so long ago
}

// Read reads a page.
func (r Runtime) Read(page []byte) Reading { return r.ReadAfter(page, nil) }

// ReadAfter reads a page. models are those of the page before: if this one names the same ones, that slice is returned.
func (r Runtime) ReadAfter(page []byte, models []string) Reading {
	scan := r.scan
	if scan == nil {
		scan = r.newScan()
	}
	named := newModelScan(models)
	rest := scan.totals(page, &named)
	if r.Name == "" {
		named.scanAll(page)
	}
	reading := Reading{Start: rest[0].sum, Models: named.result()}
	rest = rest[1:]
	for range r.restartCounters {
		reading.RestartCounters += rest[0].sum
		rest = rest[1:]
	}
	// The first name of a quantity that is on the page counts.
	next := func(q quantity) (first total) {
		for _, t := range rest[:len(q)] {
			if first = t; first.found {
				break
			}
		}
		rest = rest[len(q):]
		return first
	}
	w := Work{GaugeLag: r.gaugeLag, Counters: make([]float64, 0, len(r.stepCounters)+len(r.requestCounters))}
	for i, list := range [...][]quantity{r.stepCounters, r.requestCounters} {
		for _, q := range list {
			t := next(q)
			w.Counters = append(w.Counters, t.sum)
			w.HasCounters = w.HasCounters || t.found
			w.PerStep = w.PerStep || t.found && i == 0
			w.Moved = w.Moved || t.sum > 0
		}
	}
	for _, q := range r.requestGauges {
		if t := next(q); t.found && t.sum > 0 {
			w.Requests += t.sum
		}
	}
	reading.Work = w
	return reading
}
