package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

// checkpointInterval is how often what is in the log is written into the database's file, so that a copy of that file alone lacks
// little.
const checkpointInterval = time.Minute

// Run writes what is in the log into the database's file now and then, until ctx ends. It returns nil.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(checkpointInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.checkpoint(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// checkpoint writes what is in the log into the database's file and empties the log. It waits for nobody: where another process
// reads the database, the rest comes next time. A failure costs nothing that is stored, and is told once.
func (s *Store) checkpoint(ctx context.Context) {
	if info, err := os.Stat(s.path + logSuffix); err != nil || info.Size() == 0 {
		return
	}
	err := s.emptyLog(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !s.lagging:
		s.log.WarnContext(ctx, "the database's log cannot be written into its file; nothing is lost, but a copy of the file alone lacks what is in the log, which grows; it is tried again",
			"file", s.path, "every", checkpointInterval, "error", s.explain("checkpoint", err))
	case err == nil && s.lagging:
		s.log.InfoContext(ctx, "the database's log is written into its file again", "file", s.path)
	}
	s.lagging = err != nil
}

func (s *Store) emptyLog(ctx context.Context) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	defer func() {
		_, restored := conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA busy_timeout = %d", s.opts.BusyTimeout.Milliseconds()))
		err = errors.Join(err, restored)
	}()
	var busy, frames, applied sql.NullInt64
	return conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &applied)
}
