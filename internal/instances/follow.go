package instances

import (
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
)

// models returns the engine's status and its models as of the last page.
func (in *Instance) models() (engine.Status, *pageModels) {
	s := in.engine.Status()
	p := in.currentModels()
	if s.PageModels != nil && s.PageModels != p.page {
		s, p = in.manager.followPage(in)
	}
	return s, p
}

// currentModels returns the models as of the last update.
func (in *Instance) currentModels() *pageModels {
	if p := in.pageModels.Load(); p != nil {
		return p
	}
	return &pageModels{}
}

// followPage updates the models of an engine after a page.
func (m *Manager) followPage(in *Instance) (engine.Status, *pageModels) {
	m.mu.Lock()
	s := in.engine.Status()
	changed := m.followModels(in, &s)
	p := in.currentModels()
	m.mu.Unlock()
	if changed {
		m.changed()
	}
	return s, p
}

// followModels updates the models of an engine after a page, or after time has passed, and reports whether the instances have changed. The
// caller holds m.mu.
func (m *Manager) followModels(in *Instance, s *engine.Status) (changed bool) {
	before := in.currentModels()
	if runtimes.IsGateway(s.Runtime) {
		in.pageModels.Store(&pageModels{names: before.names}) // it turned out to be one
		return before.areSeveral()
	}
	room := maxModelInstances
	for _, other := range m.byKey {
		room -= len(other.currentModels().instances)
	}
	next := before.next(modelChange{
		page: s.PageModels, own: m.ownModels(in, s, before), engine: s.Name, now: time.Now(), retention: m.opts.Retention, room: room,
		taken: func(name string) bool { return m.isTaken(name, in) },
	})
	if next == before {
		return false
	}
	in.pageModels.Store(next)
	changed = before.areSeveral() != next.areSeveral() || !slices.Equal(before.all(), next.all()) || !slices.Equal(before.folded, next.folded)
	if changed {
		m.logModels(s.Name, before, next)
	}
	return changed
}

func (m *Manager) logModels(name string, before, next *pageModels) {
	var models []string
	for _, in := range next.instances {
		if in.gone.IsZero() {
			models = append(models, in.model)
		}
	}
	if next.areSeveral() {
		m.logger.Info("engine's page names several models; each is an instance", "instance", name, "models", strings.Join(models, ", "))
	}
	if len(next.folded) > 0 && len(before.folded) == 0 {
		m.logger.Warn("engine's page names more models than become instances; the model_name of the others is other. Scrape the engines behind it instead",
			"instance", name, "most", MaxPageModels, "folded", len(next.folded))
	}
}

// ownModels returns the names of the model that an engine has as one whose page names no other: as declared or on the command line, as the
// last page named it, or as an earlier run of the worker knew it.
func (m *Manager) ownModels(in *Instance, s *engine.Status, before *pageModels) []string {
	own := []string{in.declaredModel}
	switch {
	case before.page != nil && len(before.page.Names) == 1:
		own = append(own, s.Model)
	case before.page == nil:
		own = append(own, in.earlierModel)
	}
	return slices.DeleteFunc(own, func(name string) bool { return name == "" })
}

// isTaken reports whether another engine than in, or a model of one, has the name.
func (m *Manager) isTaken(name string, in *Instance) bool {
	for _, other := range m.byKey {
		if other != in && (other.engine.Status().Name == name || other.currentModels().uses(name)) {
			return true
		}
	}
	return false
}

// restoreModels gives an engine the models that the store knows of it.
func (m *Manager) restoreModels(in *Instance, name string) {
	p := &pageModels{names: map[string]string{}}
	for _, stored := range m.store.engine(name).Models {
		p.names[stored.Model] = stored.Name
		switch {
		case !stored.There:
		case stored.Model == "":
			p.other = modelInstance{model: otherModel, name: stored.Name}
		default:
			p.instances = append(p.instances, modelInstance{model: stored.Model, name: stored.Name})
		}
	}
	in.pageModels.Store(p)
}

// storedModel is a model of an engine whose page names several, in worker.json.
type storedModel struct {
	Model string `json:"model"` // "": those beyond the limit
	Name  string `json:"name"`
	There bool   `json:"there,omitempty"`
}

// stored returns what worker.json keeps: the models that are there in their order, then the names of the others.
func (p *pageModels) stored() []storedModel {
	if len(p.names) == 0 {
		return nil
	}
	var list []storedModel
	for _, in := range p.instances {
		list = append(list, storedModel{in.model, in.name, true})
	}
	if p.other.name != "" {
		list = append(list, storedModel{"", p.other.name, true})
	}
	var rest []storedModel
	for model, name := range p.names {
		if !slices.ContainsFunc(list, func(s storedModel) bool { return s.Model == model }) {
			rest = append(rest, storedModel{Model: model, Name: name})
		}
	}
	slices.SortFunc(rest, func(a, b storedModel) int { return strings.Compare(a.Model, b.Model) })
	return append(list, rest...)
}
