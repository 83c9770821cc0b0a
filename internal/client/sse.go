package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
)

// maxLineBytes bounds a line of an event stream and the data of one event.
const maxLineBytes = 8 << 20

var errEventTooLong = errors.New("event stream: event is too long")

// event is one server-sent event.
type event struct {
	name string // "message" when the stream gives none
	data []byte // valid until the next call of next
}

// eventReader reads server-sent events. Memory is bounded by max for a line and for an event's data.
type eventReader struct {
	lines *bufio.Scanner
	data  []byte
	max   int
}

func newEventReader(r io.Reader, limit int) *eventReader {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, min(4096, limit)), limit)
	return &eventReader{lines: lines, max: limit}
}

// next returns the next event that has data. An event that the stream's end cut off is not returned.
func (e *eventReader) next() (event, error) {
	ev := event{name: "message"}
	e.data = e.data[:0]
	hasData := false
	for e.lines.Scan() {
		line := e.lines.Bytes()
		if len(line) == 0 {
			if hasData {
				ev.data = e.data
				return ev, nil
			}
			ev.name = "message"
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			ev.name = string(value)
		case "data":
			if len(e.data)+len(value)+1 > e.max {
				return event{}, fmt.Errorf("%w: more than %d bytes", errEventTooLong, e.max)
			}
			if hasData {
				e.data = append(e.data, '\n')
			}
			e.data = append(e.data, value...)
			hasData = true
		}
	}
	err := e.lines.Err()
	switch {
	case err == nil:
		return event{}, io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return event{}, fmt.Errorf("%w: a line has more than %d bytes", errEventTooLong, e.max)
	}
	return event{}, err
}

func isEventStream(contentType string) bool {
	mt, _, err := mime.ParseMediaType(contentType)
	return err == nil && mt == "text/event-stream"
}
