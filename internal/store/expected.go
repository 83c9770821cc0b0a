package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/durable"
)

const (
	// What SQLite keeps beside the database while it is open.
	logSuffix   = "-wal"
	indexSuffix = "-shm"
	// ExpectedSuffix ends the name of the file that says that there is a database, so that one that is lost is not taken for one that was
	// never made.
	ExpectedSuffix = ".expected"
)

// RestoringPrefix begins the file while a backup is being put in place.
const RestoringPrefix = "being restored"

// creatingPrefix begins the file while the database is being made: a process may die in between.
const creatingPrefix = "being made"

const expectedText = `made %s
While this file is here, the server expects ` + FileName + ` beside it and does not start without it, or with an empty one.
To begin with an empty inventory, remove this file too. Workers then register again and get new ids; the tokens stay.
Revoked workers may join again then, and also after a backup from before they were removed is put back.
`

// ErrLost says that a database was here and is not any more.
var ErrLost = errors.New("lost")

// dirState is what was in the data directory.
type dirState struct {
	absent   bool // there is no database, and there is none expected
	creating bool // one was being made
	expected bool
	hasData  bool // there is something in the file
	log      logState
}

// inspect looks at the data directory before anything is changed there, and fails when a database was here that is lost.
func (s *Store) inspect() (f dirState, err error) {
	mark, err := os.ReadFile(s.path + ExpectedSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("%s cannot be read (%w): change its owner or choose another directory with --data-dir", s.path+ExpectedSuffix, durable.Cause(err))
	}
	f.creating = err == nil && strings.HasPrefix(string(mark), creatingPrefix)
	f.expected = err == nil && !f.creating
	restoring := err == nil && strings.HasPrefix(string(mark), RestoringPrefix)
	if f.log, err = readLogState(s.path); err != nil {
		return f, fmt.Errorf("the log of database %s cannot be read: %w", s.path, err)
	}
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		beside := s.filesBeside(logSuffix, indexSuffix)
		if restoring {
			return f, fmt.Errorf("database %s is %w: it is missing, because the restoring of a backup was interrupted. Run stackscope restore again with --move-aside. Nothing was changed", s.path, ErrLost)
		}
		if f.expected || len(beside) > 0 && !f.creating {
			return f, s.lostError("is missing", beside)
		}
		f.absent = true
	case err != nil, !info.Mode().IsRegular(): // opening it says why that doesn't work
	case info.Size() == 0:
		if f.log.Size > 0 && !f.creating {
			return f, s.lostError("is empty (0 bytes)", s.filesBeside(logSuffix))
		}
		if f.expected || !f.creating && s.hasTokens() {
			return f, s.lostError("is empty (0 bytes)", nil)
		}
		f.absent = true
	default:
		f.hasData = true
	}
	return f, nil
}

// filesBeside returns which of the files that belong to the database are there.
func (s *Store) filesBeside(suffixes ...string) []string {
	return slices.DeleteFunc(slices.Clone(suffixes), func(suffix string) bool {
		_, err := os.Lstat(s.path + suffix)
		return err != nil
	})
}

// hasTokens reports whether a server has run here, or somebody has given it tokens.
func (s *Store) hasTokens() bool {
	return slices.ContainsFunc(s.opts.Tokens, func(name string) bool {
		_, err := os.Lstat(filepath.Join(filepath.Dir(s.path), name))
		return err == nil
	})
}

// lostError is the error of a database that is what words say. beside are the files that show that there was another one.
func (s *Store) lostError(words string, beside []string) error {
	proof := "a server has used this data directory before"
	if len(beside) > 0 {
		proof = "what is beside it shows that there was more (" + FileName + strings.Join(beside, " and "+FileName) + ")"
	}
	return fmt.Errorf("database %s is %w: it %s, and %s. %s. Nothing was changed", s.path, ErrLost, words, proof, s.remedy())
}

