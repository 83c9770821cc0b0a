package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/wire"
)

// silenceLimit is three of the server's pings: a stream that is silent for longer is dead, whatever TCP says.
const silenceLimit = 45 * time.Second

var errStreamEnded = errors.New("the server ended the stream")

// Events are what is done with the events of a watch stream, one at a time. An error of theirs ends the stream.
type Events struct {
	// Document is the digest (mapping.Digest) of the document that the worker has under the generation that it says it has; empty: it
	// does not say. The server sends the generation again if the document is another one.
	Document string
	// Mapping takes each mapping that is put in force.
	Mapping func(wire.MappingEvent) error
	// DryRun takes each mapping that is only to be tried; nil: none are.
	DryRun func(wire.DryRunEvent) error
	// Page takes each request for an engine's page; nil: none are.
	Page func(wire.PageEvent) error
	// Check takes each request to examine the worker; nil: none are.
	Check func(wire.CheckEvent) error
}

// Watch follows the mapping: it passes the events on the worker's watch stream to handle until the stream ends. generation is the one the worker has; the server then sends its own at once if it differs (-1 always
// differs: ask so after a registration, since a server that lost its database counts anew). The client's token must be
// the worker's credential.
//
// Watch always returns an error: what handle returned, ctx's cause, or an *Error for a connection that failed, ended or was
// silent for 45 s. TokenRefused or status 404 means that the worker must register again; anything else is worth another try after a pause.
func (c *Client) Watch(ctx context.Context, workerID, generation int64, handle Events) error {
	r := request{
		op: "watch the metrics mapping", method: http.MethodGet, path: workerPath(workerID, "watch"), auth: authWorker,
		query: url.Values{"generation": {strconv.FormatInt(generation, 10)}},
	}
	if handle.Document != "" {
		r.query.Set("document", handle.Document)
	}
	streamCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(silenceLimit, func() {
		cancel(fmt.Errorf("nothing was heard for %s", silenceLimit))
	})
	defer silence.Stop()

	req, err := c.newRequest(streamCtx, r)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := c.http.Do(req)
	if err != nil {
		return c.streamError(ctx, streamCtx, r, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return c.answerError(r, resp)
	}
	if ct := resp.Header.Get("Content-Type"); !isEventStream(ct) {
		return c.notOurs(r, resp, fmt.Sprintf("its answer is %q and no event stream", oneLine(ct)))
	}
	events := newEventReader(&touchReader{r: resp.Body, touch: func() { silence.Reset(silenceLimit) }}, maxLineBytes)
	for {
		ev, err := events.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errStreamEnded
			}
			return c.streamError(ctx, streamCtx, r, err)
		}
		silence.Stop() // while the event is worked on, silence is ours
		switch {
		case ev.name == "mapping":
			err = decode(c, r, ev, handle.Mapping)
		case ev.name == "dry-run" && handle.DryRun != nil:
			err = decode(c, r, ev, handle.DryRun)
		case ev.name == "page" && handle.Page != nil:
			err = decode(c, r, ev, handle.Page)
		case ev.name == "check" && handle.Check != nil:
			err = decode(c, r, ev, handle.Check)
		default: // a newer server's
		}
		if err != nil {
			return err
		}
		silence.Reset(silenceLimit)
	}
}

func decode[T any](c *Client, r request, ev event, handle func(T) error) error {
	var v T
	if err := json.Unmarshal(ev.data, &v); err != nil {
		return &Error{Op: r.op, URL: c.URL(), Detail: ev.name + " event: " + oneLine(err.Error()), Err: err}
	}
	return handle(v)
}

// streamError tells the end that the caller asked for from the others.
func (c *Client) streamError(ctx, streamCtx context.Context, r request, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if cause := context.Cause(streamCtx); cause != nil {
		err = cause
	}
	if errors.Is(err, errStreamEnded) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Op: r.op, URL: c.URL(), Detail: errStreamEnded.Error(), Err: err}
	}
	return c.transportError(streamCtx, r, err)
}

// touchReader calls touch whenever bytes arrive.
type touchReader struct {
	r     io.Reader
	touch func()
}

func (t *touchReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if n > 0 {
		t.touch()
	}
	return n, err
}
