package simgrafana

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// header is how a SQLite file begins.
const header = "SQLite format 3\x00"

// shortestPassword is the least number of bytes that Grafana accepts.
const shortestPassword = 5

// database simulates Grafana's database file.
type database struct {
	path string
	disk string // Play.Disk

	mu    sync.Mutex
	state state
}

type state struct {
	Schema     int // the major version that migrated it last
	Login      string
	Password   string
	Dashboards map[string]json.RawMessage // saved by users, by uid
}

// openDatabase opens the file and migrates it to this version. If there is none, it creates one with the administrator of the
// settings.
func openDatabase(s settings, p Play, l logger) (db *database, err error) {
	path := s.get("database", "path")
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.get("paths", "data"), path)
	}
	db = &database{path: path, disk: p.Disk}
	l.line("info", "sqlstore", "Connecting to DB", "dbtype", "sqlite3")
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		time.Sleep(p.Migration)
		db.state = state{Login: s.get("security", "admin_user"), Password: s.get("security", "admin_password")}
	case err != nil:
		return nil, fmt.Errorf("failed to connect to database: unable to open database file: %w", err)
	case !bytes.HasPrefix(text, []byte(header)):
		return nil, errors.New("migration failed (id = create migration_log table): file is not a database")
	default:
		if err := json.Unmarshal(text[len(header):], &db.state); err != nil {
			return nil, errors.New("migration failed (id = create migration_log table): database disk image is malformed")
		}
	}
	if db.state.Dashboards == nil {
		db.state.Dashboards = map[string]json.RawMessage{}
	}
	return db, db.migrate(p.Version, l)
}

func (db *database) migrate(version string, l logger) error {
	first, _, _ := strings.Cut(version, ".")
	schema, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("version %q has no number", version)
	}
	l.line("info", "migrator", "Starting DB migrations")
	if db.state.Schema > schema {
		const id, trouble = "Add column help_flags1 to user table", "duplicate column name: help_flags1"
		l.line("error", "migrator", "Executing migration failed", "id", id, "error", trouble)
		return fmt.Errorf("migration failed (id = %s): %s", id, trouble)
	}
	if db.state.Schema == 0 {
		for _, id := range []string{"create migration_log table", "create user table", "create index UQE_user_login - v1", "create dashboard table"} {
			l.line("info", "migrator", "Executing migration", "id", id)
		}
	} else {
		l.line("warn", "migrator", "Skipping migration: Already executed, but not recorded in migration log", "id", "add index user.login/user.email")
	}
	db.state.Schema = schema
	if err := db.save(); err != nil {
		return fmt.Errorf("migration failed (id = create index UQE_user_login - v1): %w", err)
	}
	l.line("info", "migrator", "migrations completed")
	return nil
}

// save writes the file. Its errors have SQLite's texts.
func (db *database) save() error {
	switch db.disk {
	case DiskFull:
		return errors.New("database or disk is full")
	case DiskReadOnly:
		return errors.New("attempt to write a readonly database")
	}
	text, err := json.Marshal(db.state)
	if err != nil {
		return err
	}
	if err := os.WriteFile(db.path, append([]byte(header), text...), 0o640); err != nil {
		return fmt.Errorf("unable to open database file: %w", err)
	}
	return nil
}

func (db *database) setPassword(password string) error {
	if len(password) < shortestPassword {
		return errors.New("new password is too short")
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.state.Password = password
	return db.save()
}

// knows reports whether a user exists and has the password.
func (db *database) knows(login, password string) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return login == db.state.Login && password == db.state.Password
}

// isAdmin reports whether the user is the administrator.
func (db *database) isAdmin(login string) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return login == db.state.Login
}

func (db *database) saveDashboard(uid string, dashboard json.RawMessage) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.state.Dashboards[uid] = dashboard
	return db.save()
}

func (db *database) dashboard(uid string) (json.RawMessage, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	text, ok := db.state.Dashboards[uid]
	return text, ok
}
