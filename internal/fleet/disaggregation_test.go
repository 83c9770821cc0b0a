package fleet_test

import (
	"testing"

	"github.com/stackscope/stackscope/internal/fleet"
)

func TestPDModeOf(t *testing.T) {
	for _, c := range []struct {
		runtime, connector string
		want               fleet.PDMode
	}{
		{"vLLM", "NixlConnector", "vllm-nixl"},
		{"vLLM", "nixlconnector", "vllm-nixl"},
		{"vLLM", "MooncakeConnectorV1", "vllm-ascend-mooncake"},
		{"vLLM", "MooncakeLayerwiseConnector", "vllm-ascend-mooncake"},
		{"vLLM", "MooncakeConnector", "custom"},
		{"vLLM", "LMCacheConnectorV1", "custom"},
		{"vLLM", "nixl", "custom"},
		{"vLLM", "", "custom"},
		{"SGLang", "mooncake", "sglang-mooncake"},
		{"SGLang", "nixl", "sglang-nixl"},
		{"SGLang", "NixlConnector", "custom"},
		{"SGLang", "", "custom"},
		{"TensorRT-LLM", "nixl", "custom"},
		{"", "nixl", "custom"},
	} {
		if got := fleet.PDModeOf(c.runtime, c.connector); got != c.want {
			t.Errorf("%s with %q: %s, want %s", c.runtime, c.connector, got, c.want)
		}
	}
}

func TestDisaggregated(t *testing.T) {
	one := fleet.RoleCount{Desired: 1}
	for _, c := range []struct {
		roles fleet.RoleCounts
		want  bool
	}{
		{fleet.RoleCounts{}, false},
		{fleet.RoleCounts{Router: one}, false},
		{fleet.RoleCounts{Prefill: one}, true},
		{fleet.RoleCounts{Decode: one, Router: one}, true},
		{fleet.RoleCounts{Prefill: one, Decode: one}, true},
	} {
		if got := (&fleet.Model{Roles: c.roles}).Disaggregated(); got != c.want {
			t.Errorf("%+v: %t", c.roles, got)
		}
	}
}
