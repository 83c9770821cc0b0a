package runtimes

import (
	"net/http"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// sglang is SGLang. Its server info holds the engine's API keys beside the version, and answering it costs the scheduler time. So
// it is read once per start, and only the version is taken from it.
//
// Its token counters move when a request ends. realtime_tokens_total, since 0.5.7, moves with each token; before, only the latency
// histograms do. Its gauges are set with each batch and, without batches, twice a minute: for up to 30 seconds they show requests
// that have ended. The first versions with metrics never reset them.
func sglang() Runtime {
	requests := make([]quantity, 0, 6)
	for _, name := range []string{
		"num_running_reqs", "num_queue_reqs",
		// Of prefill and decode in separate engines: these are not in the two above.
		"num_prefill_bootstrap_queue_reqs", "num_prefill_inflight_queue_reqs", "num_decode_prealloc_queue_reqs", "num_decode_transfer_queue_reqs",
	} {
		// The ranks of a scheduler show the same requests, and the series with a priority are parts of the total.
		requests = append(requests, sglangMetric(name).only("priority", "").maxOver([]string{"tp_rank", "pp_rank", "moe_ep_rank", "attn_cp_rank"}))
	}
	return Runtime{
		Name:            "SGLang",
		roleLabel:       "engine_type",
		prefixes:        []string{"sglang:", "sglang_num_", "ray_sglang:", "ray_sglang_"}, // its gateway writes the second, Ray the others
		restartCounters: []string{"sglang:prompt_tokens_total", "sglang:generation_tokens_total"},
		version: stringAt("version", "/server_info").or(
			stringAt("version", "/get_server_info")), // the only one until 0.5.5, deprecated since
		hint:          hintAt(http.StatusNotFound, "SGLang serves metrics only when it is started with --enable-metrics"),
		noMetricsHint: "start SGLang with --enable-metrics",
		rule: fleet.DetectionRule{
			Commands: []string{"sglang.launch_server", "sglang serve"},
			Images:   []string{"lmsysorg/sglang"},
			Port:     30000, PortFlags: []string{"--port"},
			NameFlags: []string{"--served-model-name"}, ModelFlags: []string{"--model-path", "--model"}, AdapterFlags: []string{"--lora-paths"},
			RoleFlags: []string{"--disaggregation-mode"}, ConnectorFlags: []string{"--disaggregation-transfer-backend"}, DefaultConnector: "mooncake", ModelScopeEnv: []string{"SGLANG_USE_MODELSCOPE"},
		},
		stepCounters: []quantity{
			sglangMetric("realtime_tokens_total"), sglangMetric("inter_token_latency_seconds_count"), sglangMetric("time_to_first_token_seconds_count"),
		},
		requestCounters: []quantity{sglangMetric("generation_tokens_total"), sglangMetric("prompt_tokens_total")},
		requestGauges:   requests,
		gaugeLag:        30 * time.Second,
	}
}

// sglangMetric is a metric by SGLang's name or by one of Ray's.
func sglangMetric(name string) quantity { return orRays("sglang", name) }
