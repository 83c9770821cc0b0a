package host

import (
	"context"
	"errors"
	"io/fs"

	"github.com/prometheus/procfs"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// pressureReader reads the kernel's pressure stall information (https://docs.kernel.org/accounting/psi.html).
type pressureReader struct {
	*hostFS

	stats     func(resource string) (procfs.PSIStats, error) // tests replace it
	resources []pressureLabels
}

type pressureLabels struct {
	resource   string
	some, full exposition.Labels // full is empty where the kernel's value means nothing
}

func newPressureReader(r *hostFS) *pressureReader {
	p := &pressureReader{hostFS: r}
	p.stats = p.readStats
	for _, resource := range []string{"cpu", "memory", "io"} {
		one := pressureLabels{resource: resource, some: exposition.RenderLabels("resource", resource, "share", "some")}
		// Of a whole machine, CPU pressure is never full; since Linux 5.13 the line is there, and zero.
		if resource != "cpu" {
			one.full = exposition.RenderLabels("resource", resource, "share", "full")
		}
		p.resources = append(p.resources, one)
	}
	return p
}

func (p *pressureReader) read(context.Context) ([]sample, error) {
	var errs []error
	samples := make([]sample, 0, 2*len(p.resources))
	for _, r := range p.resources {
		stats, err := p.stats(r.resource)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
			continue // The kernel is built without it, or started with psi=0.
		case err == nil && stats.Some == nil:
			err = errors.New(`no line that begins with "some"`)
			fallthrough
		case err != nil:
			errs = append(errs, errorAt(p.path("proc", "pressure", r.resource), err))
			continue
		}
		add := func(line *procfs.PSILine, labels exposition.Labels) {
			if line != nil && labels != "" {
				samples = append(samples, sample{&catalog.WorkerNodePressure, float64(line.Total) / 1e6, labels})
			}
		}
		add(stats.Some, r.some)
		add(stats.Full, r.full)
	}
	if len(samples) == 0 && len(errs) == 0 {
		return nil, errAbsent
	}
	return samples, joinErrors(errs)
}

func (p *pressureReader) readStats(resource string) (procfs.PSIStats, error) {
	proc, err := p.procfs()
	if err != nil {
		return procfs.PSIStats{}, err
	}
	return proc.PSIStatsForResource(resource)
}
