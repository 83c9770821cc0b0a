package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/mapping"
)

// pipeListener hands out in-memory connections, which testing/synctest can see.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (l *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// serve serves h in memory until the test ends and returns a client for it.
func serve(t *testing.T, h http.Handler) *http.Client {
	t.Helper()
	l := newPipeListener()
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(l) }()
	tr := &http.Transport{DialContext: l.dial, DisableKeepAlives: true}
	t.Cleanup(func() {
		_ = srv.Close()
		tr.CloseIdleConnections()
	})
	return &http.Client{Transport: tr}
}

type watchStream struct {
	lines  *bufio.Scanner
	cancel func()
}

func openWatch(t *testing.T, c *http.Client, base string, worker, generation int64) *watchStream {
	t.Helper()
	return openWatchWith(t, c, base, worker, generation, "")
}

// openWatchWith opens the stream of a worker that says which document it has; "": it does not.
func openWatchWith(t *testing.T, c *http.Client, base string, worker, generation int64, document string) *watchStream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("%s/v2/workers/%d/watch?generation=%d&document=%s", base, worker, generation, document), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", fmt.Sprintf("Bearer cred-%d", worker))
	r.Header.Set("Accept", "text/event-stream")
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("watch: %s %v", resp.Status, resp.Header)
	}
	return &watchStream{bufio.NewScanner(resp.Body), cancel}
}

// next returns the next event's or comment's lines joined by "|", or "" at the stream's end.
func (s *watchStream) next() string {
	var lines []string
	for s.lines.Scan() {
		if s.lines.Text() == "" {
			return strings.Join(lines, "|")
		}
		lines = append(lines, s.lines.Text())
	}
	return ""
}

// mapping returns the next event or comment that is no dry run, with which a change begins.
func (s *watchStream) mapping() string {
	for {
		if text := s.next(); !strings.HasPrefix(text, "event: dry-run|") {
			return text
		}
	}
}

func TestWatchSendsWhatTheWorkerLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		c := serve(t, h)
		want := func(s *watchStream, event string) {
			t.Helper()
			if got := s.mapping(); got != event {
				t.Errorf("got %s, want %s", got, event)
			}
		}
		const first = `id: 1|event: mapping|data: {"generation":1,"document":` + smallMapping + `}`
		current := openWatch(t, c, "http://x", 1, 0)
		fresh := openWatch(t, c, "http://x", 2, -1)
		want(fresh, `id: 0|event: mapping|data: {"generation":0,"default":true}`)
		synctest.Wait()
		if st := h.set(t, smallMapping); st.Workers != 2 || st.Generation != 1 {
			t.Errorf("%+v", st)
		}
		want(current, first)
		want(fresh, first)
		fresh.cancel()
		synctest.Wait()
		if n := h.mapping.subscribers(); n != 1 {
			t.Errorf("%d subscribers after one left", n)
		}
		want(openWatch(t, c, "http://x", 2, 7), first) // the server's word is the truth, also a lower one
		if w := h.do(asAdmin(request("DELETE", "/v2/metrics/config", ""))); w.Code != 200 {
			t.Fatal(w.Body)
		}
		want(current, `id: 2|event: mapping|data: {"generation":2,"default":true}`)
	})
}

// A server with another built-in document has another effective document under the same number. Workers get it that have another one or
// don't say which one they have, at the beginning of a stream.
func TestWatchSendsAnotherDocumentOfTheSameGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		defer h.EndStreams()
		c := serve(t, h)
		h.set(t, `{"extends":"default","gpustack_metrics":{"acme:mine":{"type":"gauge"}}}`)
		effective := string(h.mapping.Current().Effective)
		if !strings.Contains(effective, `"acme:mine":{"type":"gauge"}`) || strings.Contains(effective, "extends") {
			t.Fatalf("the effective document is %.200s", effective)
		}
		overlay := `id: 1|event: mapping|data: {"generation":1,"document":` + effective + `}`
		for name, tt := range map[string]struct {
			generation int64
			document   string
			want       string
		}{
			"an older worker, with the same number": {1, "", overlay},
			"the same document":                     {1, mapping.Digest([]byte(effective)), ": ping"},
			"another document":                      {1, mapping.Digest([]byte(smallMapping)), overlay},
			"another number":                        {2, mapping.Digest([]byte(effective)), overlay},
			"no mapping":                            {-1, "", overlay},
		} {
			s := openWatchWith(t, c, "http://x", 1, tt.generation, tt.document)
			if got := s.next(); got != tt.want {
				t.Errorf("%s: %.100s, want %.100s", name, got, tt.want)
			}
			if got := s.next(); got != ": ping" {
				t.Errorf("%s, then: %.100s", name, got)
			}
		}
		h.set(t, smallMapping)
		for name, tt := range map[string]struct{ document, want string }{
			"an older worker, a document without extends": {"", ": ping"},
			"the same document":                           {mapping.Digest([]byte(smallMapping)), ": ping"},
			"another document":                            {mapping.Digest([]byte(effective)), `id: 2|event: mapping|data: {"generation":2,"document":` + smallMapping + `}`},
		} {
			if got := openWatchWith(t, c, "http://x", 1, 2, tt.document).next(); got != tt.want {
				t.Errorf("%s: %.100s, want %.100s", name, got, tt.want)
			}
		}
		if w := h.do(asAdmin(request("DELETE", "/v2/metrics/config", ""))); w.Code != 200 {
			t.Fatal(w.Body)
		}
		if got := openWatchWith(t, c, "http://x", 1, 3, "").next(); got != ": ping" {
			t.Errorf("the default again: %.100s", got)
		}
	})
}

func TestWatchPingsAndChecksTheCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		s := openWatch(t, serve(t, h), "http://x", 1, 0)
		start := time.Now()
		for i := range 3 {
			if got := s.next(); got != ": ping" || time.Since(start) != time.Duration(i+1)*15*time.Second {
				t.Errorf("%q after %s", got, time.Since(start))
			}
		}
		h.inventory.mu.Lock()
		h.inventory.removed = map[int64]bool{1: true} // as when the worker registers anew elsewhere
		h.inventory.mu.Unlock()
		if got := s.next(); got != "" || time.Since(start) != time.Minute {
			t.Errorf("%q after %s", got, time.Since(start))
		}
	})
}

func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		c := serve(t, h)
		start := time.Now()
		first := openWatch(t, c, "http://x", 1, 0)
		second := openWatch(t, c, "http://x", 1, 0)
		if got := first.next(); got != "" || time.Since(start) > 0 {
			t.Errorf("replaced stream: %q after %s", got, time.Since(start))
		}
		if w := h.do(asAdmin(request("DELETE", "/v2/workers/1", ""))); w.Code != 204 {
			t.Errorf("remove: %d %s", w.Code, w.Body)
		}
		if got := second.next(); got != "" || time.Since(start) > 0 {
			t.Errorf("removed worker's stream: %q after %s", got, time.Since(start))
		}
		third := openWatch(t, c, "http://x", 2, 0)
		h.EndStreams()
		h.EndStreams()
		if got := third.next(); got != "" || time.Since(start) > 0 {
			t.Errorf("at the server's end: %q after %s", got, time.Since(start))
		}
		synctest.Wait()
		if n := h.mapping.subscribers(); n != 0 {
			t.Errorf("%d subscribers are left", n)
		}
	})
}

// The stream of a worker that reads nothing ends.
func TestWatchEndsForStalledWorker(t *testing.T) {
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
		if _, err := io.WriteString(conn, "GET /v2/workers/1/watch?generation=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer cred-1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		if _, err := conn.Read(buf); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := h.mapping.subscribers(); n != 1 {
			t.Fatalf("%d subscribers", n)
		}
		time.Sleep(36 * time.Second) // ping after 15 s, write timeout 20 s later
		synctest.Wait()
		if n := h.mapping.subscribers(); n != 0 {
			t.Errorf("%d subscribers", n)
		}
	})
}

func TestWatchDeliversAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		defer h.EndStreams()
		s := openWatch(t, serve(t, h), "http://x", 1, 0)
		for i := range 50 {
			time.Sleep(100 * time.Millisecond)
			start := time.Now()
			if _, err := h.mapping.Publish(t.Context(), decoded(t, strings.Replace(smallMapping, "X.", fmt.Sprint(i), 1)), api.ChangeRequest{IfGeneration: api.AnyGeneration}); err != nil {
				t.Fatal(err)
			}
			if got := s.next(); !strings.HasPrefix(got, fmt.Sprintf("id: %d|", i+1)) {
				t.Fatalf("got %s", got)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("an event came %s after the change", took)
			}
		}
	})
}

func decoded(t *testing.T, text string) *mapping.Document {
	t.Helper()
	doc, err := mapping.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

var _ http.Handler = (*api.API)(nil)
