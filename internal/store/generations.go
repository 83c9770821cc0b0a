package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/mapping"
)

// Generation is one metrics mapping that was active.
type Generation struct {
	Number int64
	At     time.Time
	// Document is the mapping as canonical JSON; nil is the built-in default.
	Document []byte
	Note
}

// Note is what is kept of a change of the mapping besides the document.
type Note struct {
	Author, Comment string
	// RestoredFrom is the generation whose document is active again, 0 the built-in one; nil: none.
	RestoredFrom *int64
}

// Bounds of a Note's texts as they are read, in characters; what is stored is shorter.
const (
	maxAuthor  = 1 << 10
	maxComment = 8 << 10
)

// columns of a generation but its document. A text that is damaged reads as text, whatever it is. A reference to no number that can be is
// none.
const noteColumns = `number, CASE typeof(created_at) WHEN 'integer' THEN created_at ELSE 0 END, document IS NULL,
	substr(CAST(author AS TEXT), 1, ?), substr(CAST(comment AS TEXT), 1, ?),
	CASE WHEN typeof(restored_from) = 'integer' AND restored_from BETWEEN 0 AND ? THEN restored_from END`

func noteArgs() []any { return []any{maxAuthor, maxComment, int64(maxID)} }

// scanGeneration reads noteColumns and what more the query has.
func scanGeneration(scan func(...any) error, more ...any) (g Generation, isDefault bool, err error) {
	var at int64
	var restored sql.NullInt64
	if err := scan(append([]any{&g.Number, &at, &isDefault, &g.Author, &g.Comment, &restored}, more...)...); err != nil {
		return Generation{}, false, err
	}
	g.At = fromMillis(at)
	g.Author, g.Comment = strings.ToValidUTF8(g.Author, "\uFFFD"), strings.ToValidUTF8(g.Comment, "\uFFFD")
	if restored.Valid {
		g.RestoredFrom = &restored.Int64
	}
	return g, isDefault, nil
}

// LatestGeneration returns the mapping stored last. ok is false when none was ever stored.
func (s *Store) LatestGeneration(ctx context.Context) (g Generation, ok bool, err error) {
	return s.GenerationBefore(ctx, math.MaxInt64)
}

// documentColumns are noteColumns and the document, of which at most a number of bytes.
const documentColumns = noteColumns + ", substr(CAST(document AS BLOB), 1, ?)"

func documentArgs(more ...any) []any {
	return append(append(noteArgs(), mapping.MaxDocumentBytes+1), more...)
}

// GenerationBefore returns the last mapping with a lower number than the given one. A document is returned as it is stored, whether
// it can be read or not; of one that is too long, as much as shows that.
func (s *Store) GenerationBefore(ctx context.Context, number int64) (g Generation, ok bool, err error) {
	return s.scanDocument(s.db.QueryRowContext(ctx,
		"SELECT "+documentColumns+" FROM mapping_generations WHERE number < ? AND number BETWEEN 1 AND ? ORDER BY number DESC LIMIT 1",
		documentArgs(number, int64(maxID))...))
}

// Generation returns the mapping with a number, as GenerationBefore does. ok is false when there is none, or none any more.
func (s *Store) Generation(ctx context.Context, number int64) (g Generation, ok bool, err error) {
	return s.scanDocument(s.db.QueryRowContext(ctx,
		"SELECT "+documentColumns+" FROM mapping_generations WHERE number = ? AND number BETWEEN 1 AND ?",
		documentArgs(number, int64(maxID))...))
}

func (s *Store) scanDocument(row *sql.Row) (Generation, bool, error) {
	var doc []byte
	g, isDefault, err := scanGeneration(row.Scan, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return Generation{}, false, nil
	}
	if err != nil {
		return Generation{}, false, s.explain("read the metrics mapping from", err)
	}
	if !isDefault {
		g.Document = append([]byte{}, doc...) // not nil, which is the default
	}
	return g, true, nil
}

// GenerationInfo is a generation without its document.
type GenerationInfo struct {
	Number  int64
	At      time.Time
	Default bool
	Note
}

// Generations returns how many generations there are, and of the newest first those after skip, at most limit. It reads no document into
// memory.
func (s *Store) Generations(ctx context.Context, skip, limit int) (list []GenerationInfo, total int, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM mapping_generations WHERE number BETWEEN 1 AND ?", int64(maxID)).Scan(&total)
	if err == nil {
		list, err = s.generationInfos(ctx, skip, limit)
	}
	if err != nil {
		return nil, 0, s.explain("read the history of the metrics mapping from", err)
	}
	return list, total, nil
}

func (s *Store) generationInfos(ctx context.Context, skip, limit int) (list []GenerationInfo, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT "+noteColumns+" FROM mapping_generations WHERE number BETWEEN 1 AND ? ORDER BY number DESC LIMIT ? OFFSET ?",
		append(noteArgs(), int64(maxID), limit, skip)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		g, isDefault, err := scanGeneration(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, GenerationInfo{Number: g.Number, At: g.At, Default: isDefault, Note: g.Note})
	}
	return list, rows.Err()
}

// logDamagedGenerations says in the log which generations have a number that none can have. They are as if they weren't there.
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
func (s *Store) AppendGeneration(ctx context.Context, document []byte, at time.Time, note Note) (Generation, error) {
	g := Generation{At: fromMillis(toMillis(at)), Document: document, Note: note}
	err := s.write(ctx, survivesMachine, func(tx *sql.Tx) error {
		doc := sql.NullString{String: string(document), Valid: document != nil}
		// One whose number is damaged had the number of none that is there, and a worker may hold it under that.
		err := tx.QueryRowContext(ctx, `INSERT INTO mapping_generations (number, created_at, document, author, comment, restored_from)
			SELECT COALESCE(MAX(number) FILTER (WHERE number BETWEEN 1 AND ?3), 0) + COUNT(*) FILTER (WHERE number NOT BETWEEN 1 AND ?3) + 1, ?1, ?2, ?4, ?5, ?6
			FROM mapping_generations RETURNING number`, toMillis(at), doc, maxID, note.Author, note.Comment, note.RestoredFrom).
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
