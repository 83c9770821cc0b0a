package server

import (
	"bytes"
	"sync"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/metricspage"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// page makes the server's metrics page.
type page struct {
	parts   []func(*exposition.Writer)
	process *metricspage.Process
	buffers sync.Pool
}

type pageBuffers struct {
	w       exposition.Writer
	process bytes.Buffer
}

func newPage(parts ...func(*exposition.Writer)) (*page, error) {
	process, err := metricspage.NewProcess()
	return &page{parts: parts, process: process, buffers: sync.Pool{New: func() any { return new(pageBuffers) }}}, err
}

// write makes the page and calls send with it.
func (p *page) write(send func(page []byte)) {
	b := p.buffers.Get().(*pageBuffers)
	defer p.buffers.Put(b)
	b.w.Reset()
	b.process.Reset()
	for _, part := range p.parts {
		part(&b.w)
	}
	writeBuildInfo(&b.w)
	_ = p.process.AppendTo(&b.process) // what cannot be read is absent from the page, which says enough
	b.w.Raw(b.process.Bytes())
	send(b.w.Bytes())
}

func writeBuildInfo(w *exposition.Writer) {
	m, b := catalog.BuildInfo, buildinfo.Get()
	w.Family(m.WireName(), string(m.Type), m.Help)
	w.Sample(m.WireName(), 1, exposition.RenderLabels("version", b.Version, "revision", b.Revision, "goversion", b.GoVersion))
}
