package catalog

import (
	"slices"
	"strings"
	"sync"
)

// Reserved says why nobody may give a worker a label of this name, or nothing. Such a label would take the place of one that says what a
// sample is of as soon as gpustack:worker_info is joined to it.
func Reserved(label string) (why string) {
	switch {
	case label == "job", label == "instance":
		return "Prometheus sets it on what it scrapes"
	case label == "le", label == "quantile":
		return "it parts the series of histograms and summaries"
	case strings.HasPrefix(label, "__"):
		return "names that begin with __ are Prometheus' own"
	case strings.HasPrefix(label, "exported_"):
		return "Prometheus begins the names of labels so that it has renamed"
	case slices.Contains(identities(), label):
		return "it says what a sample is of"
	}
	return ""
}

// identities are the labels that name or number what samples are of.
var identities = sync.OnceValue(func() []string {
	names := []string{
		LabelClusterID, LabelClusterName, LabelWorkerID, LabelWorkerName, LabelModelID, LabelModelName,
		LabelModelInstanceID, LabelModelInstanceName, // which each source adds by itself
	}
	for _, m := range slices.Concat(Runtime, RuntimeExtra, Gateway, WorkerNode, GPU, Instance, WorkerOwn, Server, ServerOwn, EmbeddedPrometheus) {
		for _, l := range m.Labels {
			if identifies(l) {
				names = append(names, l)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
})

func identifies(label string) bool {
	return strings.HasSuffix(label, "_id") || strings.HasSuffix(label, "_name") || strings.HasSuffix(label, "_index")
}
