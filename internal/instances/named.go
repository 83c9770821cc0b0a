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

// NamesByKey returns the names of the instances of each engine, by the engine's key in discovery.
func (m *Manager) NamesByKey() map[string][]string {
	names := map[string][]string{}
	for _, in := range m.Instances() {
		s, p := in.models()
		if !p.areSeveral() {
			names[in.key] = []string{s.Name}
			continue
		}
		for _, model := range p.all() {
			names[in.key] = append(names[in.key], model.name)
		}
	}
	return names
}

// PageURL is the address of the engine's metrics page, without credentials.
func (in *Instance) PageURL() string { return in.engine.PageURL() }
