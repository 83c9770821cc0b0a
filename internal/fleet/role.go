package fleet

// Role is what a model instance does for its model where prefill and decode are separate instances. Instances that do both have no
// role. The values are GPUStack's.
type Role string

// The roles of an instance.
const (
	// RolePrefill computes prompts and hands their KV cache to a decode instance.
	RolePrefill Role = "prefill"
	// RoleDecode generates tokens from the KV cache that it gets from a prefill instance.
	RoleDecode Role = "decode"
	// RoleRouter passes requests to other instances of the model.
	RoleRouter Role = "router"
)

// Roles returns all roles.
func Roles() []Role { return []Role{RolePrefill, RoleDecode, RoleRouter} }

// ParseRole returns the role of that name. Empty text is no role. ok is false for other names.
func ParseRole(text string) (r Role, ok bool) {
	switch r := Role(text); r {
	case "", RolePrefill, RoleDecode, RoleRouter:
		return r, true
	}
	return "", false
}
