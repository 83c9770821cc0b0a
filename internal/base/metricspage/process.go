// Package metricspage writes what every metrics page says about the process that serves it.
package metricspage

import (
	"bytes"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// Process writes what Go and the system say about this process: the usual go_* and process_* families.
type Process struct{ registry *prometheus.Registry }

// NewProcess makes a Process.
func NewProcess() (*Process, error) {
	registry := prometheus.NewRegistry()
	if err := errors.Join(registry.Register(collectors.NewGoCollector()), registerProcess(registry)); err != nil {
		return nil, err
	}
	return &Process{registry}, nil
}

// AppendTo writes the families in text format 0.0.4. What cannot be read is left out; the error says what that was.
func (p *Process) AppendTo(dst *bytes.Buffer) error { return Append(dst, p.registry) }

// Append writes the families of g in text format 0.0.4. What cannot be read is left out; the error says what that was.
func Append(dst *bytes.Buffer, g prometheus.Gatherer) error {
	families, err := g.Gather()
	for _, family := range families {
		_, failed := expfmt.MetricFamilyToText(dst, family)
		err = errors.Join(err, failed)
	}
	return err
}
