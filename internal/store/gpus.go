package store

import (
	"context"
	"encoding/json"

	"github.com/stackscope/stackscope/internal/fleet"
)

// storedGPU is a GPU in the column gpus.
type storedGPU struct {
	Vendor         string         `json:"vendor"`
	Index          int            `json:"index"`
	Chip           int            `json:"chip,omitempty"`
	Name           string         `json:"name,omitempty"`
	UUID           string         `json:"uuid,omitempty"`
	PCI            string         `json:"pci,omitempty"`
	MemoryTotal    int64          `json:"memory_total,omitempty"`
	Driver         string         `json:"driver,omitempty"`
	Firmware       string         `json:"firmware,omitempty"`
	State          fleet.GPUState `json:"state"`
	StateMessage   string         `json:"state_message,omitempty"`
	Action         string         `json:"action,omitempty"`
	ActionReason   string         `json:"action_reason,omitempty"`
	Instances      string         `json:"instances,omitempty"`
	InstancesKnown bool           `json:"instances_known,omitempty"`
}

func applyGPUs(b *batch, c *fleet.Changes) {
	execEach(b, "DELETE FROM worker_gpus WHERE worker_id = ?", c.Put.GPUs, func(r fleet.WorkerGPUs) []any { return []any{r.WorkerID} })
	execEach(b, "INSERT INTO worker_gpus (worker_id, gpus) SELECT ?, ? WHERE ? IS NOT NULL", c.Put.GPUs, gpusRow)
}

func gpusRow(r fleet.WorkerGPUs) []any {
	if r.GPUs == nil {
		return []any{r.WorkerID, nil, nil}
	}
	stored := make([]storedGPU, len(r.GPUs))
	for i, g := range r.GPUs {
		stored[i] = storedGPU(g)
	}
	data, err := json.Marshal(stored)
	if err != nil { // texts and numbers always encode
		return []any{r.WorkerID, nil, nil}
	}
	return []any{r.WorkerID, string(data), string(data)}
}

// loadGPUs reads the GPUs of all workers. Damaged ones are left out: their worker reports them again.
func (s *Store) loadGPUs(ctx context.Context, r *fleet.Records) error {
	return s.scan(ctx, "SELECT worker_id, gpus FROM worker_gpus ORDER BY worker_id", func(scan scanFunc) {
		var w fleet.WorkerGPUs
		var data string
		row := rowOf(r, fleet.RowGPUs, &w.WorkerID)
		if !row.read(scan, &w.WorkerID, &data) || !row.valid("worker_id", w.WorkerID) {
			return
		}
		var stored []storedGPU
		err := json.Unmarshal([]byte(data), &stored)
		w.GPUs = make([]fleet.ReportedGPU, len(stored))
		for i, g := range stored {
			w.GPUs[i] = fleet.ReportedGPU(g)
		}
		if err == nil {
			w.GPUs, err = fleet.CheckGPUs(w.GPUs)
		}
		if err != nil {
			r.Faults = append(r.Faults, fleet.RowFault{Kind: fleet.RowGPUs, ID: w.WorkerID, Detail: "gpus are left out: " + err.Error()})
			return
		}
		r.GPUs = append(r.GPUs, w)
	})
}
