package runtimes

import (
	"github.com/stackscope/stackscope/internal/fleet"
)

// xinference is a worker of Xinference. It serves any number of models and exports its metrics on a port of its own, a free one by
// default. The supervisor's page has none of these metrics.
func xinference() Runtime {
	return Runtime{
		Name:            "Xinference",
		prefixes:        []string{"xinference:"},
		restartCounters: []string{"xinference:input_tokens_total_counter", "xinference:output_tokens_total_counter"},
		model:           notTold,
		noMetricsHint:   "declare the endpoint of the worker, --metrics-exporter-port: the supervisor's has none of these metrics",
		rule: fleet.DetectionRule{
			Commands: []string{"xinference-worker", "xinference-local"},
			Images:   []string{"xprobe/xinference"},
			Port:     8000, PortFlags: []string{"--metrics-exporter-port"},
		},
		requestCounters: each("xinference:output_tokens_total_counter", "xinference:input_tokens_total_counter"),
		requestGauges:   each("xinference:model_serve_count"),
	}
}
