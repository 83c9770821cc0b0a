package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/stackscope/stackscope/internal/mapping"
)

// Generation is one metrics mapping that was in force.
type Generation struct {
	Number int64
	At     time.Time
	// Document is the mapping as canonical JSON; nil is the built-in default.
	Document []byte
}

// LatestGeneration returns the mapping stored last. ok is false when none was ever stored.
func (s *Store) LatestGeneration(ctx context.Context) (g Generation, ok bool, err error) {
	return s.GenerationBefore(ctx, math.MaxInt64)
}

// GenerationBefore returns the last mapping with a lower number than the given one. A document is returned as it is stored, whether
// it can be read or not; of one that is too long, as much as shows that.
func (s *Store) GenerationBefore(ctx context.Context, number int64) (g Generation, ok bool, err error) {
	var at int64
	var isDefault bool
	var doc []byte
	err = s.db.QueryRowContext(ctx, `SELECT number, CASE typeof(created_at) WHEN 'integer' THEN created_at ELSE 0 END,
		document IS NULL, substr(CAST(document AS BLOB), 1, ?) FROM mapping_generations WHERE number < ? AND number BETWEEN 1 AND ? ORDER BY number DESC LIMIT 1`,
		mapping.MaxDocumentBytes+1, number, maxID).Scan(&g.Number, &at, &isDefault, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return Generation{}, false, nil
	}
	if err != nil {
		return Generation{}, false, s.explain("read the metrics mapping from", err)
	}
	g.At = fromMillis(at)
	if !isDefault {
		g.Document = append([]byte{}, doc...) // not nil, which is the default
	}
	return g, true, nil
}

// tellGenerations says in the log which generations have a number that none can have. They are as if they weren't there.
func (s *Store) logDamagedGenerations(ctx context.Context) error {
	var rows int
	var lowest, highest sql.NullInt64
	err := s.db.QueryRowContext(ctx, "SELECT COUNT(*), MIN(number), MAX(number) FROM mapping_generations WHERE number NOT BETWEEN 1 AND ?", maxID).
		Scan(&rows, &lowest, &highest)
	if err != nil {
		return s.explain("read the metrics mapping from", err)
	}
	if rows > 0 {
		s.log.ErrorContext(ctx, "the numbers of metrics mapping generations are damaged in the database; the generations are left out: post the mapping again if it is not the active one",
			"generations", rows, "lowest", lowest.Int64, "highest", highest.Int64)
	}
	return nil
}

// AppendGeneration stores a mapping under the next number; a nil document is the built-in default. When it returns, the
// generation is on the disk. Generations older than the newest Options.KeepGenerations are forgotten, their numbers are
// not given again.
func (s *Store) AppendGeneration(ctx context.Context, document []byte, at time.Time) (Generation, error) {
	g := Generation{At: fromMillis(toMillis(at)), Document: document}
	err := s.write(ctx, survivesMachine, func(tx *sql.Tx) error {
		doc := sql.NullString{String: string(document), Valid: document != nil}
		// One whose number is damaged had the number of none that is there, and a worker may hold it under that.
		err := tx.QueryRowContext(ctx, `INSERT INTO mapping_generations (number, created_at, document)
			SELECT COALESCE(MAX(number) FILTER (WHERE number BETWEEN 1 AND ?3), 0) + COUNT(*) FILTER (WHERE number NOT BETWEEN 1 AND ?3) + 1, ?1, ?2
			FROM mapping_generations RETURNING number`, toMillis(at), doc, maxID).
			Scan(&g.Number)
		if err != nil {
			return err
		}
		if g.Number > maxID {
			return fmt.Errorf("no number is left: the last one that may be given is %d", int64(maxID))
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
