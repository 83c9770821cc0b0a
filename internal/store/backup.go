package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// copyWait is how long a copy waits for another process that locks the database, in milliseconds.
const copyWait = "5000"

// Summary counts what is in a database.
type Summary struct {
	// Schema is the version of the schema.
	Schema                              int64
	Workers, Revoked, Models, Instances int64
	// Generation is the last one of the metrics mapping, 0 without one.
	Generation int64
}

// SchemaVersion is the version of the schema that this program writes, and the highest that it can read.
func SchemaVersion() int64 {
	version, err := lastMigration(migrationFiles, "migrations/*.sql")
	if err != nil {
		panic(err) // one of our own has no number
	}
	return version
}

// Size returns the bytes that a copy of the database takes at most.
func (s *Store) Size() int64 { return SizeOf(s.path) }

// SizeOf returns the same of a database of another program.
func SizeOf(path string) (sum int64) {
	for _, suffix := range []string{"", logSuffix} {
		if info, err := os.Stat(path + suffix); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// Copy writes the database as it is now to a new file, which only this user may read. Others write to the database meanwhile.
func (s *Store) Copy(ctx context.Context, to string) error {
	return s.explain("copy", Copy(ctx, s.path, to))
}

// Copy copies an SQLite database, which its program may have open, to a new file, which only this user may read. After an error there is
// no such file.
func Copy(ctx context.Context, from, to string) (err error) {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(to)
		}
	}()
	if err := f.Close(); err != nil {
		return err
	}
	return withDatabase(from, url.Values{"mode": {"rw"}, "_busy_timeout": {copyWait}}, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "VACUUM INTO ?", to) // one that others read meanwhile, and write to if it has a log
		return err
	})
}

// Examine reads through a database that no program has open, and counts what is in it. The errors are ErrDamaged, ErrLost or that a newer
// stackscope has written it.
func Examine(ctx context.Context, path string) (sum Summary, err error) {
	err = withDatabase(path, url.Values{"mode": {"ro"}, "immutable": {"1"}}, func(db *sql.DB) error {
		var result string
		if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&result); err != nil {
			return err
		}
		if result != "ok" {
			return fmt.Errorf("%w: %s", ErrDamaged, strings.Join(strings.Fields(result), " "))
		}
		if err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM "+versionTable+" WHERE is_applied").Scan(&sum.Schema); err != nil {
			return fmt.Errorf("%w: it has no version of stackscope's schema: %w", ErrLost, err)
		}
		if known := SchemaVersion(); sum.Schema > known {
			return fmt.Errorf("it has schema version %d, and this stackscope knows versions up to %d: a newer stackscope has written it", sum.Schema, known)
		}
		for _, count := range []struct {
			to    *int64
			since int64 // the version of the schema that has the table
			query string
		}{
			{&sum.Workers, 1, "SELECT COUNT(*) FROM workers"},
			{&sum.Models, 1, "SELECT COUNT(*) FROM models"},
			{&sum.Instances, 1, "SELECT COUNT(*) FROM instances"},
			{&sum.Generation, 1, "SELECT COALESCE(MAX(number), 0) FROM mapping_generations"},
			{&sum.Revoked, 6, "SELECT COUNT(*) FROM revoked_workers"},
		} {
			if sum.Schema < count.since {
				continue
			}
			if err := db.QueryRowContext(ctx, count.query).Scan(count.to); err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
		}
		return nil
	})
	if se, ok := errors.AsType[*sqlite.Error](err); ok && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrLost) {
		switch se.Code() & 0xff { // the primary code
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return sum, err
}

// withDatabase opens a database with SQLite's parameters q, beside the one connection of a Store, for as long as do takes.
func withDatabase(path string, q url.Values, do func(*sql.DB) error) (err error) {
	q.Set("_error_rc", "1")
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	connector, err := sqlite.NewConnector(u.String())
	if err != nil {
		return fmt.Errorf("open database %s: %w", path, err)
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	return do(db)
}