// remedy says what to do about a database that cannot be used. It names the files that are there: SQLite would lay a log that is
// left over the backup.
func (s *Store) remedy() string {
	restore := "Put a backup in its place"
	if old := s.filesBeside("", logSuffix, indexSuffix); len(old) > 0 {
		restore = "Move away " + names(old) + ", then put a backup in its place"
	}
	return restore + "; or, to begin with an empty inventory, move away " + names(s.filesBeside("", logSuffix, indexSuffix, ExpectedSuffix)) +
		": workers then register again and get new ids, a metrics mapping of your own must be posted again, and the tokens stay. Either way revoked workers may join again: look at stackscope worker list"
}

// names lists files by their suffixes.
func names(suffixes []string) string { return FileName + strings.Join(suffixes, ", "+FileName) }

// ourTables are tables that only this program's database has.
var ourTables = []string{"id_sequences", "clusters", "workers", "worker_heartbeats", "models", "instances", "mapping_generations"}

// versionTable is made before the first migration.
const versionTable = "goose_db_version"

// checkFile reads through the database, so that damage is found now and not when a worker reports. It changes nothing in it: SQLite
// writes the log into the file when it closes it, whether they belong together or not.
func (s *Store) checkFile(ctx context.Context, f *dirState) error {
	withLog := f.log.Frames > 0 && !f.log.applied
	err := s.readAll(ctx, f, withLog)
	if withLog && errors.Is(err, ErrDamaged) && s.readAll(ctx, f, false) == nil {
		return fmt.Errorf("%w. The file without the log is whole: if it is a backup that was put there, move %s away alone and start again",
			err, names(s.filesBeside(logSuffix, indexSuffix)))
	}
	return err
}

func (s *Store) readAll(ctx context.Context, f *dirState, withLog bool) error {
	q := url.Values{"mode": {"ro"}, "_busy_timeout": {strconv.FormatInt(s.opts.BusyTimeout.Milliseconds(), 10)}}
	if !withLog {
		q.Set("immutable", "1")
	}
	return withDatabase(s.path, q, func(db *sql.DB) error {
		if !f.creating {
			if err := s.checkTables(ctx, db, f); err != nil {
				return err
			}
		}
		var result string
		if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&result); err != nil {
			return s.explain("open", err)
		}
		if result != "ok" {
			return s.damaged(errors.New(strings.Join(strings.Fields(result), " ")))
		}
		return s.checkSchema(ctx, db)
	})
}

// checkTables fails for a database without a table of ours where there was one, and for one of another program.
func (s *Store) checkTables(ctx context.Context, db *sql.DB, f *dirState) error {
	tables, err := tablesOf(ctx, db)
	if err != nil {
		return nil //nolint:nilerr // it is damaged, which the check of its pages says
	}
	if slices.ContainsFunc(tables, func(name string) bool { return slices.Contains(ourTables, name) }) {
		return nil
	}
	tables = slices.DeleteFunc(tables, func(name string) bool { return name == versionTable })
	switch {
	case len(tables) > 0:
		return fmt.Errorf("database %s is %w: it has no table of stackscope, but others, such as %q. Move away %s, then put a backup in its place, or choose another directory with --data-dir", s.path, ErrLost, tables[0], names(s.filesBeside("", logSuffix, indexSuffix)))
	case f.expected || s.hasTokens():
		return s.lostError("is empty (it has no table)", nil)
	}
	return nil
}

const listTables = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' LIMIT 100`

func tablesOf(ctx context.Context, db *sql.DB) (names []string, err error) {
	rows, err := db.QueryContext(ctx, listTables)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// markExpected notes that there is a database. The server goes on when that fails, and tries again at its next start.
func (s *Store) markExpected() {
	if err := s.writeExpectedFile(fmt.Sprintf(expectedText, time.Now().UTC().Format(time.RFC3339))); err != nil {
		s.log.Warn("it could not be noted that there is a database; until it is, a lost one is taken for one that was never made", "error", err)
	}
}

func (s *Store) writeExpectedFile(text string) error {
	return durable.WriteFile(s.path+ExpectedSuffix, []byte(text), 0o600)
}

// removeExpectedFile takes back that a database is being made when there is none in the end: the next start would take less care.
func (s *Store) removeExpectedFile(f *dirState) error {
	if _, err := os.Stat(s.path); !f.absent || err == nil {
		return nil
	}
	return os.Remove(s.path + ExpectedSuffix)
}
