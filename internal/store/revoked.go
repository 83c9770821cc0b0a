package store

import (
	"context"
	"fmt"

	"github.com/stackscope/stackscope/internal/fleet"
)

func applyRevoked(b *batch, c *fleet.Changes) {
	execEach(b, "DELETE FROM revoked_workers WHERE worker_id = ?", c.RemovedRevoked, func(id int64) []any { return []any{id} })
	execEach(b, "DELETE FROM revoked_workers WHERE worker_id = ?", c.Put.Revoked, func(r fleet.RevokedWorker) []any { return []any{r.ID} })
	execEach(b, "INSERT INTO revoked_workers (worker_id, uuid, name, cluster, address, revoked_at) VALUES (?, ?, ?, ?, ?, ?)", c.Put.Revoked,
		func(r fleet.RevokedWorker) []any {
			return []any{r.ID, r.UUID, r.Name, r.Cluster, r.Address, toMillis(r.RevokedAt)}
		})
}

func (s *Store) loadRevoked(ctx context.Context, r *fleet.Records) error {
	return s.scan(ctx, "SELECT worker_id, uuid, name, cluster, address, revoked_at FROM revoked_workers ORDER BY worker_id", func(scan scanFunc) {
		var w fleet.RevokedWorker
		var at any
		row := rowOf(r, fleet.RowRevoked, &w.ID)
		if row.read(scan, &w.ID, &w.UUID, &w.Name, &w.Cluster, &w.Address, &at) {
			for name, text := range map[string]*string{"uuid": &w.UUID, "name": &w.Name, "cluster": &w.Cluster, "address": &w.Address} {
				row.text(name, text)
			}
			if w.ID < 1 || w.ID > maxID {
				row.fault("worker_id", fmt.Sprintf("is %d, which is not within 1 to %d; the worker stays revoked", w.ID, int64(maxID)))
			}
			w.RevokedAt = fromMillis(row.number("revoked_at", at))
			r.Revoked = append(r.Revoked, w)
		}
	})
}
