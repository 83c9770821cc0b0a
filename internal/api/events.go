package api

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	pingInterval = 15 * time.Second
	// writeTimeout bounds how long a client may read nothing of its stream.
	writeTimeout = 20 * time.Second
)

var errStopping = errors.New("the server stops")

// eventsResponse documents a stream of server-sent events.
func eventsResponse(description string) *huma.Response {
	return &huma.Response{Description: "Event stream", Content: map[string]*huma.MediaType{
		"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: description}},
	}}
}

// openEvents begins a stream of server-sent events. send sends what it is given at once; end ends the stream.
func openEvents(w http.ResponseWriter) (send func(frame []byte) error, end func()) {
	rc := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // else nginx buffers events
	w.WriteHeader(http.StatusOK)
	send = func(frame []byte) error {
		if err := rc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := w.Write(frame); err != nil {
			return err
		}
		if err := rc.Flush(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("the client took nothing for %s", writeTimeout)
			}
			return err
		}
		return nil
	}
	return send, func() { _ = rc.SetWriteDeadline(time.Time{}) } // the connection may serve other requests
}
