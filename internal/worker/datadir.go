package worker

import (
	"errors"

	"github.com/stackscope/stackscope/internal/base/dirlock"
)

// lockFile is the file whose lock makes a worker the only one on its data directory. A server may have the same directory, and
// another lock.
const lockFile = "worker.lock"

// lockDir makes this worker the only one on its data directory: two would be one to the server. Where nothing can be locked, it
// goes on without.
func (w *Worker) lockDir() (err error) {
	w.lock, err = dirlock.Take(w.opts.DataDir, lockFile, "worker")
	if errors.Is(err, dirlock.ErrUnsupported) {
		w.logger.Warn("the data directory cannot be locked; see to it that no other worker uses it", "error", err)
		return nil
	}
	return err
}

func (w *Worker) unlockDir() error {
	if w.lock == nil {
		return nil
	}
	lock := w.lock
	w.lock = nil
	return lock.Release()
}
