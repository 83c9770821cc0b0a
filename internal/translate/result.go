package translate

import (
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// Result is one page translated. It is for one goroutine at a time, and keeps its memory and what it learned about the
// page's form for the next Translate, so an instance should have a Result of its own. The zero value is ready for use.
type Result struct {
	// MaxSamples bounds the samples of a page; 0: the constant of that name, which it cannot exceed.
	MaxSamples int
	// More is asked for more memory, in bytes, when a page needs more than 2 MiB: for what it becomes and for what is
	// remembered about it. What More grants stays granted until Trim; nil grants all.
	More func(bytes int) bool

	// Users decides what stands in label user; nil: what the page says.
	Users *Users
	// SeriesLimiter decides which new series are let through; nil: all.
	Limiter *SeriesLimiter

	families []mapping.Family
	buffers  []lineBuffer // by family
	names    nameTable
	labels   labelTemplates
	sample   exposition.Sample
	fast     fastPath
	stats    Stats
	samples  int // in all blocks
	memory   memory
	limit    int // of samples
	// scratch holds what a target makes of a sample's value and bound.
	valueText, boundText []byte
	leftOut              []LeftOut
}

// Translate translates a page. What the Result held before is gone. It does not fail: what cannot be read is left out and
// counted. The page is not kept.
func (r *Result) Translate(page []byte, f Format, plan *mapping.Plan, src *Source) Stats {
	if stats, ok := r.fillTemplate(page, f, plan, src); ok {
		return stats
	}
	if r.Limiter != nil {
		r.Limiter.beginPage()
		defer r.Limiter.endPage()
	}
	r.beginPage(plan, src)
	r.record(page, f)
	r.readLines(page, f)
	stats := r.endPage()
	r.finishRecording(stats)
	return stats
}

func (r *Result) beginPage(plan *mapping.Plan, src *Source) {
	if src == nil {
		src = NewSource(nil)
	}
	r.families = plan.Families()
	if len(r.buffers) != len(r.families) {
		r.buffers = make([]lineBuffer, len(r.families))
	}
	for i := range r.buffers {
		r.buffers[i].reset()
		r.buffers[i].newSeries = pageUsage{}
	}
	r.names.prepare(plan)
	if r.Limiter != nil {
		r.labels.seed = r.Limiter.seed
	}
	r.labels.prepare(src, plan, r.Users)
	r.stats = Stats{}
	r.limit = r.sampleLimit()
	r.samples = 0
	r.memory.reset(r.More)
	r.labels.chargeTo(&r.memory)
}

// Trim gives all memory back, so that the next page is as the first one. It returns how many bytes More had granted.
func (r *Result) Trim() (granted int) {
	granted = r.memory.granted
	*r = Result{MaxSamples: r.MaxSamples, More: r.More, Users: r.Users, Limiter: r.Limiter}
	return granted
}

// LeftOut says what was left out of the last page because of SeriesLimiter. It is valid until the next Translate.
func (r *Result) LeftOut() []LeftOut { return r.leftOut }

// Source returns the source of the last page.
func (r *Result) Source() *Source { return r.labels.source }

// Granted returns how many bytes More has granted.
func (r *Result) Granted() int { return r.memory.granted }

func (r *Result) sampleLimit() int {
	if r.MaxSamples > 0 {
		return min(r.MaxSamples, MaxSamples)
	}
	return MaxSamples
}

// finish lets go of the page and adds up what became of it.
func (r *Result) endPage() Stats {
	r.sample.Forget()
	r.labels.releasePage()
	r.leftOut = r.leftOut[:0]
	for i := range r.buffers {
		b := &r.buffers[i]
		if b.newSeries.usage != nil {
			r.leftOut = r.Limiter.leftOut(r.leftOut, &b.newSeries, r.families[i].WireName)
			b.newSeries.endPage()
		}
		r.valueText = b.writeSums(r.valueText)
		b.check.endRun()
		r.stats.InvalidHistograms += b.check.invalid
		b.check = histogramCheck{}
		r.stats.Samples += b.samples
		r.stats.Duplicates += b.duplicates
		b.known.releasePage()
		if b.samples > 0 {
			r.stats.Families++
		}
	}
	return r.stats
}

// Feeds reports whether the last page has samples of a family, given by its index in the plan's Families.
func (r *Result) Feeds(family int) bool {
	return family < len(r.buffers) && r.buffers[family].samples > 0
}

// Coverage returns how many of the families that count (mapping.Plan.Core) the last page has samples of, and how many count.
func (r *Result) Coverage(plan *mapping.Plan) (fed, of int) {
	core := plan.Core()
	for _, family := range core {
		if r.Feeds(family) {
			fed++
		}
	}
	return fed, len(core)
}
