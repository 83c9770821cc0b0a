package runtimes

import (
	"net/http"

	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	mindieManagementPort = "1026"
	mindieMetricsPort    = "1027"
)

// mindie is Huawei's MindIE. Its metrics have no prefix, and NIM has all of them but npu_cache_usage_perc. Its ports are set in a
// file, so a command line says nothing about them.
func mindie() Runtime {
	return Runtime{
		Name:            "MindIE",
		prefixes:        []string{"npu_cache_usage_perc"},
		restartCounters: []string{"prompt_tokens_total", "generation_tokens_total"},
		version:         infoString("MindIE", "version").onPort(mindieMetricsPort, mindieManagementPort),
		ownsInfo:        func(members map[string]bool) bool { return members["models"] },
		hint:            hintAt(http.StatusInternalServerError, "MindIE serves metrics only with MIES_SERVICE_MONITOR_MODE=1 in its environment"),
		noMetricsHint:   "MindIE serves metrics only with MIES_SERVICE_MONITOR_MODE=1 in its environment",
		rule: fleet.DetectionRule{
			Commands: []string{"mindieservice_daemon"},
			Images:   []string{"ascendhub/mindie"},
			Port:     1027,
		},
		// The token latency is of single tokens; generation_tokens_total moves when a request ends.
		stepCounters:    each("time_per_output_token_seconds_count", "time_to_first_token_seconds_count"),
		requestCounters: each("generation_tokens_total", "prompt_tokens_total", "request_success_total"),
		requestGauges:   each("num_requests_running", "num_requests_waiting", "num_requests_swapped"),
	}
}
