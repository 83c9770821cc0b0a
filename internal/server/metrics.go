package server

import (
	"bytes"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// page makes the server's metrics page.
type page struct {
	parts   []func(*exposition.Writer)
	runtime *prometheus.Registry // Go's and the process's own
	buffers sync.Pool
}

type pageBuffers struct {
	w       exposition.Writer
	runtime bytes.Buffer
}

func newPage(parts ...func(*exposition.Writer)) *page {
	p := &page{parts: parts, runtime: prometheus.NewRegistry(), buffers: sync.Pool{New: func() any { return new(pageBuffers) }}}
	p.runtime.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return p
}

// write makes the page and calls send with it.
func (p *page) write(send func(page []byte)) {
	b := p.buffers.Get().(*pageBuffers)
	defer p.buffers.Put(b)
	b.w.Reset()
	b.runtime.Reset()
	for _, part := range p.parts {
		part(&b.w)
	}
	writeBuildInfo(&b.w)
	// What cannot be gathered is left out: absent beats a page that fails.
	families, _ := p.runtime.Gather()
	for _, mf := range families {
		_, _ = expfmt.MetricFamilyToText(&b.runtime, mf) // a bytes.Buffer doesn't fail
	}
	b.w.Raw(b.runtime.Bytes())
	send(b.w.Bytes())
}

func writeBuildInfo(w *exposition.Writer) {
	m, b := catalog.BuildInfo, buildinfo.Get()
	w.Family(m.WireName(), string(m.Type), m.Help)
	w.Sample(m.WireName(), 1, exposition.RenderLabels("version", b.Version, "revision", b.Revision, "goversion", b.GoVersion))
}
