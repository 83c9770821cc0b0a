package lifecycle

import (
	"context"
	"sync"
	"time"
)

// Wait waits for the goroutines of wg until ctx ends, and reports whether all have ended. Those that have not are left alone.
func Wait(ctx context.Context, wg *sync.WaitGroup) bool {
	select {
	case <-doneChannel(wg):
		return true
	case <-ctx.Done():
		return false
	}
}

// WaitWithin is Wait with a limit.
func WaitWithin(limit time.Duration, wg *sync.WaitGroup) bool {
	return DoneWithin(limit, doneChannel(wg))
}

// DoneWithin waits until done is closed, for at most limit, and reports whether it is.
func DoneWithin(limit time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// Shutdown stops an HTTP server: open requests may finish within limit, then their connections are closed. It works although
// ctx has ended. The error says that requests were cut off.
func Shutdown(ctx context.Context, limit time.Duration, srv interface {
	Shutdown(ctx context.Context) error
	Close() error
},
) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	err := srv.Shutdown(ctx)
	if err != nil {
		_ = srv.Close()
	}
	return err
}

func doneChannel(wg *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	return done
}
