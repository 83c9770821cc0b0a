package worker

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// TestGatewayHasNoModel follows a gateway that nobody told about from its page to the report and to the samples, which carry
// the models of its requests and none of its own.
func TestGatewayHasNoModel(t *testing.T) {
	s := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token, o.Cluster = s.URL, joinToken, "lab"
	o.Engines = []engine.Declaration{{Instance: "proxy", URL: fakeEngine(t, map[string]string{
		"/metrics": "# TYPE litellm_input_tokens_metric_total counter\n" +
			`litellm_input_tokens_metric_total{hashed_api_key="a1",requested_model="qwen",user="ann"} 5` + "\n" +
			`litellm_input_tokens_metric_total{hashed_api_key="b2",requested_model="qwen",user="ann"} 2` + "\n" +
			`litellm_input_tokens_metric_total{hashed_api_key="b2",requested_model="llama",user="ann"} 1` + "\n",
		"/health/readiness": `{"status": "connected", "litellm_version": "1.92.0"}`,
		"/v1/models":        `{"data": [{"id": "qwen"}, {"id": "llama"}]}`,
	})}}
	w := run(t, o)
	eventually(t, "report of the gateway", func() bool {
		r, _ := s.lastReport()
		return len(r.Instances) == 1 && r.Instances[0].RuntimeVersion != ""
	})
	r, _ := s.lastReport()
	if r.Instances[0].Since == 0 {
		t.Error("the time at which the state began is not reported")
	}
	r.Instances[0].Since = 0
	want := wire.InstanceReport{Name: "proxy", URL: o.Engines[0].URL, Runtime: "LiteLLM", RuntimeVersion: "1.92.0", State: fleet.InstanceRunning}
	if diff := cmp.Diff(want, r.Instances[0]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	const labels = `cluster_id="2",cluster_name="lab",worker_id="7",worker_name="node-1",model_instance_id="40",model_instance_name="proxy",runtime="LiteLLM"`
	eventually(t, "ids", func() bool {
		diff := cmp.Diff([]string{
			`gpustack:gateway_prompt_tokens_total{` + labels + `,user="ann",model_name="qwen"} 7`,
			`gpustack:gateway_prompt_tokens_total{` + labels + `,user="ann",model_name="llama"} 1`,
		}, lines(w.scrape(t, "/metrics"), "gpustack:gateway_prompt_tokens_total{"))
		return diff == ""
	})
	page := w.scrape(t, "/metrics")
	if got := lines(page, "gpustack:metrics_mapping_coverage_ratio{"); len(got) != 1 || got[0] != `gpustack:metrics_mapping_coverage_ratio{`+labels+`,runtime_version="1.92.0"} 0.125` {
		t.Errorf("coverage is of the families of gateways: got %q", got)
	}
	if got := lines(page, "gpustack:model_instance_stalled{"); len(got) != 0 {
		t.Errorf("a gateway is not watched: got %q", got)
	}
}
