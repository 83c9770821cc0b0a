package instances

import (
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// exportedModels are the labels of an engine's models, with what they were made of.
type exportedModels struct {
	of      *pageModels
	ids     uint64 // Store.idsVersion
	own     exporter.Instance
	fronted *fronted

	models *exporter.Models
	labels []exposition.Labels // of each instance
	ownID  string              // of the instance that has the engine's name, if one has
}

// exportModels returns the labels of the engine's models. They are cached until they change.
func (in *Instance) exportModels(s *engine.Status, p *pageModels) *exportedModels {
	own := exporter.Instance{Name: s.Name, Runtime: s.Runtime, Role: s.Role}
	ids := in.store.idsVersion.Load()
	if e := in.exported.Load(); e != nil && e.of == p && e.ids == ids && e.own == own && e.fronted == in.fronted.Load() {
		return e
	}
	e := &exportedModels{of: p, ids: ids, own: own, fronted: in.fronted.Load(), models: &exporter.Models{
		ByLabel: map[string]exporter.ModelInstance{}, Labels: runtimes.ModelLabels(), Folded: len(p.folded),
	}}
	of := map[string]exporter.ModelInstance{}
	for _, model := range p.all() {
		made := exporter.ModelInstance{Name: model.name, Model: model.model, Role: in.roleOf(s, model.model)}
		if known := in.store.engine(model.name).IDs; known.Model == model.model {
			made.ID, made.ModelID = IDLabel(known.InstanceID), IDLabel(known.ModelID)
		}
		if model.name == s.Name {
			e.ownID = made.ID
		}
		e.labels = append(e.labels, own.Of(made).Labels())
		if model.name == p.other.name {
			e.models.Other = &made
			continue
		}
		of[model.model] = made
		e.models.ByLabel[model.model] = made
	}
	if p.page != nil {
		for value, model := range p.page.Of {
			fitted, _ := fleet.Fitted(model, fleet.MaxModelName)
			if made, ok := of[fitted]; ok {
				e.models.ByLabel[value] = made
			} else if model == "" {
				e.models.ByLabel[value] = exporter.ModelInstance{ID: e.ownID, Name: s.Name, Role: s.Role}
			}
		}
	}
	in.exported.Store(e)
	return e
}
