package store

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stackscope/stackscope/internal/fleet"
)

// ErrDamaged says that the database file cannot be read as one.
var ErrDamaged = fleet.ErrDamaged

func (s *Store) damaged(detail error) error {
	first := ""
	if s.db != nil {
		first = "Stop the server first. "
	}
	return fmt.Errorf("database %s is %w (%w). %s%s", s.path, ErrDamaged, detail, first, s.remedy())
}

// explain turns what SQLite says into a sentence that tells the operator what to do. op is what was tried, as a verb.
func (s *Store) explain(op string, err error) error {
	se, ok := errors.AsType[*sqlite.Error](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), !ok:
		return fmt.Errorf("%s database %s: %w", op, s.path, err)
	}
	const primary = 0xff // the low byte of an extended result code
	switch se.Code() & primary {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%s database %s: another process has locked it for more than %s (%w): end that process, for example a sqlite3 shell with an open transaction", op, s.path, s.opts.BusyTimeout, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return s.damaged(err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s database %s: %w (%w): free space on that disk", op, s.path, fleet.ErrNoSpace, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("%s database %s: it cannot be written (%w): change the owner of the directory and of its files, or choose another directory with --data-dir", op, s.path, err)
	}
	return fmt.Errorf("%s database %s: %w", op, s.path, err)
}
