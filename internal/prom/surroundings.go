package prom

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// surroundings are the parts that outlive a try to open the data: they know what is wrong, and what may be stored.
type surroundings struct {
	registry  *prometheus.Registry // what we say about the embedded Prometheus; its own families are in the core's
	health    *health
	space     *space
	admission *sampleAdmission
	reach     *reach
}

func newSurroundings(o Options, logger *slog.Logger) *surroundings {
	reg := prometheus.NewRegistry()
	h := newHealth(logger, reg)
	return &surroundings{reg, h, newSpace(o.Dir, h), newSampleAdmission(o, logger, reg), newReach()}
}
