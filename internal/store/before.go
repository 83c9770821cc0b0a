package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/fleet"
)

// A database is copied before its schema changes, so that the previous version can be started again: it refuses the new schema. A copy
// is called stackscope.db.before-NEW-schema-OLD. OLD is the schema that it has: an upgrade that dies between two migrations and goes on
// later does not replace the copy that the previous version can open.
const (
	beforePrefix = FileName + ".before-"
	// keepBefore is how many copies are kept, the newest ones.
	keepBefore = 2
	// spareSpace is left free on the disk beside a copy and the migration's own log.
	spareSpace = 8 << 20
)

var beforeName = regexp.MustCompile(`^` + regexp.QuoteMeta(beforePrefix) + `(\d{1,9})-schema-(\d{1,9})$`)

// before is a copy of the database from before a migration.
type before struct {
	name    string
	schema  int64
	written time.Time
}

// schema returns the version of the schema that this program writes.
func (s *Store) schema() (version int64, err error) {
	return lastMigration(s.migrations, "*.sql")
}

func lastMigration(files fs.FS, pattern string) (version int64, err error) {
	names, err := fs.Glob(files, pattern)
	for _, name := range names {
		n, nerr := goose.NumericComponent(name)
		version, err = max(version, n), errors.Join(err, nerr)
	}
	return version, err
}

// checkSchema fails for a database that a newer program has written. Nothing was changed in it.
func (s *Store) checkSchema(ctx context.Context, db *sql.DB) error {
	var have sql.NullInt64
	if err := db.QueryRowContext(ctx, "SELECT MAX(version_id) FROM "+versionTable).Scan(&have); err != nil {
		return nil //nolint:nilerr // it has none yet, or is damaged, which others say
	}
	want, err := s.schema()
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if have.Int64 <= want {
		return nil
	}
	return fmt.Errorf("database %s has schema version %d, and this stackscope knows versions up to %d: a newer stackscope has written it. Start that one again; or, to stay with this one, %s. Nothing was changed",
		s.path, have.Int64, want, s.rollbackSteps(want))
}

// rollbackSteps says how a program that knows schemas up to want gets a database that it can open.
func (s *Store) rollbackSteps(want int64) string {
	away := "move away " + names(s.filesBeside("", logSuffix, indexSuffix))
	for _, b := range s.befores() {
		if b.schema <= want {
			return fmt.Sprintf("%s, then move %s, the copy that was made before the upgrade at %s, in its place as %s. What changed since is lost, and samples stay",
				away, b.name, b.written.UTC().Format(time.RFC3339), FileName)
		}
	}
	return away + ", then put a backup from before the upgrade in its place as " + FileName
}

// befores returns the copies, the newest first.
func (s *Store) befores() (list []before) {
	entries, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		m := beforeName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		schema, _ := strconv.ParseInt(m[2], 10, 64) // at most nine digits
		list = append(list, before{name: e.Name(), schema: schema, written: info.ModTime()})
	}
	slices.SortFunc(list, func(a, b before) int { return cmp.Or(b.written.Compare(a.written), strings.Compare(b.name, a.name)) })
	return list
}

// copyBefore copies the database, which has schema have, before it is brought to schema want.
func (s *Store) copyBefore(ctx context.Context, have, want int64) error {
	size, dir := uint64(max(s.Size(), 0)), filepath.Dir(s.path)
	if free, known := s.freeSpace(dir); known && free < 2*size+spareSpace {
		return fmt.Errorf("database %s is not brought from schema version %d to %d: %w: the disk has %d MiB free, and the copy of the database and the change of its schema need %d MiB. Free space on that disk and start again; nothing was changed",
			s.path, have, want, fleet.ErrNoSpace, free>>20, (2*size+spareSpace)>>20)
	}
	name := fmt.Sprintf("%s%d-schema-%d", beforePrefix, want, have)
	partial := filepath.Join(dir, "."+name+".partial")
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that died
		return fmt.Errorf("copy database %s before its schema changes: %w", s.path, err)
	}
	if err := s.writeBefore(ctx, partial, filepath.Join(dir, name)); err != nil {
		_ = os.Remove(partial)
		return s.explain("copy, before the schema changes,", err)
	}
	s.log.InfoContext(ctx, "copied the database before its schema changes: the previous version of stackscope refuses the new schema, and can be started again with this copy", "copy", filepath.Join(dir, name), "from", have, "to", want)
	for i, b := range s.befores() {
		if i < keepBefore || b.name == name {
			continue
		}
		if err := os.Remove(filepath.Join(dir, b.name)); err != nil {
			s.log.WarnContext(ctx, "an old copy of the database cannot be removed", "copy", filepath.Join(dir, b.name), "error", durable.Cause(err))
		}
	}
	return nil
}

func (s *Store) writeBefore(ctx context.Context, partial, path string) error {
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, "VACUUM INTO ?", partial) // takes an empty file, and what is in the log
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}
