package install

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/stackscope/stackscope/internal/base/dirlock"
)

const (
	lockName = ".lock"
	lockPoll = 200 * time.Millisecond
)

// lock keeps other installations into the directory out, and waits for one that is running.
func (in *installer) lock(ctx context.Context) (unlock func(), err error) {
	path := filepath.Join(in.Dir, lockName)
	for waited := false; ; waited = true {
		l, err := dirlock.TakeFile(path)
		switch {
		case err == nil:
			return func() { _ = l.Release() }, nil
		case !errors.Is(err, dirlock.ErrHeld):
			return nil, in.explain(fmt.Errorf("lock %s: %w", path, err))
		}
		if !waited {
			in.Report(Event{Stage: StageWait, Text: "another installation into " + in.Dir + " is running; waiting for it"})
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
