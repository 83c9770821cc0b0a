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
	"strings"
	"time"

	"modernc.org/sqlite"

	"github.com/stackscope/stackscope/internal/base/durable"
)

const (
	// What SQLite keeps beside the database while it is open.
	logSuffix   = "-wal"
	indexSuffix = "-shm"
	// expectedSuffix is of the file that says that there is a database, so that one that is lost is not taken for one that was
	// never made.
	expectedSuffix = ".expected"
)

// being begins the file while the database is being made: a process may die in between.
const being = "being made"

const expectedText = `made %s
While this file is here, the server expects ` + FileName + ` beside it and does not start without it, or with an empty one.
To begin with an empty inventory, remove this file too. Workers then register again and get new ids; the tokens stay.
Workers that were kept out may join again then, and also after a backup from before they were removed is put back.
`

// ErrLost says that a database was here and is not any more.
var ErrLost = errors.New("lost")

// found is what was in the data directory.
type found struct {
	fresh    bool // there is no database, and there is none expected
	expected bool
	log      logState
	toCheck  bool // only the open database can tell whether it is empty
}

// inspect looks at the data directory before anything is changed there, and fails when a database was here that is lost.
func (s *Store) inspect(ctx context.Context) (f found, err error) {
	mark, err := os.ReadFile(s.path + expectedSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("%s cannot be read (%w): change its owner or choose another directory with --data-dir", s.path+expectedSuffix, cause(err))
	}
	making := err == nil && strings.HasPrefix(string(mark), being)
	f.expected = err == nil && !making
	if f.log, err = lookAtLog(s.path); err != nil {
		return f, fmt.Errorf("the log of database %s cannot be read: %w", s.path, err)
	}
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		beside := s.beside(logSuffix, indexSuffix)
		if f.expected || len(beside) > 0 && !making {
			return f, s.lost("is missing", beside)
		}
		f.fresh = true
	case err != nil, !info.Mode().IsRegular(): // opening it says why that doesn't work
	case info.Size() == 0:
		if f.log.Size > 0 && !making {
			return f, s.lost("is empty (0 bytes)", s.beside(logSuffix))
		}
		if f.expected || !making && s.hasTokens() {
			return f, s.lost("is empty (0 bytes)", nil)
		}
		f.fresh = true
	case f.log.Frames > 0:
		f.toCheck = !making
	case !making:
		return f, s.checkTables(ctx, s.readOnly, &f)
	}
	return f, nil
}

// beside returns which of the files that belong to the database are there.
func (s *Store) beside(suffixes ...string) []string {
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

// lost is the error of a database that is what words say. beside are the files that show that there was another one.
func (s *Store) lost(words string, beside []string) error {
	proof := "a server has used this data directory before"
	if len(beside) > 0 {
		proof = "what is beside it shows that there was more (" + FileName + strings.Join(beside, " and "+FileName) + ")"
	}
	var remove []string
	for _, suffix := range s.beside("", logSuffix, indexSuffix, expectedSuffix) {
		remove = append(remove, FileName+suffix)
	}
	return fmt.Errorf("database %s is %w: it %s, and %s. Put a backup in its place; or, to begin with an empty inventory, move away %s: workers then register again and get new ids, a metrics mapping of your own must be posted again, and the tokens stay. Either way workers that were kept out may join again: look at stackscope worker list. Nothing was changed",
		s.path, ErrLost, words, proof, strings.Join(remove, ", "))
}

// ourTables are tables that only this program's database has.
var ourTables = []string{"id_sequences", "clusters", "workers", "worker_heartbeats", "models", "instances", "mapping_generations"}

// versionTable is made before the first migration.
const versionTable = "goose_db_version"

// checkTables fails for a database without a table of ours where there was one, and for one of another program.
func (s *Store) checkTables(ctx context.Context, tables func(context.Context) ([]string, error), f *found) error {
	names, err := tables(ctx)
	if err != nil {
		return nil //nolint:nilerr // it is damaged, which the check after opening says
	}
	if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(ourTables, name) }) {
		return nil
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == versionTable })
	switch {
	case len(names) > 0:
		return fmt.Errorf("database %s is %w: it has no table of stackscope, but others, such as %q; move it away and put a backup in its place, or choose another directory with --data-dir", s.path, ErrLost, names[0])
	case f.expected || s.hasTokens():
		return s.lost("is empty (it has no table)", nil)
	}
	return nil
}

const listTables = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' LIMIT 100`

// readOnly lists the tables in the database's file alone and touches nothing.
func (s *Store) readOnly(ctx context.Context) (names []string, err error) {
	u := url.URL{Scheme: "file", OmitHost: true, Path: s.path, RawQuery: url.Values{"mode": {"ro"}, "immutable": {"1"}}.Encode()}
	connector, err := sqlite.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	return tablesOf(ctx, db)
}

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

// expect notes that there is a database. The server goes on when that fails, and tries again at its next start.
func (s *Store) expect() {
	if err := s.mark(fmt.Sprintf(expectedText, time.Now().UTC().Format(time.RFC3339))); err != nil {
		s.log.Warn("it could not be noted that there is a database; until it is, a lost one is taken for one that was never made", "error", err)
	}
}

func (s *Store) mark(text string) error {
	return durable.WriteFile(s.path+expectedSuffix, []byte(text), 0o600)
}
