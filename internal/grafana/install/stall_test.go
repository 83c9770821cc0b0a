package install

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// transport answers by a function; it lets time be simulated.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// silence is a body that sends a little, and then nothing until the request is given up.
type silence struct {
	ctx  context.Context
	sent bool
}

func (s *silence) Read(b []byte) (int, error) {
	if !s.sent {
		s.sent = true
		return copy(b, "\x1f\x8b"), nil
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}
func (*silence) Close() error { return nil }

func TestFetchEndsStalls(t *testing.T) {
	for _, answers := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			var told []string
			o := Options{Dir: t.TempDir(), Platform: testPlatform, Transport: transport(func(r *http.Request) (*http.Response, error) {
				asked++
				if !answers {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				return &http.Response{Status: "200 OK", StatusCode: http.StatusOK, Body: &silence{ctx: r.Context()}, ContentLength: -1, Header: http.Header{}}, nil
			}), Report: func(e Event) {
				if e.Stage == StageRetry && strings.Contains(e.Text, "trying again") {
					told = append(told, e.Text)
				}
			}}
			begun := time.Now()
			_, err := Run(t.Context(), o)
			// Five minutes of silence, and pauses of 1, 2, 4 and 8 seconds.
			if took := time.Since(begun); took != 5*time.Minute+15*time.Second {
				t.Errorf("it took %s", took)
			}
			if asked != 5 || len(told) != 4 || err == nil || !strings.Contains(err.Error(), "nothing came for 1m0s") {
				t.Errorf("%d attempts, told %q: %v", asked, told, err)
			}
		})
	}
}

// trickle is a body that sends a byte at a time, with long pauses.
type trickle struct {
	ctx   context.Context
	data  []byte
	pause time.Duration
}

func (s *trickle) Read(b []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.pause)
	if s.ctx.Err() != nil {
		return 0, s.ctx.Err()
	}
	n := copy(b[:1], s.data)
	s.data = s.data[n:]
	return n, nil
}
func (*trickle) Close() error { return nil }

// A connection on which something comes every so often is no stall, however long it takes in all.
func TestFetchIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := release(t, Version, 10)
		asked := 0
		o := Options{Dir: t.TempDir(), Platform: testPlatform, pins: pinned(Version, data), Transport: transport(func(r *http.Request) (*http.Response, error) {
			asked++
			return &http.Response{Status: "200 OK", StatusCode: http.StatusOK, Body: &trickle{r.Context(), data, 59 * time.Second}, ContentLength: int64(len(data)), Header: http.Header{}}, nil
		})}
		if _, err := Run(t.Context(), o); err != nil || asked != 1 {
			t.Errorf("%d attempts: %v", asked, err)
		}
	})
}
