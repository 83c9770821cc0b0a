package store

import (
	"context"
	"database/sql"
)

// sequences are the kinds of ids with what has them.
var sequences = []struct{ kind, rows string }{
	{"cluster", "clusters"},
	{"worker", "(SELECT id FROM workers UNION ALL SELECT worker_id FROM revoked_workers)"},
	{"model", "models"},
	{"instance", "instances"},
}

// mendSequences sees to it that an id that is in use is not given again: its new owner would replace the row.
func (s *Store) mendSequences(ctx context.Context) error {
	for _, q := range sequences {
		var last sql.NullInt64
		var highest int64
		err := s.db.QueryRowContext(ctx, `SELECT (SELECT last_id FROM id_sequences WHERE kind = ?1 AND typeof(last_id) = 'integer'), COALESCE(MAX(id), 0) FROM `+q.rows, q.kind).
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
