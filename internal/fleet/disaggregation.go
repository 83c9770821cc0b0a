package fleet

// KVCountedRole is the role whose metrics of KV cache transfers count a transfer once. It is the one that GPUStack's catalog of modes
// (assets/pd-modes.yaml, read_from_role) names for every connector.
const KVCountedRole = RoleDecode

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
