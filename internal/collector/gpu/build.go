package gpu

import (
	"fmt"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// sample is one sample of a metric.
type sample struct {
	metric  *catalog.Metric
	value   float64
	labels  exposition.Labels // rendered when the sample is taken, not at each scrape
	lasting bool              // also exported while the driver hangs
}

// maxRendered bounds the label texts that a builder keeps for the next reading.
const maxRendered = 1 << 14

// builder makes samples from GPUs. It caches rendered labels, because nearly all of them recur in the next reading. The zero builder
// is ready for use, by one goroutine.
type builder struct {
	samples []sample
	errs    []error

	family   *family
	labels   exposition.Labels
	rendered map[string]exposition.Labels
	seen     map[exposition.Labels]struct{}
	scratch  []byte
}

// build makes the samples of all metrics, one metric after the other, in a slice that the builder does not reuse.
func (b *builder) build(statuses []deviceStatus) {
	b.samples, b.errs = make([]sample, 0, len(b.samples)+8), nil
	if b.seen == nil {
		b.seen = map[exposition.Labels]struct{}{}
	}
	for i := range families {
		b.family = &families[i]
		clear(b.seen)
		for j := range statuses {
			c := &statuses[j]
			switch {
			case c.eventsOnly && !b.family.lasting:
			case !c.up && !b.family.absent:
			case c.labelsTaken && b.family.metric != &catalog.GPUInfo:
			default:
				b.labels = c.labels
				b.family.add(b, c)
			}
		}
	}
}

// value adds v as a sample, unless it is unknown.
func (b *builder) value(v Value, pairs ...string) {
	if n, ok := v.Get(); ok {
		b.add(n, pairs...)
	}
}

func (b *builder) within(v Value, low, high float64) { b.value(within(v, low, high)) }

func (b *builder) count(v Value, pairs ...string) { b.value(count(v), pairs...) }

// percent adds a ratio as a rate of 0 to 100.
func (b *builder) percent(v Value) {
	if n, ok := ratio(v).Get(); ok {
		b.add(rate(n, 1))
	}
}

// add adds a sample to the family with further labels: name, value, name, value ... A series that is there already stays as
// it is.
func (b *builder) add(v float64, pairs ...string) {
	labels := b.render(pairs)
	if _, twice := b.seen[labels]; twice {
		b.errs = append(b.errs, fmt.Errorf("%s{%s} was read twice: the second is left out", b.family.metric.WireName(), labels))
		return
	}
	b.seen[labels] = struct{}{}
	b.samples = append(b.samples, sample{b.family.metric, v, labels, b.family.lasting})
}

// deviceLabels renders the labels of a GPU.
func (b *builder) deviceLabels(id Identity) exposition.Labels {
	b.labels = ""
	return b.render([]string{catalog.LabelGPUIndex, id.Index, catalog.LabelGPUName, id.Name, catalog.LabelGPUChipIndex, id.Chip})
}

// vendorLabels renders the labels of a vendor.
func (b *builder) vendorLabels(vendor string) exposition.Labels {
	b.labels = ""
	return b.render([]string{catalog.LabelVendor, vendor})
}

func (b *builder) render(pairs []string) exposition.Labels {
	if len(pairs) == 0 {
		return b.labels
	}
	b.scratch = append(b.scratch[:0], b.labels...)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if len(b.scratch) > 0 {
			b.scratch = append(b.scratch, ',')
		}
		b.scratch = append(b.scratch, pairs[i]...)
		b.scratch = append(b.scratch, '=', '"')
		b.scratch = exposition.AppendLabelValue(b.scratch, clip(pairs[i+1]))
		b.scratch = append(b.scratch, '"')
	}
	if l, ok := b.rendered[string(b.scratch)]; ok {
		return l
	}
	if b.rendered == nil || len(b.rendered) > maxRendered {
		b.rendered = map[string]exposition.Labels{}
	}
	l := exposition.Labels(b.scratch)
	b.rendered[string(l)] = l
	return l
}

// maxText bounds a label's value. What vendors give is far shorter.
const maxText = 128

func clip(s string) string { return s[:min(len(s), maxText)] }
