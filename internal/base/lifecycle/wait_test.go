package lifecycle_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/lifecycle"
)

func TestWaitEndsWithTheGoroutinesOrTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for takes, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Minute: 3 * time.Second} {
			for name, wait := range map[string]func(*sync.WaitGroup) bool{
				"Wait": func(wg *sync.WaitGroup) bool {
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
					defer cancel()
					return lifecycle.Wait(ctx, wg)
				},
				"WaitWithin": func(wg *sync.WaitGroup) bool { return lifecycle.WaitWithin(3*time.Second, wg) },
			} {
				var wg sync.WaitGroup
				wg.Go(func() { time.Sleep(takes) })
				begin := time.Now()
				ended := wait(&wg)
				if took := time.Since(begin); took != want || ended != (takes == want) {
					t.Errorf("%s for what takes %s: %v after %s", name, takes, ended, took)
				}
				wg.Wait()
			}
		}
	})
}

// server is an HTTP server whose last request takes busy.
type server struct {
	busy   time.Duration
	closed bool
}

func (s *server) Shutdown(ctx context.Context) error {
	select {
	case <-time.After(s.busy):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *server) Close() error {
	s.closed = true
	return nil
}

func TestShutdownClosesWhatDoesNotFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the program is ending
		polite, busy := &server{busy: time.Second}, &server{busy: time.Hour}
		if err := lifecycle.Shutdown(ctx, 2*time.Second, polite); err != nil || polite.closed {
			t.Errorf("a request of 1 s: %v, closed %v", err, polite.closed)
		}
		begin := time.Now()
		if err := lifecycle.Shutdown(ctx, 2*time.Second, busy); !errors.Is(err, context.DeadlineExceeded) || !busy.closed {
			t.Errorf("a request of 1 h: %v, closed %v", err, busy.closed)
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("took %s", took)
		}
	})
}
