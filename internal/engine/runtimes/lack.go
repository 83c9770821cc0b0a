package runtimes

import (
	"bytes"

	"github.com/stackscope/stackscope/internal/exposition"
)

// Lack is what a metrics page lacks: a value of the label reason of gpustack:model_instance_no_metrics.
type Lack string

// What a page may lack.
const (
	LacksNothing Lack = ""
	LacksSamples Lack = "empty_page"        // it has no samples
	LacksOwn     Lack = "no_engine_metrics" // it has samples, but none of the engine's metrics
)

// Lack returns what page lacks of the metrics of this runtime. The zero Runtime stands for an unknown one, which has no metrics of its own.
func (r Runtime) Lack(page []byte) Lack {
	switch {
	case r.Wrote(page) && hasLines(page): // most pages: these two end early
		return LacksNothing
	case !hasSamples(page):
		return LacksSamples
	}
	return LacksOwn
}

// hasLines reports whether page has a line that is no comment.
func hasLines(page []byte) bool {
	lines := exposition.NewScanner(page, exposition.Text)
	for lines.ScanAny() {
		if line := lines.Line(); len(line) > 0 && line[0] != '#' {
			return true
		}
	}
	return false
}

// hasSamples reports whether page has a line that can be read as a sample.
func hasSamples(page []byte) bool {
	var s exposition.Sample
	lines := exposition.NewScanner(page, exposition.Text)
	for lines.ScanAny() {
		if line := lines.Line(); len(line) > 0 && line[0] != '#' && s.Parse(line) == nil {
			return true
		}
	}
	return false
}

// NoMetricsHint returns what to do about a page without the metrics of this runtime, or "".
func (r Runtime) NoMetricsHint() string { return r.noMetricsHint }

// BeginsWithRequests reports whether an engine in order may write this page, which has none of its metrics, before its first request.
// Ray's agent passes on the metrics of an engine when the engine first sets them.
func (r Runtime) BeginsWithRequests(page []byte) bool {
	return r.Gateway || r.beginsWithRequests || bytes.HasPrefix(page, []byte("ray_")) || bytes.Contains(page, []byte("\nray_"))
}

// Asleep reports whether page says that the engine's model sleeps. Only vLLM's does: vllm:engine_sleep_state is 1 with one of sleep_state awake,
// weights_offloaded and discard_all (vllm/v1/metrics/loggers.py).
func Asleep(page []byte) bool {
	var s exposition.Sample
	for line := range linesWith(page, "vllm:engine_sleep_state{") {
		if s.Parse(line) != nil {
			continue
		}
		value, ok := exposition.ParseNumber(s.Value)
		for _, l := range s.Labels {
			if ok && string(l.Name) == "sleep_state" && (string(l.Value) == "awake") == (value == 0) {
				return true
			}
		}
	}
	return false
}
