package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Generation is one metrics mapping that was in force.
type Generation struct {
	Number int64
	At     time.Time
	// Document is the mapping as canonical JSON; nil is the built-in default.
	Document []byte
}

// LatestGeneration returns the mapping in force. ok is false when none was ever stored.
func (s *Store) LatestGeneration(ctx context.Context) (g Generation, ok bool, err error) {
	var at int64
	var doc sql.NullString
	err = s.db.QueryRowContext(ctx, "SELECT number, created_at, document FROM mapping_generations ORDER BY number DESC LIMIT 1").
		Scan(&g.Number, &at, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return Generation{}, false, nil
	}
	if err != nil {
		return Generation{}, false, s.explain("read the metrics mapping from", err)
	}
	g.At = fromMillis(at)
	if doc.Valid {
		g.Document = []byte(doc.String)
	}
	return g, true, nil
}

// AppendGeneration stores a mapping under the next number; a nil document is the built-in default. When it returns, the
// generation is on the disk. Generations older than the newest Options.KeepGenerations are forgotten, their numbers are
// not given again.
func (s *Store) AppendGeneration(ctx context.Context, document []byte, at time.Time) (Generation, error) {
	g := Generation{At: fromMillis(toMillis(at)), Document: document}
	err := s.write(ctx, survivesMachine, func(tx *sql.Tx) error {
		doc := sql.NullString{String: string(document), Valid: document != nil}
		err := tx.QueryRowContext(ctx, `INSERT INTO mapping_generations (number, created_at, document)
			SELECT COALESCE(MAX(number), 0) + 1, ?, ? FROM mapping_generations RETURNING number`, toMillis(at), doc).
			Scan(&g.Number)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM mapping_generations WHERE number <= ?", g.Number-int64(s.opts.KeepGenerations))
		return err
	})
	if err != nil {
		return Generation{}, s.explain("store the metrics mapping in", err)
	}
	return g, nil
}

// toMillis is how times are stored. The zero time is 0.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
