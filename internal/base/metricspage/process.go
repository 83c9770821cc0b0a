// Package metricspage writes the metrics that every metrics page has about the process that serves it.
package metricspage

import (
	"bytes"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// processMaxAge is how long a reading of the process is used again. Reading it costs more than the metrics of eight GPUs, and no
// scrape interval is that short.
const processMaxAge = time.Second

// Process writes the usual go_* and process_* metrics of this process, at most a second old. It is safe for concurrent use.
type Process struct {
	registry *prometheus.Registry

	mu   sync.Mutex
	text bytes.Buffer
	err  error
	read time.Time // zero: never
}

// NewProcess makes a Process.
func NewProcess() (*Process, error) {
	registry := prometheus.NewRegistry()
	if err := errors.Join(registry.Register(collectors.NewGoCollector()), registerProcess(registry)); err != nil {
		return nil, err
	}
	return &Process{registry: registry}, nil
}

// AppendTo writes the metrics in text format 0.0.4. What cannot be read is left out; the error says what that was.
func (p *Process) AppendTo(dst *bytes.Buffer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.read.IsZero() || time.Since(p.read) >= processMaxAge {
		p.text.Reset()
		p.err = Append(&p.text, p.registry)
		p.read = time.Now()
	}
	dst.Write(p.text.Bytes())
	return p.err
}

// Append writes the metrics of g in text format 0.0.4. What cannot be read is left out; the error says what that was.
func Append(dst *bytes.Buffer, g prometheus.Gatherer) error {
	families, err := g.Gather()
	for _, family := range families {
		_, failed := expfmt.MetricFamilyToText(dst, family)
		err = errors.Join(err, failed)
	}
	return err
}
