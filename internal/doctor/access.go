package doctor

import (
	"fmt"

	"github.com/stackscope/stackscope/internal/access"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// accessFindings are one for each kind of access that a worker may lack.
var accessFindings = func() (list []*Finding) {
	for _, k := range access.Kinds {
		f := &Finding{
			ID: "access_" + k.ID, Severity: wire.FindingWarning, Hop: wire.HopWorker,
			What: "worker {worker} does not see " + k.Unseen + ": it needs " + k.Needs, Do: k.Grant, Docs: "hardening.md#what-a-worker-needs",
		}
		if k.Slight {
			f.Severity = wire.FindingInfo
		}
		list = append(list, f)
	}
	return list
}()

// lacks reports whether a worker says that it lacks a kind of access.
func (v *view) lacks(w *fleet.Worker, kinds ...*access.Kind) bool {
	for _, s := range named(v.one[key{worker: w.ID}], catalog.MissingAccess.WireName()) {
		for _, k := range kinds {
			if s.Labels["access"] == k.ID {
				return true
			}
		}
	}
	return false
}

// lookAccess finds what a worker does not see of its machine.
func (v *view) lookAccess(h *hop, w *fleet.Worker) {
	for i, k := range access.Kinds {
		if v.lacks(w, k) {
			h.hit(accessFindings[i], ofWorker(w), fmt.Sprintf("stackscope_missing_access is 1 for %s. %s", k.ID, k.Lost), "worker", w.Name)
		}
	}
}
