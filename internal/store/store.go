// Package store keeps the server's state in SQLite: the inventory's rows and the generations of the metrics mapping.
//
// One connection does all the work: the inventory is read once, when the server starts, and is written in batches, so
// readers never need a pool. Every write is a transaction in the write-ahead log, which is synced to the disk before the write
// returns, so that it survives the loss of power. Heartbeats alone, which are written every minute, aren't waited for: they
// survive the death of the process only.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/stackscope/stackscope/internal/base/dirlock"
	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/freespace"
	"github.com/stackscope/stackscope/internal/base/logging"
)

// FileName is the database's name in the data directory.
const FileName = "stackscope.db"

// LockName is the file whose lock makes a server the only one on its data directory.
const LockName = "stackscope.lock"

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Options are the settings of a Store.
type Options struct {
	// Dir is the data directory. It must exist.
	Dir string
	// Tokens are the names of the files there that a server makes or is given. An empty database beside them is a lost one.
	Tokens []string
	// BusyTimeout bounds the wait for another process that locks the database, 5 s by default.
	BusyTimeout time.Duration
	// KeepGenerations bounds the history of the metrics mapping, 1000 generations by default.
	KeepGenerations int
	Logger          *slog.Logger

	// What tests of this package put in the place of the program's own migrations and of the system's answer.
	migrations fs.FS
	freeSpace  func(dir string) (bytes uint64, ok bool)
}

// Store is an open database. Its methods may be called at the same time.
type Store struct {
	opts Options
	path string
	db   *sql.DB
	lock *dirlock.Lock
	// lagging says that the last checkpoint failed. Only Open and Run touch it.
	lagging    bool
	log        *slog.Logger
	migrations fs.FS
	freeSpace  func(dir string) (bytes uint64, ok bool)
}

// Open opens the database in opts.Dir, makes it where there is none and brings its schema up to date. It fails, with a
// sentence that says what to do, when another server uses the directory, when the file cannot be written or is damaged,
// when one was there and is lost (ErrLost), and when a newer stackscope has written it. Before it changes the schema of a database that is
// there, it copies that database; it fails when the disk has no room for that.
func Open(ctx context.Context, opts Options) (_ *Store, err error) {
	if opts.BusyTimeout <= 0 {
		opts.BusyTimeout = 5 * time.Second
	}
	if opts.KeepGenerations <= 0 {
		opts.KeepGenerations = 1000
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", opts.Dir, err)
	}
	s := &Store{
		opts: opts,
		path: filepath.Join(dir, FileName),
		log:  opts.Logger.With(logging.KeyComponent, "store"),

		migrations: opts.migrations, freeSpace: opts.freeSpace,
	}
	if s.freeSpace == nil {
		s.freeSpace = freespace.Of
	}
	if s.migrations == nil {
		if s.migrations, err = fs.Sub(migrationFiles, "migrations"); err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
	}
	if s.lock, err = dirlock.Take(dir, LockName, "server"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeDB(), s.lock.Abandon())
		}
	}()
	state, err := s.inspect()
	if err != nil {
		return nil, err
	}
	s.logLogState(&state.log)
	if state.absent && s.hasTokens() {
		s.log.Warn("no database beside the tokens that are here: the inventory begins empty. If that is not meant, stop the server and put a backup back; revoked workers may join again", "database", s.path)
	}
	if state.absent {
		if err := s.writeExpectedFile(creatingPrefix + "\n"); err != nil {
			return nil, fmt.Errorf("make database %s: %w", s.path, err)
		}
	}
	if err := makeFile(s.path); err != nil {
		return nil, errors.Join(err, s.removeExpectedFile(&state))
	}
	if state.hasData {
		if err := s.checkFile(ctx, &state); err != nil {
			return nil, err
		}
	}
	switch {
	case state.log.applied:
		if err := s.moveLogAside(); err != nil {
			return nil, err
		}
	case state.log.losesChanges():
		s.copyDamagedLog()
	}
	connector, err := sqlite.NewConnector(s.dsn())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", s.path, err)
	}
	s.db = sql.OpenDB(connector)
	s.db.SetMaxOpenConns(1)
	s.db.SetMaxIdleConns(1)
	if err := s.migrate(ctx); err != nil {
		return nil, err
	}
	if err := s.repairSequences(ctx); err != nil {
		return nil, err
	}
	if err := s.logDamagedGenerations(ctx); err != nil {
		return nil, err
	}
	if !state.expected {
		s.markExpected()
	}
	s.checkpoint(ctx)
	return s, nil
}

// Close closes the database and unlocks the data directory.
func (s *Store) Close() error { return errors.Join(s.closeDB(), s.lock.Release()) }

// closeDB writes what is in the log into the database's file and removes the log.
func (s *Store) closeDB() error {
	if s.db == nil {
		return nil
	}
	return s.explain("close", s.db.Close())
}

func (s *Store) dsn() string {
	q := url.Values{
		"_busy_timeout": {strconv.FormatInt(s.opts.BusyTimeout.Milliseconds(), 10)},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"},
		"_foreign_keys": {"1"},
		"_txlock":       {"immediate"},
		"_dqs":          {"0"},
		"_error_rc":     {"1"},
		"_pragma":       {"journal_size_limit(16777216)"},
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: s.path, RawQuery: q.Encode()}
	return u.String()
}

// makeFile makes the database file, private, which SQLite itself does not do, for good, and finds out early, in the operating
// system's words, when it cannot be written.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("database %s cannot be opened for writing (%w): change its owner or choose another directory with --data-dir", path, durable.Cause(err))
	}
	return errors.Join(f.Close(), durable.SyncDir(filepath.Dir(path)))
}

func (s *Store) migrate(ctx context.Context) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.db, s.migrations,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(s.log))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return s.explain("read the schema version of", err)
	}
	if have >= want { // newer ones were refused before
		return nil
	}
	if have > 0 {
		if err := s.copyBefore(ctx, have, want); err != nil {
			return err
		}
	}
	if _, err := provider.Up(ctx); err != nil {
		return s.explain("migrate", err)
	}
	s.log.InfoContext(ctx, "database schema brought up to date", "file", s.path, "from", have, "to", want)
	return nil
}

// durability says what a committed write survives.
type durability bool

const (
	survivesProcess durability = false // the death of this process
	survivesMachine durability = true  // the loss of power too
)

// write runs fn in a transaction.
func (s *Store) write(ctx context.Context, d durability, fn func(*sql.Tx) error) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if d == survivesMachine {
		if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
			return err
		}
		defer func() { // failing, it costs time alone, and what is committed is committed
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL")
		}()
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		if rerr := tx.Rollback(); !errors.Is(rerr, sql.ErrTxDone) { // it is done when ctx ended it
			err = errors.Join(err, rerr)
		}
		return err
	}
	return tx.Commit()
}
