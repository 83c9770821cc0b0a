package dashboards

import (
	"slices"

	"github.com/stackscope/stackscope/internal/catalog"
)

// coming are metrics that the dashboards ask for and that the catalog may not have yet.
func coming() []catalog.Metric {
	known := map[string]bool{}
	for _, m := range slices.Concat(catalog.Runtime, catalog.RuntimeExtra, catalog.Instance, catalog.WorkerOwn, catalog.Server) {
		known[m.Name] = true
	}
	var all []catalog.Metric
	add := func(kind catalog.Type, labels []string, names ...string) {
		for _, n := range names {
			if !known[catalog.Prefix+n] {
				all = append(all, catalog.Metric{Name: catalog.Prefix + n, Type: kind, Labels: labels})
			}
		}
	}
	model := []string{catalog.LabelClusterID, catalog.LabelClusterName, catalog.LabelModelID, catalog.LabelModelName}
	role := append(slices.Clone(model), catalog.LabelRole)
	add(catalog.Gauge, role, "model_role_desired_instances", "model_role_ready_instances")
	add(catalog.Gauge, append(slices.Clone(model), "mode", "kv_counted_role"), "pd_mode_info")
	add(catalog.Gauge, append(slices.Clone(model), "cache_service_id", "cache_service_name"), "cache_service_attached_model")
	add(catalog.Gauge, append(slices.Clone(role), catalog.LabelWorkerID, catalog.LabelWorkerName, catalog.LabelModelInstanceID, catalog.LabelModelInstanceName, catalog.LabelRuntime), "data_parallel_imbalance_ratio")
	return all
}
