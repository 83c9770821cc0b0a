package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stackscope/stackscope/internal/backup"
	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/freespace"
	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/prom"
	"github.com/stackscope/stackscope/internal/store"
)

const (
	// backupDir is where copies of databases are in the data directory while a backup is sent.
	backupDir = "backup.partial"
	// backupSpare is left free on the disks: below it, samples are not stored.
	backupSpare = 32 << 20
	// maxBackupFile bounds the files that are read as a whole.
	maxBackupFile = 64 << 20
)

// backupFiles are small files of the data directory, which their owners replace as a whole: tokens, and what a worker in this process or
// on this directory keeps.
var backupFiles = []string{
	backup.AdminToken, backup.WorkerToken,
	"worker.json", "mapping.json", "cards.json", "worker/worker.json", "worker/mapping.json", "worker/cards.json",
}

// clearBackup removes what a process has left that ended while it made a backup.
func (s *Server) clearBackup() {
	dir := filepath.Join(s.opts.DataDir, backupDir)
	if _, err := os.Lstat(dir); err != nil {
		return
	}
	if err := os.RemoveAll(dir); err != nil {
		s.logger.Warn("what an interrupted backup has left could not be removed; remove it", "dir", dir, "error", err)
		return
	}
	s.logger.Info("removed what an interrupted backup has left", "dir", dir)
}

// makeBackup copies what changes and returns the archive, which reads the copies, and what removes them.
func (s *Server) makeBackup(ctx context.Context, samples bool) (_ *backup.Archive, remove func() error, err error) {
	dir := filepath.Join(s.opts.DataDir, backupDir)
	var snapshot *prom.Snapshot
	remove = func() error {
		err := os.RemoveAll(dir)
		if snapshot != nil {
			err = errors.Join(err, snapshot.Remove())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	m := backup.Manifest{Version: s.opts.version(), CreatedAt: time.Now()}
	m.Samples.Reason = s.noSamples(samples)
	withSamples := m.Samples.Reason == ""
	if err := s.roomForBackup(withSamples); err != nil {
		return nil, remove, err
	}
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil { // the API makes one backup at a time
		return nil, remove, fmt.Errorf("%s cannot be made: %w", dir, durable.Cause(err))
	}
	sources, err := s.smallSources()
	if err != nil {
		return nil, remove, err
	}
	// The database comes before the samples: what it knows of has samples, then, and not the other way round.
	database := filepath.Join(dir, backup.Database)
	if err := s.store.Copy(ctx, database); err != nil {
		return nil, remove, err
	}
	sum, err := store.Examine(ctx, database)
	if err != nil {
		return nil, remove, fmt.Errorf("the copy of the database: %w", err)
	}
	m.Schema = sum.Schema
	m.Inventory = backup.Inventory{Workers: sum.Workers, Revoked: sum.Revoked, Models: sum.Models, Instances: sum.Instances, Generation: sum.Generation}
	sources = append(sources, backup.Source{Name: backup.Database, Path: database})
	grafana := filepath.Join(dir, "grafana.db")
	switch err := store.Copy(ctx, s.grafanaDatabase(), grafana); {
	case err == nil:
		sources = append(sources, backup.Source{Name: backup.GrafanaDatabase, Path: grafana})
	case !errors.Is(err, fs.ErrNotExist):
		return nil, remove, fmt.Errorf("copy Grafana's database %s: %w", s.grafanaDatabase(), err)
	}
	if withSamples {
		if snapshot, err = s.prom.TakeSnapshot(ctx); err != nil {
			return nil, remove, explainSnapshot(err)
		}
		m.Samples.Included, m.Samples.Blocks, m.Samples.Bytes = true, snapshot.Blocks, snapshot.Bytes
		if snapshot.Blocks > 0 {
			m.Samples.From, m.Samples.To = &snapshot.From, &snapshot.To
		}
		for _, name := range snapshot.Files {
			sources = append(sources, backup.Source{Name: backup.Prometheus + name, Path: filepath.Join(snapshot.Dir, filepath.FromSlash(name))})
		}
	}
	archive, err := backup.New(m, sources)
	return archive, remove, err
}

// noSamples says why a backup has no samples; empty if it has.
func (s *Server) noSamples(wanted bool) string {
	switch {
	case s.prom == nil:
		return "the embedded Prometheus is turned off by " + s.turnedOffBy() + ": back up the Prometheus that has them"
	case !wanted:
		return "they were not asked for"
	}
	return ""
}

func explainSnapshot(err error) error {
	const without = "; a backup without samples is possible"
	switch {
	case errors.Is(err, prom.ErrNotReady), errors.Is(err, prom.ErrNoLinks):
		return fmt.Errorf("samples are %w: %w%s", backup.ErrUnavailable, err, without)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: %w; Prometheus sets 512 MiB aside while it writes a block%s", backup.ErrNoSpace, err, without)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("%w%s", err, without)
}

func (s *Server) grafanaDatabase() string {
	return filepath.Join(s.opts.DataDir, filepath.FromSlash(backup.GrafanaDatabase))
}

// roomForBackup fails if a disk has no room for what a backup needs while it is made.
func (s *Server) roomForBackup(samples bool) error {
	databases := s.store.Size() + store.SizeOf(s.grafanaDatabase())
	if err := room(s.opts.DataDir, databases, ""); err != nil || !samples {
		return err
	}
	const without = "; a backup without samples needs less"
	return room(filepath.Join(s.opts.DataDir, "prometheus"), databases+s.prom.SnapshotBytes(), without) // it may be the same disk
}

func room(dir string, need int64, hint string) error {
	need += backupSpare
	if free, ok := freespace.Of(dir); ok && free < uint64(need) {
		return fmt.Errorf("%w: %d MiB are free under %s, and a backup needs %d MiB there while it is made%s", backup.ErrNoSpace, free>>20, dir, need>>20, hint)
	}
	return nil
}

func (s *Server) smallSources() ([]backup.Source, error) {
	var sources []backup.Source
	for _, name := range backupFiles {
		path := filepath.Join(s.opts.DataDir, filepath.FromSlash(name))
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", path, durable.Cause(err))
		}
		data, err := httpjson.ReadAll(f, maxBackupFile)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		sources = append(sources, backup.Source{Name: name, Data: data})
	}
	return sources, nil
}
