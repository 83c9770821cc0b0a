package inbound

import (
	"context"
	"errors"
)

// ErrFull says why a request that would keep its connection is refused.
var ErrFull = errors.New("all connections are taken by requests that last, and what is left is for short ones: try again in a moment")

// Spare reports whether a request came over one of the connections that are kept for short answers while all others are taken.
func Spare(ctx context.Context) bool {
	c, ok := ctx.Value(connKey{}).(*conn)
	return ok && c.spare
}
