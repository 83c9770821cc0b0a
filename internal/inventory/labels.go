package inventory

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

func clusterLabels(c *fleet.Cluster) exposition.Labels {
	return exposition.RenderLabels(catalog.LabelClusterID, strconv.FormatInt(c.ID, 10), catalog.LabelClusterName, c.Name)
}

// workerLabels returns a worker's identity, and the same with the labels that its operator gave it.
func workerLabels(w *worker) (identity, info exposition.Labels) {
	identity = w.cluster.labels.With(exposition.RenderLabels(
		catalog.LabelWorkerID, strconv.FormatInt(w.ID, 10), catalog.LabelWorkerName, w.Name))
	return identity, identity.With(exposition.RenderLabels(operatorLabels(w.Labels)...))
}

// modelLabels returns a model's identity, and the same with what is known about it.
func modelLabels(m *model) (identity, info exposition.Labels) {
	identity = m.cluster.labels.With(modelOnly(m))
	return identity, identity.With(exposition.RenderLabels(
		"runtime", orUnknown(m.Runtime), "runtime_version", orUnknown(m.RuntimeVersion),
		"source", orUnknown(m.Source), "source_key", orUnknown(m.SourceKey), "category", orUnknown(m.Category)))
}

func modelOnly(m *model) exposition.Labels {
	return exposition.RenderLabels(catalog.LabelModelID, strconv.FormatInt(m.ID, 10), catalog.LabelModelName, m.Name)
}

func instanceLabels(in *instance) exposition.Labels {
	labels := in.worker.labels
	if in.model != nil {
		labels = labels.With(modelOnly(in.model))
	}
	return labels.With(exposition.RenderLabels(catalog.LabelModelInstanceName, in.Reported.Name))
}

func stateLabel(s string) exposition.Labels { return exposition.RenderLabels("state", s) }

func orUnknown(s string) string {
	if s == "" {
		return fleet.Unknown
	}
	return s
}

// reservedPrefix begins the label of a worker whose own key would mean something else to a reader of the sample.
const reservedPrefix = "label_"

// operatorLabels returns the labels of a worker as pairs for its info sample, in the order of their names. No key is
// dropped for its spelling: characters that Prometheus has no place for become underscores, and a key that would become a
// reserved name is prefixed. Of two keys that become the same name,
// the one that needed no change is kept, otherwise the first.
func operatorLabels(labels map[string]string) []string {
	byName := make(map[string]string, len(labels)) // name -> key
	keys := slices.Sorted(maps.Keys(labels))
	for _, key := range keys {
		if labelName(key) == key {
			byName[key] = key
		}
	}
	for _, key := range keys {
		if name := labelName(key); byName[name] == "" {
			byName[name] = key
		}
	}
	pairs := make([]string, 0, 2*len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		pairs = append(pairs, name, labels[byName[name]])
	}
	return pairs
}

// labelName turns a key into a label name.
func labelName(key string) string {
	name := strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
			return c
		}
		return '_'
	}, key)
	if name == "" || '0' <= name[0] && name[0] <= '9' {
		name = "_" + name
	}
	if catalog.Reserved(name) != "" {
		return reservedPrefix + name
	}
	return name
}

// checkKeys refuses labels that a worker may not be given. A key that is spelled otherwise but becomes the name of such a one is kept apart
// instead.
func checkKeys(labels map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if why := catalog.Reserved(key); why != "" {
			return fleet.Invalid("registration", "label %q is reserved: %s; give it another name (--worker-label)", key, why)
		}
	}
	return nil
}
