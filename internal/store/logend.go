package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/store/sqlitelog"
)

// damagedSuffix is of a log that was damaged and is kept.
const damagedSuffix = ".damaged"

// logState is what lies beside the database's file.
type logState struct {
	sqlitelog.End
	exists bool
	// The rest is what the index says.
	missing   uint32 // committed frames that the log lacks and the database's file doesn't have
	fileNewer bool   // the database's file has later pages than the log
	applied   bool   // the log lacks frames, and the database's file has all that was committed
	complete  bool   // the log has all that was committed
}

// readLogState reads the log and its index. It changes nothing.
func readLogState(path string) (logState, error) {
	var st logState
	f, err := os.Open(path + logSuffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return st, err
	default:
		st.exists = true
		st.End, err = sqlitelog.Read(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return st, err
		}
	}
	head, err := readIndexHead(path + indexSuffix)
	if err != nil {
		return st, err
	}
	ix, ok := sqlitelog.ParseIndex(head)
	if !ok || st.Salts != nil && !bytes.Equal(ix.Salts, st.Salts) {
		return st, nil
	}
	if st.Frames >= ix.Committed {
		st.complete = st.Salts != nil
		return st, nil
	}
	st.missing = ix.Committed - max(st.Frames, min(ix.Applied, ix.Committed))
	st.fileNewer = st.Salts != nil && ix.Applied > st.Frames
	st.applied = st.fileNewer && st.missing == 0
	return st, nil
}

// losesChanges reports whether the log lacks, or may lack, changes that somebody was told were stored.
func (st *logState) losesChanges() bool {
	return st.missing > 0 || st.RestCommits > 0 || st.Rest > 0 && !st.complete
}

// copyDamagedLog copies a log that SQLite is about to take what it can of, and to empty. There is one such copy, of the last such log. The
// server goes on without it where there is no room.
func (s *Store) copyDamagedLog() {
	from, to := s.path+logSuffix, s.path+logSuffix+damagedSuffix
	if info, err := os.Stat(from); err != nil || info.Size() == 0 {
		return
	}
	if err := copyFile(from, to); err != nil {
		s.log.Warn("the database's damaged log could not be copied before what can be used of it is taken up", "file", from, "error", err)
		return
	}
	s.log.Warn("a copy of the database's damaged log is kept; remove it when nobody needs it", "file", from, "copy", to)
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*") // private
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}

// moveLogAside moves a log away whose end is missing and all of which is in the database's file: SQLite would put the older pages
// that are left of it over those.
func (s *Store) moveLogAside() error {
	target := s.path + logSuffix + damagedSuffix
	if err := os.Rename(s.path+logSuffix, target); err != nil {
		return fmt.Errorf("the database's log %s is damaged and cannot be moved away (%w): move it away", s.path+logSuffix, durable.Cause(err))
	}
	if err := os.Remove(s.path + indexSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.log.Warn("the end of the database's log is missing or damaged; all of it is in the database's file already, so that nothing is lost, and the log is moved away",
		"file", s.path+logSuffix, "moved_to", target)
	return nil
}

// readIndexHead reads the beginning of an index; nil when there is none.
func readIndexHead(path string) (head []byte, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, sqlitelog.IndexBytes))
}

// logLogState says in the log of the server what the log of the database lacks. SQLite takes what it can use of it and says nothing.
func (s *Store) logLogState(st *logState) {
	log := s.log.With("file", s.path+logSuffix, "usable_frames", st.Frames, "bytes", st.Rest, "frames", max(st.RestFrames, st.missing))
	const lost = "changes after its last whole transaction are lost"
	switch {
	case st.applied: // setAside says so
	case st.fileNewer:
		log.Warn("the end of the database's log is missing or damaged: " + lost + ", and the database's file has parts of them already; put a backup of the data directory in its place")
	case st.missing > 0 || st.RestCommits > 0:
		log.Warn("the end of the database's log is missing or damaged: " + lost + "; put a backup of the data directory in its place if that is too much")
	case st.Rest == 0:
	case st.complete:
		log.Info("a transaction was under way when the server ended; nobody was told that it was stored, and it is left out")
	default:
		log.Warn("the database's log does not end with a whole transaction: " + lost + "; after the loss of power that is one that nobody was told of, and if the file was cut or damaged there may be others")
	}
}
