package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	lockName = ".lock"
	lockPoll = 200 * time.Millisecond
)

// errLocked says that another process holds a lock.
var errLocked = errors.New("locked")

// lock keeps other installations into the directory out, and waits for one that is there already. A lock ends with its process.
func (in *installer) lock(ctx context.Context) (unlock func(), err error) {
	path := filepath.Join(in.Dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, in.explain(err)
	}
	unlock = func() { _ = f.Close() }
	for waited := false; ; waited = true {
		err := tryLock(f)
		if err == nil {
			return unlock, nil
		}
		if !errors.Is(err, errLocked) {
			unlock()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !waited {
			in.Report(Event{Stage: StageWait, Text: "another installation into " + in.Dir + " is running; waiting for it"})
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			unlock()
			return nil, context.Cause(ctx)
		}
	}
}
