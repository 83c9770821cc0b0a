package runtimes

import (
	"net/http"

	"github.com/stackscope/stackscope/internal/fleet"
)

// higress is Higress' gateway with its plugin ai-statistics. The page is Envoy's, served by Istio's agent in the same container. The
// agent starts like any Istio proxy, so the rule has images and no command.
func higress() Runtime {
	return Runtime{
		Name:            "Higress",
		Gateway:         true,
		prefixes:        []string{"route_upstream_model_consumer_metric_"},
		restartCounters: []string{"route_upstream_model_consumer_metric_llm_duration_count"},
		model:           notTold,
		hint:            hintAt(http.StatusNotFound, "Higress' metrics are at path=/stats/prometheus on port 15020"),
		rule: fleet.DetectionRule{
			Images: []string{"higress/gateway", "higress/all-in-one"},
			Port:   15020, Path: "/stats/prometheus",
		},
	}
}
