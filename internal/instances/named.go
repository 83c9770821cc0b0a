package instances

// Named returns the engine of a reported instance, which may be one of several models of its page, or nil: it is not here now.
func (m *Manager) Named(name string) *Instance {
	for _, in := range m.Instances() {
		s, p := in.models()
		if !p.areSeveral() {
			if s.Name == name {
				return in
			}
			continue
		}
		for _, model := range p.all() {
			if model.name == name {
				return in
			}
		}
	}
	return nil
}

// PageURL is the address of the engine's metrics page, without credentials.
func (in *Instance) PageURL() string { return in.engine.PageURL() }
