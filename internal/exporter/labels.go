package exporter

import (
	"slices"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
)

// source is an instance's labels, rendered. It is reused until one of them changes.
type source struct {
	identity Identity
	instance Instance
	src      *translate.Source
	labels   exposition.Labels
	version  exposition.Labels // of the runtime
}

// maxSources bounds the sources that are kept for an engine: with and without cluster labels, before and after a change.
const maxSources = 4

// source returns the labels of the engine's samples.
func (t *engineState) source(id Identity, in Instance) source {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sources {
		if s.identity == id && s.instance == in {
			return s
		}
	}
	pairs := append(identityPairs(id), in.pairs()...)
	s := source{identity: id, instance: in, src: translateSource(id, in), labels: exposition.RenderLabels(pairs...), version: exposition.RenderLabels("runtime_version", in.Version)}
	if len(t.sources) == maxSources {
		t.sources = slices.Delete(t.sources, 0, 1)
	}
	t.sources = append(t.sources, s)
	return s
}

// translateSource returns the labels of the engine's samples for the translator.
func translateSource(id Identity, in Instance) *translate.Source {
	if in.Models == nil {
		return translate.NewSource(sampleLabels(id, in))
	}
	split := translate.Split{By: in.Models.Labels, Models: make(map[string][]translate.Label, len(in.Models.ByLabel))}
	for value, m := range in.Models.ByLabel {
		split.Models[value] = sampleLabels(id, in.Of(m))
	}
	if in.Models.Other != nil {
		split.Other = sampleLabels(id, in.Of(*in.Models.Other))
	}
	return translate.NewSplitSource(sampleLabels(id, in), split)
}

func sampleLabels(id Identity, in Instance) []translate.Label {
	pairs := append(identityPairs(id), in.pairs()...)
	labels := make([]translate.Label, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		labels = append(labels, translate.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return labels
}

func identityPairs(id Identity) []string {
	return []string{
		catalog.LabelClusterID, id.ClusterID,
		catalog.LabelClusterName, id.ClusterName,
		catalog.LabelWorkerID, id.WorkerID,
		catalog.LabelWorkerName, id.WorkerName,
	}
}

func (in Instance) pairs() []string {
	return []string{
		catalog.LabelModelID, in.ModelID,
		catalog.LabelModelName, in.Model,
		catalog.LabelModelInstanceID, in.ID,
		catalog.LabelModelInstanceName, in.Name,
		catalog.LabelRuntime, in.Runtime,
		catalog.LabelRole, string(in.Role),
	}
}

// Labels renders the labels that identify the instance.
func (in Instance) Labels() exposition.Labels { return exposition.RenderLabels(in.pairs()...) }
