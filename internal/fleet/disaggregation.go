package fleet

import "strings"

// KVCountedRole is the role whose metrics of KV cache transfers count a transfer once. It is the one that GPUStack's catalog of modes
// (assets/pd-modes.yaml, read_from_role) names for every connector.
const KVCountedRole = RoleDecode

// Computes reports whether an instance of the role computes: a router does not, and an instance without a role is not meant.
func (r Role) Computes() bool { return r == RolePrefill || r == RoleDecode }

// Disaggregated reports whether the model's prefill and decode are separate instances. A router alone does not make it so: it may pass
// requests to instances that do both.
func (m *Model) Disaggregated() bool { return m.Roles.Prefill.Desired+m.Roles.Decode.Desired > 0 }

// PDMode says how a model's prefill instances pass the KV cache to its decode instances. The values are GPUStack's (PDModeEnum).
type PDMode string

// The modes. PDCustom is any other one, and one that is not known.
const (
	PDVLLMNIXL           PDMode = "vllm-nixl"
	PDVLLMAscendMooncake PDMode = "vllm-ascend-mooncake"
	PDSGLangMooncake     PDMode = "sglang-mooncake"
	PDSGLangNIXL         PDMode = "sglang-nixl"
	PDCustom             PDMode = "custom"
)

// PDModeOf returns the mode of a runtime and its connector, as vLLM's kv_connector or SGLang's --disaggregation-transfer-backend names
// it. Without a connector it is PDCustom: both runtimes have several. GPUStack's mode of vLLM with Mooncake is that of vLLM Ascend, whose
// connectors have names of their own (vllm_ascend/distributed/__init__.py); vLLM's MooncakeConnector is a custom one.
func PDModeOf(runtime, connector string) PDMode {
	switch connector = strings.ToLower(connector); {
	case runtime == "vLLM" && connector == "nixlconnector":
		return PDVLLMNIXL
	case runtime == "vLLM" && (connector == "mooncakeconnectorv1" || connector == "mooncakelayerwiseconnector"):
		return PDVLLMAscendMooncake
	case runtime == "SGLang" && connector == "mooncake":
		return PDSGLangMooncake
	case runtime == "SGLang" && connector == "nixl":
		return PDSGLangNIXL
	}
	return PDCustom
}
