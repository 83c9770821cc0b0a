package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Again repeats a request, at most tries times, while the server refuses it because it works on enough of its kind: with status 503 and a
// Retry-After of at most longest. It returns the last answer, or the error of ctx.
func Again[T any](ctx context.Context, tries int, longest time.Duration, ask func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		v, err := ask()
		e, ok := errors.AsType[*Error](err)
		if try >= tries || !ok || e.Status != http.StatusServiceUnavailable || e.RetryAfter <= 0 || e.RetryAfter > longest {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(e.RetryAfter):
		}
	}
}
