package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

// stream is a hand-held server: it answers one request over a pipe with an event stream that the test writes.
func stream(t *testing.T, write func(w io.Writer)) *client.Client {
	t.Helper()
	hc := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer func() { _ = far.Close() }()
				buf := make([]byte, 4096)
				if _, err := far.Read(buf); err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, far) }()
				say(far, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
				write(far)
			}()
			return near, nil
		},
	}}
	return newClient(t, client.Options{BaseURL: "http://server", Token: "cred", HTTPClient: hc})
}

// say writes text to a stream that may have ended.
func say(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

func TestWatchDeliversMappingEventsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stream(t, func(w io.Writer) {
			say(w, ": hello\n\nevent: mapping\nid: 1\ndata: {\"generation\":1,\"document\":{\"b\":1,\"a\":2}}\n\n")
			say(w, "event: of-a-newer-server\ndata: whatever\n\n")
			say(w, "event: mapping\r\ndata: {\"generation\":2,\r\ndata: \"default\":true}\r\n\r\n")
			say(w, "event: mapping\ndata: {\"generation\":3")
		})
		var got []wire.MappingEvent
		err := c.Watch(t.Context(), 1, -1, client.Events{Mapping: func(ev wire.MappingEvent) error {
			got = append(got, ev)
			return nil
		}})
		want := []wire.MappingEvent{{Generation: 1, Document: []byte(`{"b":1,"a":2}`)}, {Generation: 2, Default: true}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if e, ok := errors.AsType[*client.Error](err); !ok || !strings.Contains(e.Error(), "ended the stream") {
			t.Errorf("error = %v", err)
		}
	})
}

func TestWatchTakesSilenceForDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stream(t, func(w io.Writer) {
			for range 4 { // a live server pings
				time.Sleep(15 * time.Second)
				say(w, ": ping\n\n")
			}
			time.Sleep(time.Hour)
		})
		start := time.Now()
		err := c.Watch(t.Context(), 1, 0, client.Events{})
		if err == nil || !strings.Contains(err.Error(), "nothing was heard for 45s") {
			t.Errorf("error = %v", err)
		}
		if got, want := time.Since(start), 105*time.Second; got != want {
			t.Errorf("gave up after %s, want %s", got, want)
		}
		time.Sleep(time.Hour) // lets the server's end go
	})
}

func TestWatchGivesSlowHandlersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stream(t, func(w io.Writer) {
			say(w, "event: mapping\ndata: {\"generation\":1}\n\n")
			time.Sleep(80 * time.Second)
			say(w, "event: mapping\ndata: {\"generation\":2}\n\n")
		})
		var got []int64
		err := c.Watch(t.Context(), 1, 0, client.Events{Mapping: func(ev wire.MappingEvent) error {
			got = append(got, ev.Generation)
			time.Sleep(70 * time.Second)
			return nil
		}})
		if diff := cmp.Diff([]int64{1, 2}, got); diff != "" {
			t.Errorf("%s\n%v", diff, err)
		}
	})
}

func TestWatchEndsWithItsContextAndItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		defer close(done)
		c := stream(t, func(w io.Writer) {
			say(w, "event: mapping\ndata: {\"generation\":1}\n\n")
			<-done
		})
		boom := errors.New("boom")
		if err := c.Watch(t.Context(), 1, 0, client.Events{Mapping: func(wire.MappingEvent) error { return boom }}); !errors.Is(err, boom) {
			t.Errorf("error = %v, want the handler's", err)
		}
		stop := errors.New("told to stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stop) })
		if err := c.Watch(ctx, 1, 0, client.Events{Mapping: func(wire.MappingEvent) error { return nil }}); !errors.Is(err, stop) {
			t.Errorf("error = %v, want the context's cause", err)
		}
	})
}

func TestWatchIsBounded(t *testing.T) {
	c := stream(t, func(w io.Writer) {
		say(w, "event: mapping\ndata: ")
		chunk := strings.Repeat("x", 1<<20)
		for range 16 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	})
	err := c.Watch(t.Context(), 1, 0, client.Events{})
	if err == nil || !strings.Contains(err.Error(), "8388608 bytes") {
		t.Errorf("error = %v", err)
	}
}

func TestWatchDeliversDryRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stream(t, func(w io.Writer) {
			say(w, "event: dry-run\ndata: {\"id\":\"a\",\"timeout_ms\":10000,\"document\":{\"b\":1}}\n\n")
			say(w, "event: mapping\ndata: {\"generation\":1}\n\n")
		})
		for _, knows := range []bool{true, false} { // one that doesn't is a worker of before
			var got []string
			events := client.Events{Mapping: func(wire.MappingEvent) error {
				got = append(got, "mapping")
				return nil
			}}
			if knows {
				events.DryRun = func(ev wire.DryRunEvent) error {
					got = append(got, ev.ID+string(ev.Document))
					return nil
				}
			}
			err := c.Watch(t.Context(), 1, -1, events)
			want := []string{"mapping"}
			if knows {
				want = []string{"a{\"b\":1}", "mapping"}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\n%v", diff, err)
			}
		}
	})
}

func TestWatchDeliversRequestsForChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stream(t, func(w io.Writer) {
			say(w, "event: check\ndata: {\"id\":\"a\",\"timeout_ms\":7000,\"log\":true}\n\n")
			say(w, "event: check\ndata: {\"id\":7}\n\n")
		})
		var got []wire.CheckEvent
		err := c.Watch(t.Context(), 1, -1, client.Events{Check: func(ev wire.CheckEvent) error {
			got = append(got, ev)
			return nil
		}})
		if diff := cmp.Diff([]wire.CheckEvent{{ID: "a", TimeoutMillis: 7000, Log: true}}, got); diff != "" {
			t.Error(diff)
		}
		if e, ok := errors.AsType[*client.Error](err); !ok || !strings.Contains(e.Detail, "check event") {
			t.Errorf("a malformed one: %v", err)
		}
	})
}

// A worker that knows its document says so; the first stream after a registration does not.
func TestWatchSaysTheDocument(t *testing.T) {
	for document, want := range map[string]string{"": "generation=3", "abc": "document=abc&generation=3"} {
		var got string
		hc := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			got = r.URL.RawQuery
			return nil, errors.New("unplugged")
		})}
		c := newClient(t, client.Options{BaseURL: "http://server", Token: "cred", HTTPClient: hc})
		if err := c.Watch(t.Context(), 1, 3, client.Events{Document: document}); err == nil {
			t.Error("Watch returned no error")
		}
		if got != want {
			t.Errorf("document %q is asked for by %s, want %s", document, got, want)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
