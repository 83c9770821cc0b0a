package store

import (
	"context"
	"database/sql"
)

// maxID is the highest id, or number of a generation, that is given and that a row may have: what reads JSON as floating point tells no higher ones apart.
const maxID = 1 << 53

// sequences are the kinds of ids with what has them.
var sequences = []struct{ kind, rows string }{
	{"cluster", "(SELECT id FROM clusters UNION ALL SELECT cluster_id FROM workers UNION ALL SELECT cluster_id FROM models)"},
	{"worker", "(SELECT id FROM workers UNION ALL SELECT worker_id FROM revoked_workers)"},
	{"model", "models"},
	{"instance", "instances"},
}

// repairSequences sees to it that an id that is in use is not given again: its new owner would replace the row.
func (s *Store) repairSequences(ctx context.Context) error {
	for _, q := range sequences {
		var last sql.NullInt64
		var highest int64
		err := s.db.QueryRowContext(ctx, `SELECT (SELECT last_id FROM id_sequences WHERE kind = ?1 AND typeof(last_id) = 'integer' AND last_id BETWEEN 0 AND ?2),
			COALESCE(MAX(id), 0) FROM `+q.rows+` WHERE id BETWEEN 1 AND ?2`, q.kind, maxID).
			Scan(&last, &highest)
		if err != nil {
			return s.explain("read the inventory from", err)
		}
		if last.Valid && last.Int64 >= highest {
			continue
		}
		err = s.write(ctx, survivesMachine, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO id_sequences (kind, last_id) VALUES (?1, ?2) ON CONFLICT (kind) DO UPDATE SET last_id = excluded.last_id`, q.kind, highest)
			return err
		})
		if err != nil {
			return s.explain("store the inventory in", err)
		}
		s.log.ErrorContext(ctx, "the last id that was given was damaged in the database; the highest one in use is taken for it", "of", q.kind, "last_id", highest)
	}
	return nil
}
