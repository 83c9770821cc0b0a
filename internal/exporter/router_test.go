package exporter

import (
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
)

// TestRouterHasNoCoverage: the metrics that count for coverage are engines', and a router's page has none of them.
func TestRouterHasNoCoverage(t *testing.T) {
	compiled, err := mapping.Compile(mapping.Default())
	if err != nil {
		t.Fatal(err)
	}
	router := &fakeEngine{page: "vllm_router_pd_requests_total{route=\"/v1/completions\"} 3\n"}
	router.instance = Instance{ID: "1", Name: "router", Runtime: "vLLM", Role: fleet.RoleRouter}
	engine := &fakeEngine{page: "vllm:num_requests_running 3\n"}
	engine.instance = Instance{ID: "2", Name: "engine", Runtime: "vLLM", Role: fleet.RoleDecode}
	e, err := New(Options{
		Engines: func() []Engine { return []Engine{router, engine} }, Mapping: &fakeMapping{compiled, 1}, Identity: func() Identity { return Identity{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	page := get(t, e.Handler(), "/metrics")
	if !strings.Contains(page, `gpustack:pd_router_requests_total{model_instance_id="1",model_instance_name="router",runtime="vLLM",role="router",route="/v1/completions"} 3`) {
		t.Errorf("the router's requests are missing:\n%s", page)
	}
	if n := strings.Count(page, "\ngpustack:metrics_mapping_coverage_ratio{"); n != 1 || !strings.Contains(page, `gpustack:metrics_mapping_coverage_ratio{model_instance_id="2"`) {
		t.Errorf("%d instances have a coverage, want the engine alone", n)
	}
}
