package api_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/api"
)

// openChanges opens a stream of changes.
func openChanges(t *testing.T, c *http.Client, wantStatus int) *watchStream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", "http://x/v2/watch", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = resp.Body.Close() })
	if resp.StatusCode != wantStatus {
		t.Fatalf("%s %v, want %d", resp.Status, resp.Header, wantStatus)
	}
	if wantStatus == http.StatusOK && (resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store") {
		t.Errorf("%v", resp.Header)
	}
	if wantStatus == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "10" {
		t.Errorf("%v", resp.Header)
	}
	return &watchStream{bufio.NewScanner(resp.Body), cancel}
}

func TestChangesAreSentOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		start := time.Now()
		h.inventory.change(start)
		tag := func() string {
			return strings.Trim(h.do(request("GET", "/v2/workers", "")).Header().Get("ETag"), `"`)
		}
		stream := openChanges(t, serve(t, h), http.StatusOK)
		want := func(after time.Duration, event string) {
			t.Helper()
			if got := stream.next(); got != event || time.Since(start) != after {
				t.Errorf("%q after %s, want %q after %s", got, time.Since(start), event, after)
			}
		}
		changed := func() string { return `event: changed|data: {"tag":"` + tag() + `"}` }
		want(0, changed())
		for range 5 { // several changes within the second are one event
			time.Sleep(100 * time.Millisecond)
			h.inventory.change(time.Now())
		}
		want(time.Second, changed())
		time.Sleep(2 * time.Second)
		h.inventory.change(time.Now())
		want(3*time.Second, changed())
		want(15*time.Second, ": ping")
	})
}

func TestChangesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		c := serve(t, h)
		left, stream := openChanges(t, c, http.StatusOK), openChanges(t, c, http.StatusOK)
		_, _ = left.next(), stream.next()
		left.cancel()
		synctest.Wait()
		h.inventory.mu.Lock()
		n := len(h.inventory.subs)
		h.inventory.mu.Unlock()
		if n != 1 {
			t.Errorf("%d subscribers after one left", n)
		}
		h.EndStreams()
		if got := stream.next(); got != "" {
			t.Errorf("%q after the server stopped", got)
		}
		if got := openChanges(t, c, http.StatusOK).next(); got != "" && !strings.HasPrefix(got, "event: changed") {
			t.Errorf("%q", got)
		}
	})
}

// TestChangeStreamsAreBounded: a stream that ends gives its place to another.
func TestChangeStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, newAPI(t))
		const most = 256
		streams := make([]*watchStream, most)
		for i := range streams {
			streams[i] = openChanges(t, c, http.StatusOK)
		}
		openChanges(t, c, http.StatusServiceUnavailable)
		streams[7].cancel()
		synctest.Wait()
		openChanges(t, c, http.StatusOK)
		openChanges(t, c, http.StatusServiceUnavailable)
	})
}

// TestChangesOfSlowReaders: a client that takes nothing is cut off.
func TestChangesOfSlowReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		l := newPipeListener()
		srv := &http.Server{Handler: h}
		go func() { _ = srv.Serve(l) }()
		defer func() { _ = srv.Close() }()
		conn, err := l.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write([]byte("GET /v2/watch HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		h.inventory.mu.Lock()
		defer h.inventory.mu.Unlock()
		if n := len(h.inventory.subs); n != 0 {
			t.Errorf("%d streams are open to a client that reads nothing", n)
		}
	})
}

func TestChangesNeedTheRightToRead(t *testing.T) {
	h := newAPI(t, func(o *api.Options) { o.DisableAnonymousViewer = true })
	problemOf(t, h.do(request("GET", "/v2/watch", "")), http.StatusUnauthorized)
}
