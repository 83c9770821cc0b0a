//go:build !linux

package metricspage

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// registerProcess registers what the system says about this process.
func registerProcess(r *prometheus.Registry) error {
	return r.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}
