package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// pressureReader reads the kernel's pressure stall information (https://docs.kernel.org/accounting/psi.html).
type pressureReader struct {
	resources []*pressureFile
	buf       []byte
}

type pressureFile struct {
	file       kernelFile
	some, full exposition.Labels // full is empty where the kernel's value means nothing
}

func newPressureReader(r *hostFS) *pressureReader {
	p := &pressureReader{}
	for _, resource := range []string{"cpu", "memory", "io"} {
		one := &pressureFile{
			file: r.kernelFile("proc", "pressure", resource),
			some: exposition.RenderLabels("resource", resource, "share", "some"),
		}
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
		text, err := r.file.read(&p.buf)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
			continue // The kernel is built without it, or started with psi=0.
		case err != nil:
			errs = append(errs, err)
			continue
		}
		some, full, ok := parsePressure(text)
		if !ok {
			errs = append(errs, fmt.Errorf("%s does not tell a total for some and full", r.file.path))
			continue
		}
		add := func(total stallTime, labels exposition.Labels) {
			if total.known && labels != "" {
				samples = append(samples, sample{&catalog.WorkerNodePressure, float64(total.microseconds) / 1e6, labels})
			}
		}
		add(some, r.some)
		add(full, r.full)
	}
	if len(samples) == 0 && len(errs) == 0 {
		return nil, errAbsent
	}
	return samples, joinErrors(errs)
}

// stallTime is a total of a pressure file.
type stallTime struct {
	microseconds uint64
	known        bool
}

// parsePressure reads lines such as "some avg10=0.00 avg60=0.00 avg300=0.00 total=42". Lines of other kinds are left alone;
// a file with a line that is not understood tells nothing.
func parsePressure(text []byte) (some, full stallTime, ok bool) {
	for line := range bytes.Lines(text) {
		var to *stallTime
		switch kind, _, _ := bytes.Cut(line, []byte(" ")); string(kind) {
		case "some":
			to = &some
		case "full":
			to = &full
		default:
			continue
		}
		_, total, found := bytes.Cut(line, []byte(" total="))
		v, isNumber := number(bytes.TrimSpace(total))
		if !found || !isNumber {
			return stallTime{}, stallTime{}, false
		}
		*to = stallTime{v, true}
	}
	return some, full, some.known
}
