package runtimes

import (
	"bytes"
	"slices"

	"github.com/stackscope/stackscope/internal/fleet"
)

// routerPrefixes begin the metrics of the routers in front of a runtime's engines. A router is an instance with the runtime of its engines
// and role router, as in GPUStack. Its metrics are on a port of their own, where every path has the answer 200 and the metrics page, so
// nothing else can be requested there.
//
// Sources: vllm-project/router src/metrics.rs; sgl-project/sglang, whose router writes sgl_router_ up to SGLang 0.5.7 and smg_ since.
var routerPrefixes = map[string][]string{
	"vLLM":   {"vllm_router_", "vllm_tokenizer_"},
	"SGLang": {"sgl_router_", "smg_"},
}

// Role returns what a page shows of its instance's role: a page with a router's metrics and none of an engine's is a router's, and SGLang's
// engines have the label engine_type. "" is no role. known is false if the page has nothing that could tell; a later one may.
func (r Runtime) Role(page []byte) (role fleet.Role, known bool) {
	if has(page, routerPrefixes[r.Name]) && !has(page, r.prefixes) {
		return fleet.RoleRouter, true
	}
	if r.roleLabel == "" {
		return "", len(page) > 0
	}
	value := labelValue(page, r.roleLabel, r.prefixes)
	if role, _ = fleet.ParseRole(value); role == fleet.RoleRouter {
		role = ""
	}
	return role, value != ""
}

// Connector returns what passes the KV cache between prefill and decode engines, as far as a page shows it: vLLM's NixlConnector has
// metrics of its own.
func (r Runtime) Connector(page []byte) string {
	if r.Name == "vLLM" && has(page, nixlPrefixes) {
		return "NixlConnector"
	}
	return ""
}

var nixlPrefixes = []string{"vllm:nixl_", "ray_vllm:nixl_", "ray_vllm_nixl_"}

// has reports whether a page has a metric whose name begins with one of prefixes.
func has(page []byte, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool {
		return bytes.HasPrefix(page, []byte(prefix)) || bytes.Contains(page, []byte("\n"+prefix)) || bytes.Contains(page, []byte("# TYPE "+prefix))
	})
}

// unknownModel is what SGLang's router calls a model that it does not know.
const unknownModel = "unknown"

// routedModel returns the model's name in the labels of a router's page, or "". vLLM's router has no such label.
func (r Runtime) routedModel(page []byte) string {
	for _, label := range []string{"model", "model_id"} {
		if model := labelValue(page, label, routerPrefixes[r.Name]); model != "" && model != unknownModel {
			return model
		}
	}
	return ""
}
