package prom

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// sharedParts are the parts that all attempts to open the TSDB share.
type sharedParts struct {
	registry   *prometheus.Registry // of our metrics about the embedded Prometheus; core.registry has its own
	health     *health
	disk       *diskSpace
	filter     *sampleFilter
	dialPolicy *dialPolicy
}

func newSharedParts(o Options, logger *slog.Logger) *sharedParts {
	reg := prometheus.NewRegistry()
	h := newHealth(logger, reg)
	return &sharedParts{reg, h, newDiskSpace(o.Dir, h), newSampleFilter(o, logger, reg), newDialPolicy()}
}
