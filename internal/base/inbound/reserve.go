package inbound

import (
	"context"
	"errors"
)

// ErrFull is why a long request on a reserved connection is refused.
var ErrFull = errors.New("long requests use all connections, and the rest is reserved for short ones: try again in a moment")

// Reserved reports whether a request came over a connection of the reserve. Such a connection is for short requests.
func Reserved(ctx context.Context) bool {
	c, ok := ctx.Value(connKey{}).(*conn)
	return ok && c.reserved
}
