package catalog_test

import (
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/catalog"
)

func TestReservedLabels(t *testing.T) {
	for _, l := range []string{
		"le", "quantile", "job", "instance", "__address__", "__name__", "__x", "exported_job",
		catalog.LabelClusterID, catalog.LabelClusterName, catalog.LabelWorkerID, catalog.LabelWorkerName, catalog.LabelModelID, catalog.LabelModelName,
		catalog.LabelModelInstanceID, catalog.LabelModelInstanceName, catalog.LabelGPUIndex, catalog.LabelGPUName, catalog.LabelGPUChipIndex,
	} {
		if catalog.Reserved(l) == "" {
			t.Errorf("%s is free", l)
		}
	}
	for _, l := range []string{"rack", "team", "zone", "region", "env", "vendor", "model", "Job", "lE", "_id", "worker", "topology.kubernetes.io/zone"} {
		if why := catalog.Reserved(l); why != "" {
			t.Errorf("%s: %s", l, why)
		}
	}
	// A label that names or numbers what a sample is of is reserved as soon as some family has it.
	for _, m := range all() {
		for _, l := range m.Labels {
			if (strings.HasSuffix(l, "_id") || strings.HasSuffix(l, "_name") || strings.HasSuffix(l, "_index")) && catalog.Reserved(l) == "" {
				t.Errorf("%s of %s is free", l, m.Name)
			}
		}
	}
}
