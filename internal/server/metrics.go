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
	process []func(*bytes.Buffer) error // of client_golang's registries
	buffers sync.Pool
}

type pageBuffers struct {
	w       exposition.Writer
	process bytes.Buffer
}

func newPage(parts ...func(*exposition.Writer)) (*page, error) {
	process, err := metricspage.NewProcess()
	if err != nil {
		return nil, err
	}
	return &page{
		parts: parts, process: []func(*bytes.Buffer) error{process.AppendTo},
		buffers: sync.Pool{New: func() any { return new(pageBuffers) }},
	}, nil
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
	for _, families := range p.process {
		_ = families(&b.process) // what cannot be read is absent from the page, which says enough
	}
	b.w.Raw(b.process.Bytes())
	send(b.w.Bytes())
}

func writeBuildInfo(w *exposition.Writer) {
	m, b := catalog.BuildInfo, buildinfo.Get()
	w.Family(m.WireName(), string(m.Type), m.Help)
	w.Sample(m.WireName(), 1, exposition.RenderLabels("version", b.Version, "revision", b.Revision, "goversion", b.GoVersion))
}
