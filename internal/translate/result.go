package translate

import (
	"math"

	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
)

// Result is one translated page. It is for one goroutine at a time. It keeps its memory and what it learned about the page's
// layout for the next Translate, so an instance should have a Result of its own. The zero value is ready for use.
type Result struct {
	// MaxSamples bounds the samples of a page. 0 stands for the constant of that name, which it cannot exceed.
	MaxSamples int
	// Memory is where a page takes memory from if it needs more than OwnMemory for its output and what is remembered about it.
	// The Result holds what it took until Trim. With nil memory is unlimited.
	Memory *budget.Pool

	// Users decides about the values of label user. With nil they stay as they are on the page.
	Users *Users
	// Limiter decides which new series are accepted. With nil all are.
	Limiter *SeriesLimiter

	families []mapping.Family
	buffers  []lineBuffer // by family
	names    nameTable
	labels   labelTemplates
	sample   exposition.Sample
	fast     fastPath // see fastpath.go; a reader may skip all that it does
	stats    Stats
	samples  int // in all buffers
	memory   memory
	limit    int // of samples
	// The value and the bucket bound of the current sample after a target changed them.
	valueText, boundText []byte
	leftOut              []LeftOut
	unselected           []Unselected
	// shown are the metrics of mapping.Plan.Shown that the page has, keptQuantities is for mergeNatives.
	shown          uint64
	showsAll       bool // whatever it has
	keptQuantities keptQuantities
}

// Translate translates a page; the Result then holds that page alone. It does not fail: lines that cannot be read are omitted
// and counted. The page is not kept.
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
	r.listUnselected()
	r.finishRecording(stats)
	return stats
}

// beginPage empties the Result and prepares it for a page.
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
	r.samples, r.shown = 0, 0
	if r.showsAll {
		r.shown = math.MaxUint64
	}
	r.memory.reset(r.Memory)
	r.labels.chargeTo(&r.memory)
}

// Trim releases all memory, so that the next page is like the first one.
func (r *Result) Trim() {
	r.memory.giveBack()
	*r = Result{MaxSamples: r.MaxSamples, Memory: r.Memory, Users: r.Users, Limiter: r.Limiter}
}

// LeftOut returns what the Limiter left out of the last page. It is valid until the next Translate.
func (r *Result) LeftOut() []LeftOut { return r.leftOut }

// Source returns the source of the last page.
func (r *Result) Source() *Source { return r.labels.source }

// Granted returns how many bytes of Memory the Result holds.
func (r *Result) Granted() int { return r.memory.granted }

func (r *Result) sampleLimit() int {
	if r.MaxSamples > 0 {
		return min(r.MaxSamples, MaxSamples)
	}
	return MaxSamples
}

// endPage releases the page and completes the counts.
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
		r.mergeNatives(b)
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

// Lines returns the lines of a unified metric of the last page, given by the name of its samples; nil if it has none. They hold
// until the next Translate.
func (r *Result) Lines(wireName string) []byte {
	for i := range r.families {
		if r.families[i].WireName == wireName {
			return r.buffers[i].text
		}
	}
	return nil
}

// Coverage returns how many of the metrics of mapping.Plan.Core the last page has samples of, and how many metrics those are.
func (r *Result) Coverage(plan *mapping.Plan) (fed, of int) {
	core := plan.Core()
	for _, family := range core {
		if r.Feeds(family) {
			fed++
		}
	}
	return fed, len(core)
}
