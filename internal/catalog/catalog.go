// Package catalog declares every metric that stackscope exports, once: name, type, help and labels. Exporters write
// HELP and TYPE from here, the mapping validates its targets against it and the documentation is generated from it.
package catalog

// Prefix begins every unified metric. The colon is GPUStack's and part of the specification.
const Prefix = "gpustack:"

// Type is a metric's type as the text format spells it.
type Type string

// The types that a unified metric may have. The catalog itself uses no summaries; a user's mapping may.
const (
	Gauge     Type = "gauge"
	Counter   Type = "counter"
	Histogram Type = "histogram"
	Summary   Type = "summary"
)

// Valid reports whether t is a type that a unified metric may have.
func (t Type) Valid() bool { return t == Gauge || t == Counter || t == Histogram || t == Summary }

// Metric is one metric; Prometheus' source calls it a metric family.
type Metric struct {
	// Name is the metric's name. Counters lack their _total here, as in a mapping document.
	Name string
	Type Type
	// Help is one sentence in plain text, unescaped.
	Help string
	// Labels are the label names that every sample carries besides the identity labels of its source.
	Labels []string
}

// WireName returns the name under which samples are written: counters get _total.
func (m Metric) WireName() string {
	if m.Type == Counter {
		return m.Name + "_total"
	}
	return m.Name
}

// WireNames returns the WireName of every metric that is declared here.
func WireNames() (names []string) {
	for _, list := range [][]Metric{
		Runtime, RuntimeExtra, Gateway, WorkerNode, WorkerOwn, GPU, Instance, Server, ServerOwn, EmbeddedPrometheus,
	} {
		for _, m := range list {
			names = append(names, m.WireName())
		}
	}
	return names
}

// SampleNames returns the names of the metric's samples.
func (m Metric) SampleNames() []string {
	switch m.Type {
	case Histogram:
		return []string{m.Name + "_bucket", m.Name + "_sum", m.Name + "_count"}
	case Summary:
		return []string{m.Name, m.Name + "_sum", m.Name + "_count"}
	default:
		return []string{m.WireName()}
	}
}

// Identity labels. They describe where a sample comes from and are rendered once for each source.
const (
	LabelClusterID         = "cluster_id"
	LabelClusterName       = "cluster_name"
	LabelWorkerID          = "worker_id"
	LabelWorkerName        = "worker_name"
	LabelModelID           = "model_id"
	LabelModelName         = "model_name"
	LabelModelInstanceID   = "model_instance_id"
	LabelModelInstanceName = "model_instance_name"
	LabelRuntime           = "runtime"
	// LabelRole is what an instance does for its model where prefill and decode are separate instances: prefill, decode, router.
	LabelRole = "role"
)
