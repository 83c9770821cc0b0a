package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/stackscope/stackscope/internal/base/inbound"
)

const (
	// parsedBody is the size from which on a body is parsed with others only as long as they are maxParsing bytes together: what it
	// becomes takes many times as much.
	parsedBody = 256 << 10
	maxParsing = 40 << 20
)

// receive reads the body of a request before it takes one of its route's slots, so that a body that comes slowly holds none. done
// gives back what the request holds.
func (a *API) receive(req *http.Request, r route) (done func(), p *Problem) {
	var held []func()
	done = func() {
		for _, release := range held {
			release()
		}
	}
	if req.ContentLength != 0 && r.maxBody > 0 {
		var data bytes.Buffer
		_, err := io.Copy(&data, io.LimitReader(req.Body, r.maxBody))
		if errors.Is(err, inbound.ErrBusy) {
			return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: inbound.ErrBusy.Error()}
		}
		if size := int64(data.Len()); size > parsedBody {
			size = min(size, maxParsing)
			if err := a.parsing.Acquire(req.Context(), size); err != nil {
				return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: "the request ended while others with large bodies were parsed"}
			}
			held = append(held, func() { a.parsing.Release(size) })
		}
		req.Body = io.NopCloser(io.MultiReader(&data, failing{err})) // what was wrong is for the route to tell
	}
	if r.slots != nil {
		select {
		case r.slots <- struct{}{}:
			held = append(held, func() { <-r.slots })
		default:
			done()
			return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: fmt.Sprintf("%d of these are under way already; try again in a moment", cap(r.slots))}
		}
	}
	return done, nil
}

// failing is the end of a body: with an error, or as usual.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}
