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
	// Bodies larger than parsedBody are parsed only while they are at most maxParsing bytes together, because a parsed body takes many
	// times its size.
	parsedBody = 256 << 10
	maxParsing = 40 << 20
)

// prepare reads the body of a request before it takes a slot of its route, so that a slow body occupies none. done releases what the
// request holds.
func (a *API) prepare(req *http.Request, r route) (done func(), p *Problem) {
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
				return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: "the request ended while it waited for other large bodies to be parsed"}
			}
			held = append(held, func() { a.parsing.Release(size) })
		}
		req.Body = io.NopCloser(io.MultiReader(&data, errorReader{err})) // the route reports a read error
	}
	if r.slots != nil {
		select {
		case r.slots <- struct{}{}:
			held = append(held, func() { <-r.slots })
		default:
			done()
			return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: fmt.Sprintf("%d of these requests are running already; try again in a moment", cap(r.slots))}
		}
	}
	return done, nil
}

// errorReader ends a body with an error, or with io.EOF if that is nil.
type errorReader struct{ err error }

func (f errorReader) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}
