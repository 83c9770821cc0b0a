package engine

import (
	"bytes"
	"math"
	"math/bits"

	"github.com/stackscope/stackscope/internal/exposition"
)

// census adds up the samples of several series in one pass over a page.
type census struct {
	list []series
	// Which of list may be meant by a line, by its first byte and by the one at censusProbe.
	first, probed [256]uint64
}

const (
	censusProbe = 7
	maxCensus   = 64
)

// found is what a page has of a series.
type found struct {
	sum   float64
	there bool
}

func newCensus(list []series) *census {
	if len(list) > maxCensus {
		panic("more series of an engine are looked at than a census has room for")
	}
	t := &census{list: list}
	for i, s := range list {
		bit := uint64(1) << i
		t.first[s.name[0]] |= bit
		if len(s.name) > censusProbe {
			t.probed[s.name[censusProbe]] |= bit
			continue
		}
		for c := range t.probed {
			t.probed[c] |= bit
		}
	}
	return t
}

// sums returns what a page has of each series. Values that are no finite number are not there.
func (t *census) sums(page []byte) []found {
	result := make([]found, len(t.list))
	var sample exposition.Sample
	for len(page) > 0 {
		line := page
		if end := bytes.IndexByte(page, '\n'); end >= 0 {
			line, page = page[:end], page[end+1:]
		} else {
			page = nil
		}
		if len(line) == 0 {
			continue
		}
		may := t.first[line[0]]
		if len(line) > censusProbe {
			may &= t.probed[line[censusProbe]]
		}
		for ; may != 0; may &= may - 1 {
			i := bits.TrailingZeros64(may)
			s := &t.list[i]
			if len(line) <= len(s.name) || string(line[:len(s.name)]) != s.name ||
				sample.Parse(exposition.TrimLine(line)) != nil || string(sample.Name) != s.name || !s.selects(&sample) {
				continue
			}
			if v, ok := exposition.ParseNumber(sample.Value); ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
				result[i].sum += v
				result[i].there = true
			}
		}
	}
	return result
}

// newCensus makes the census of all that read looks at, in its order.
func (r Runtime) newCensus() *census {
	list := []series{{name: processStart}}
	for _, name := range r.witness {
		list = append(list, series{name: name})
	}
	for _, quantities := range [...][]quantity{r.steps, r.ends, r.load} {
		for _, q := range quantities {
			list = append(list, q...)
		}
	}
	return newCensus(list)
}

const processStart = "process_start_time_seconds"

// read reads of a page when the process started, in Unix seconds, the witnesses' sum, and the engine's work.
func (r Runtime) read(page []byte) (start, witness float64, w work) {
	t := r.census
	if t == nil {
		t = r.newCensus()
	}
	all := t.sums(page)
	start = all[0].sum
	all = all[1:]
	for range r.witness {
		witness += all[0].sum
		all = all[1:]
	}
	// Of the names that a quantity goes by, the first that is there counts.
	next := func(q quantity) (sum float64, there bool) {
		for _, f := range all[:len(q)] {
			if sum, there = f.sum, f.there; there {
				break
			}
		}
		all = all[len(q):]
		return sum, there
	}
	w = work{lag: r.lag, counts: make([]float64, 0, len(r.steps)+len(r.ends))}
	for i, list := range [...][]quantity{r.steps, r.ends} {
		for _, q := range list {
			n, there := next(q)
			w.counts = append(w.counts, n)
			w.known = w.known || there
			w.live = w.live || there && i == 0
			w.ever = w.ever || n > 0
		}
	}
	for _, q := range r.load {
		if n, there := next(q); there && n > 0 {
			w.load += n
		}
	}
	return start, witness, w
}

// workOn reads a page.
func (r Runtime) workOn(page []byte) work {
	_, _, w := r.read(page)
	return w
}
