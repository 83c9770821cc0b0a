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

// RoleCount is how many instances of one role a model has.
type RoleCount struct{ Desired, Ready int }

// RoleCounts is a RoleCount for each role.
type RoleCounts struct{ Prefill, Decode, Router RoleCount }

// Of returns the count of a role, nil for no role.
func (c *RoleCounts) Of(r Role) *RoleCount {
	switch r {
	case RolePrefill:
		return &c.Prefill
	case RoleDecode:
		return &c.Decode
	case RoleRouter:
		return &c.Router
	}
	return nil
}

// ParseRole returns the role of that name. Empty text is no role. ok is false for other names.
func ParseRole(text string) (r Role, ok bool) {
	switch r := Role(text); r {
	case "", RolePrefill, RoleDecode, RoleRouter:
		return r, true
	}
	return "", false
}
