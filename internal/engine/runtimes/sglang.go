package runtimes

import (
	"context"
	"net/http"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// sglang is SGLang. Its server info holds the API keys of the engine beside the version and makes the scheduler work, so
// it is read once per start and nothing but the version is taken from it.
//
// Its token counters move when a request ends; before realtime_tokens_total (0.5.7) the latency histograms are all that
// moves as tokens come. Its gauges are set with its batches and twice a minute without any: until then the last batch's
// requests stand there, though they have ended. (Its first versions with metrics leave them there for good.)
func sglang() Runtime {
	// Ranks that show the same requests again, and parts of a total.
	once := []string{"priority", "", "tp_rank", "0", "pp_rank", "0"}
	return Runtime{
		Name:            "SGLang",
		prefixes:        []string{"sglang:", "sglang_num_"}, // its gateway writes the latter
		restartCounters: []string{"sglang:prompt_tokens_total", "sglang:generation_tokens_total"},
		version: func(ctx context.Context, p Prober) (string, error) {
			version, err := p.version(ctx, "/server_info")
			if err == nil {
				return version, nil
			}
			// Until 0.5.5 only the older path is there; it is on its way out since.
			return p.version(ctx, "/get_server_info")
		},
		hint: hintAt(http.StatusNotFound, "SGLang serves metrics only when it is started with --enable-metrics"),
		rule: fleet.DetectionRule{
			Commands: []string{"sglang.launch_server", "sglang serve"},
			Images:   []string{"lmsysorg/sglang"},
			Port:     30000, PortFlags: []string{"--port"},
			NameFlags: []string{"--served-model-name"}, ModelFlags: []string{"--model-path", "--model"},
		},
		stepCounters:    each("sglang:realtime_tokens_total", "sglang:inter_token_latency_seconds_count", "sglang:time_to_first_token_seconds_count"),
		requestCounters: each("sglang:generation_tokens_total", "sglang:prompt_tokens_total"),
		requestGauges: []quantity{
			{{name: "sglang:num_running_reqs", only: once}},
			{{name: "sglang:num_queue_reqs", only: once}},
		},
		gaugeLag: 30 * time.Second,
	}
}
