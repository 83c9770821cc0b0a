package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/stackscope/stackscope/internal/fleet"
)

// NewIDs reserves ids, as many of each kind as want says, and returns the first of each; the others follow it. An id is
// never given twice, not even after its owner was removed or the machine lost power.
func (s *Store) NewIDs(ctx context.Context, want fleet.IDs) (first fleet.IDs, err error) {
	kinds := []struct {
		kind  string
		n     int64
		first *int64
	}{
		{"cluster", want.Clusters, &first.Clusters},
		{"worker", want.Workers, &first.Workers},
		{"model", want.Models, &first.Models},
		{"instance", want.Instances, &first.Instances},
	}
	err = s.write(ctx, survivesMachine, func(tx *sql.Tx) error {
		for _, k := range kinds {
			if k.n <= 0 {
				continue
			}
			var last int64
			if err := tx.QueryRowContext(ctx, "UPDATE id_sequences SET last_id = last_id + ? WHERE kind = ? RETURNING last_id", k.n, k.kind).
				Scan(&last); err != nil {
				return err
			}
			if last > maxID {
				return fmt.Errorf("no id of a %s is left: the last one that may be given is %d", k.kind, int64(maxID))
			}
			*k.first = last - k.n + 1
		}
		return nil
	})
	if err != nil {
		return fleet.IDs{}, s.explain("reserve ids in", err)
	}
	return first, nil
}

// Apply stores changes in one transaction. Unless they are heartbeats alone, they survive the loss of power when it returns.
func (s *Store) Apply(ctx context.Context, c *fleet.Changes) error {
	if c.Empty() {
		return nil
	}
	d := survivesMachine
	if c.HeartbeatsAlone() {
		d = survivesProcess
	}
	err := s.write(ctx, d, func(tx *sql.Tx) error {
		b := &batch{ctx: ctx, tx: tx}
		// Rows to be replaced go with the removed ones: names that two rows exchange never meet.
		execEach(b, "DELETE FROM instances WHERE id = ?", c.RemovedInstances, func(id int64) []any { return []any{id} })
		execEach(b, "DELETE FROM instances WHERE id = ?", c.Put.Instances, func(r fleet.InstanceRecord) []any { return []any{r.ID} })
		execEach(b, "DELETE FROM models WHERE id = ?", c.RemovedModels, func(id int64) []any { return []any{id} })
		execEach(b, "DELETE FROM models WHERE id = ?", c.Put.Models, func(r fleet.ModelRecord) []any { return []any{r.ID} })
		execEach(b, "DELETE FROM worker_heartbeats WHERE worker_id = ?", c.RemovedWorkers, func(id int64) []any { return []any{id} })
		execEach(b, "DELETE FROM worker_gpus WHERE worker_id = ?", c.RemovedWorkers, func(id int64) []any { return []any{id} })
		execEach(b, "DELETE FROM workers WHERE id = ?", c.RemovedWorkers, func(id int64) []any { return []any{id} })
		execEach(b, "DELETE FROM workers WHERE id = ?", c.Put.Workers, func(r fleet.WorkerRecord) []any { return []any{r.ID} })
		// A row that was left out because of its id is replaced by its name, too.
		execEach(b, "DELETE FROM clusters WHERE id = ? OR name = ? AND id NOT BETWEEN 1 AND ?", c.Put.Clusters, func(r fleet.Cluster) []any { return []any{r.ID, r.Name, maxID} })

		execEach(b, "INSERT INTO clusters (id, name, provider, state) VALUES (?, ?, ?, ?)", c.Put.Clusters, func(r fleet.Cluster) []any {
			return []any{r.ID, r.Name, r.Provider, string(r.State)}
		})
		execEach(b, `INSERT INTO workers (id, cluster_id, uuid, name, address, metrics_port, proxy_mode, state, labels, version,
			registered_at, credential_hash, loopback, metrics_scheme, left_at, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, c.Put.Workers, workerRow)
		execEach(b, `INSERT INTO models (id, cluster_id, name, runtime, runtime_version, source, source_key, category, empty_since)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, c.Put.Models, func(r fleet.ModelRecord) []any {
			return []any{r.ID, r.ClusterID, r.Name, r.Runtime, r.RuntimeVersion, r.Source, r.SourceKey, r.Category, toMillis(r.EmptySince)}
		})
		execEach(b, `INSERT INTO instances (id, model_id, worker_id, name, url, runtime, runtime_version, state, state_message,
			source, source_key, category, role, group_name, upstreams, connector, restart_count, last_restart_at, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, c.Put.Instances, instanceRow)
		execEach(b, `INSERT INTO worker_heartbeats (worker_id, last_report_at, applied_generation) VALUES (?, ?, ?)
			ON CONFLICT (worker_id) DO UPDATE SET last_report_at = excluded.last_report_at, applied_generation = excluded.applied_generation`,
			c.Heartbeats, func(h fleet.Heartbeat) []any { return []any{h.WorkerID, toMillis(h.At), h.AppliedGeneration} })
		applyRevoked(b, c)
		applyGPUs(b, c)
		return b.err
	})
	return s.explain("store the inventory in", err)
}

func workerRow(r fleet.WorkerRecord) []any {
	labels, err := json.Marshal(r.Labels)
	if err != nil || r.Labels == nil { // a map of strings always encodes
		labels = []byte("{}")
	}
	return []any{
		r.ID, r.ClusterID, r.UUID, r.Name, r.Address, r.MetricsPort, string(r.ProxyMode), string(r.State),
		string(labels), r.Version, toMillis(r.RegisteredAt), hex.EncodeToString(r.CredentialHash[:]), r.Loopback,
		string(r.MetricsScheme), toMillis(r.LeftAt), toMillis(r.Since),
	}
}

func instanceRow(r fleet.InstanceRecord) []any {
	in := &r.Reported
	return []any{
		r.ID,
		sql.NullInt64{Int64: r.ModelID, Valid: r.ModelID != 0},
		r.WorkerID, in.Name, in.URL, in.Runtime, in.RuntimeVersion, string(in.State), in.StateMessage,
		in.Source, in.SourceKey, in.Category, string(in.Role), in.Group, in.Upstreams, in.Connector, in.RestartCount, toMillis(in.LastRestartAt), toMillis(in.Since),
	}
}

// batch runs prepared statements until one fails.
type batch struct {
	ctx context.Context
	tx  *sql.Tx
	err error
}

// execEach runs query once for each row. The statement is closed with the transaction.
func execEach[T any](b *batch, query string, rows []T, args func(T) []any) {
	if b.err != nil || len(rows) == 0 {
		return
	}
	st, err := b.tx.PrepareContext(b.ctx, query)
	if err != nil {
		b.err = err
		return
	}
	for _, row := range rows {
		if _, err := st.ExecContext(b.ctx, args(row)...); err != nil {
			b.err = err
			return
		}
	}
}
