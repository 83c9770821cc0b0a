package runtimes

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/fleet"
)

// What an engine lists as the root of its model is what it has loaded, unless it only repeats the name. vLLM's is the argument.
func TestWeightsOfTheListedModel(t *testing.T) {
	for name, test := range map[string]struct{ runtime, models, model, weights string }{
		"vLLM, a served name":    {"vLLM", `{"data":[{"id":"qwen","root":"Qwen/Qwen3-8B","parent":null}]}`, "qwen", "Qwen/Qwen3-8B"},
		"vLLM, the model's name": {"vLLM", `{"data":[{"id":"Qwen/Qwen3-8B","root":"Qwen/Qwen3-8B"}]}`, "Qwen/Qwen3-8B", "Qwen/Qwen3-8B"},
		"vLLM, a path":           {"vLLM", `{"data":[{"id":"qwen","root":"/models/qwen"},{"id":"sql","root":"/lora","parent":"qwen"}]}`, "qwen", "/models/qwen"},
		"vLLM, an adapter first": {"vLLM", `{"data":[{"id":"sql","root":"/lora","parent":"qwen"},{"id":"qwen","root":"/models/qwen"}]}`, "qwen", "/models/qwen"},
		"SGLang repeats":         {"SGLang", `{"data":[{"id":"team/qwen","root":"team/qwen"}]}`, "team/qwen", ""},
		"no root":                {"vLLM", `{"data":[{"id":"qwen","root":null}]}`, "qwen", ""},
		"no text":                {"vLLM", `{"data":[{"id":"qwen","root":["a"]}]}`, "qwen", ""},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/models" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(test.models))
		}))
		base, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := Identify(t.Context(), fetch.New(fetch.Options{}), fetch.NewTarget(base, DefaultPath, nil), Identity{Runtime: test.runtime, Version: "1"}, "", "")
		if got.Model != test.model || got.Weights != test.weights {
			t.Errorf("%s: %+v", name, got)
		}
		server.Close()
	}
}

// The flags that tell a role, as each runtime has them.
func TestRoleFlags(t *testing.T) {
	type flags struct {
		Role, Transfer []string
		Values         map[string]fleet.Role
	}
	want := map[string]flags{
		"vLLM":         {Transfer: []string{"--kv-transfer-config"}},
		"SGLang":       {Role: []string{"--disaggregation-mode"}},
		"trtllm-serve": {Role: []string{"--server-role"}, Values: map[string]fleet.Role{"context": "prefill", "generation": "decode"}},
		"LMDeploy":     {Role: []string{"--role"}},
		"FastDeploy":   {Role: []string{"--splitwise-role"}},
		"LightLLM": {Role: []string{"--run-mode"}, Values: map[string]fleet.Role{
			"prefill": "prefill", "nixl_prefill": "prefill", "decode": "decode", "nixl_decode": "decode", "pd_master": "router",
		}},
	}
	got := map[string]flags{}
	var routers []string
	for _, r := range DetectionRules() {
		switch {
		case r.Role == fleet.RoleRouter:
			routers = append(routers, r.Commands...)
		case r.RoleFlags != nil || r.TransferFlags != nil:
			got[r.Runtime] = flags{r.RoleFlags, r.TransferFlags, r.Roles}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, command := range []string{"vllm-router", "sglang_router.launch_router", "sglang_router.launch_server", "sgl-model-gateway", "smg", "trtllm-serve disaggregated"} {
		if !slices.Contains(routers, command) {
			t.Errorf("no router is started by %q: %q", command, routers)
		}
	}
}
