package fleet

// DetectionRule describes how one runtime is recognised by a command line or by the name of a container image. Flags are
// written with their dashes, as on the command line; the value is the next word or follows "=".
type DetectionRule struct {
	Runtime string
	// Commands are how it is started: words that follow one another, the first a program's base name or a Python module
	// (what follows -m), as in "vllm serve" or "sglang.launch_server".
	Commands []string
	// Images are parts of a container image's name without its tag.
	Images []string
	// Port is where it gives its metrics when nothing says otherwise.
	Port int
	// Path is the path of its metrics page; empty: /metrics.
	Path string
	// PortFlags and PortEnv name the flags and environment variables that say otherwise, the first that is there counts.
	PortFlags, PortEnv []string
	// NameFlags name the served model; ModelFlags say which weights it is. The value of the latter is a model's name only
	// where it is no path.
	NameFlags, ModelFlags []string
	// AdapterFlags name its LoRA adapters: each is followed by one or more, as NAME=PATH or as a JSON object.
	AdapterFlags []string
	// Positional: the model's name may stand behind the command without a flag.
	Positional bool
	// Off are flags that switch its metrics off.
	Off []string
	// Lockstep are flags with which it computes in step with others of its kind: its cards work for the others' requests too.
	Lockstep []string
	// Needs are flags of which one must be there: the command alone may be another program's. Empty: it needs none.
	Needs []string
	// Role is what it does whatever its flags say; empty: RoleFlags and TransferFlags tell.
	Role Role
	// RoleFlags name a role, as Roles says. Other values tell none.
	RoleFlags []string
	Roles     map[string]Role // by the flag's value in lower case; nil: by the names of the roles
	// TransferFlags hold vLLM's configuration of KV transfer, a JSON object with kv_role.
	TransferFlags []string
	// ConnectorFlags name what passes the KV cache from prefill to decode engines; without one it is DefaultConnector.
	ConnectorFlags   []string
	DefaultConnector string
	// UpstreamFlags name the engines to which a router passes requests: each is followed by one URL or more.
	UpstreamFlags []string
	// ModelScopeEnv are the environment variables that make a model's name one of ModelScope, not of Hugging Face.
	ModelScopeEnv []string
}
