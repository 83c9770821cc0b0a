package client

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func readAll(t *testing.T, r io.Reader, limit int) (events []string, err error) {
	t.Helper()
	er := newEventReader(r, limit)
	for {
		ev, err := er.next()
		if err != nil {
			return events, err
		}
		events = append(events, ev.name+"|"+string(ev.data))
	}
}

func TestEventReader(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "event: a\ndata: x\n\n", "a|x"},
		{"no space, no name", "data:x\n\n", "message|x"},
		{"several lines", "data: x\ndata:\ndata:  y\n\n", "message|x\n\n y"},
		{"name without data is dropped", "event: a\n\ndata: x\n\n", "message|x"},
		{"comments and unknown fields", ": ping\n\nid: 4\nretry: 5\nodd\ndata: x\n\n", "message|x"},
		{"empty data counts", "data\n\n", "message|"},
		{"cut off", "data: x\n", ""},
	} {
		got, err := readAll(t, strings.NewReader(tt.in), 1024)
		if !errors.Is(err, io.EOF) || strings.Join(got, "&") != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
	for _, in := range []string{"data: " + strings.Repeat("x", 100) + "\n\n", strings.Repeat("data: xxxx\n", 30) + "\n"} {
		if _, err := readAll(t, strings.NewReader(in), 64); !errors.Is(err, errEventTooLong) {
			t.Errorf("%q: error = %v", in, err)
		}
	}
}

// FuzzEventReader: never panics, stays within its bound, and reads the same however the bytes arrive.
func FuzzEventReader(f *testing.F) {
	for _, s := range []string{"event: mapping\nid: 1\ndata: {}\n\n", ": ping\n\n", "data: a\r\ndata: b\r\n\r\n", "data\n\n:\n", "event:\ndata:\n\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 256
		whole, err1 := readAll(t, bytes.NewReader(in), limit)
		bits, err2 := readAll(t, iotest.OneByteReader(bytes.NewReader(in)), limit)
		if strings.Join(whole, "&") != strings.Join(bits, "&") || err1.Error() != err2.Error() {
			t.Errorf("at once %q (%v), byte by byte %q (%v)", whole, err1, bits, err2)
		}
		for _, ev := range whole {
			if len(ev) > 2*limit+1 {
				t.Errorf("event of %d bytes", len(ev))
			}
		}
	})
}
