package answer_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/answer"
)

// client is a ResponseWriter whose client reads nothing until open is closed.
type client struct {
	header http.Header
	status int
	body   bytes.Buffer
	open   chan struct{}

	mu      sync.Mutex
	aborted chan struct{}
}

func newClient() *client {
	return &client{header: http.Header{}, open: make(chan struct{}), aborted: make(chan struct{})}
}

func (c *client) Header() http.Header    { return c.header }
func (c *client) WriteHeader(status int) { c.status = status }

func (c *client) Write(p []byte) (int, error) {
	select {
	case <-c.aborted:
		return 0, os.ErrDeadlineExceeded
	case <-c.open:
		return c.body.Write(p)
	}
}

func (c *client) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !t.IsZero() && t.Before(time.Now()) {
		close(c.aborted)
	}
	return nil
}

func (c *client) isAborted() bool {
	select {
	case <-c.aborted:
		return true
	default:
		return false
	}
}

func request(h http.Handler, w http.ResponseWriter, header ...string) {
	r := httptest.NewRequest("GET", "/", nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	h.ServeHTTP(w, r)
}

// stalledClient sends a request of a client that reads nothing.
func stalledClient(h http.Handler) *client {
	c := newClient()
	go request(h, c)
	synctest.Wait()
	return c
}

func TestConcurrentRequestsShareOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		builds := 0
		s := answer.NewSource(answer.SourceOptions[struct{}]{
			Store: answer.NewStore(answer.Options{MaxBytes: 1 << 20, MaxReaders: 1000}), ContentType: "text/plain",
			Make: func(_ struct{}, w io.Writer) error {
				builds++
				text := fmt.Sprint("answer ", builds)
				time.Sleep(time.Second)
				_, err := io.WriteString(w, text)
				return err
			},
		})
		var wg sync.WaitGroup
		first, rest := httptest.NewRecorder(), make([]*httptest.ResponseRecorder, 100)
		wg.Go(func() { request(s, first) })
		synctest.Wait()
		for i := range rest { // they may know of a change that the first answer does not contain
			rest[i] = httptest.NewRecorder()
			wg.Go(func() { request(s, rest[i]) })
		}
		wg.Wait()
		if got := first.Body.String(); got != "answer 1" {
			t.Errorf("the first got %q", got)
		}
		for _, w := range rest {
			if got := w.Body.String(); got != "answer 2" {
				t.Fatalf("one got %q", got)
			}
		}
		last := httptest.NewRecorder()
		if request(s, last); last.Body.String() != "answer 3" {
			t.Errorf("an answer was cached: %q", last.Body)
		}
	})
}

func TestAnswerIsValidUntilItsSourceChanges(t *testing.T) {
	for name, tt := range map[string]struct {
		size   int
		builds int
	}{"small": {100, 1}, "large": {2 << 20, 3}} {
		t.Run(name, func(t *testing.T) {
			from, builds := 1, 0
			s := answer.NewSource(answer.SourceOptions[int]{
				Store: answer.NewStore(answer.Options{MaxBytes: 64 << 20, MaxReaders: 1000}), ContentType: "text/plain",
				Current: func() int { return from },
				Make: func(from int, w io.Writer) error {
					builds++
					_, err := w.Write(bytes.Repeat([]byte{byte('0' + from)}, tt.size))
					return err
				},
				Tag: func(from int) string { return strconv.Quote(strconv.Itoa(from)) },
			})
			for range 3 {
				w := httptest.NewRecorder()
				if request(s, w); w.Body.Len() != tt.size || w.Body.Bytes()[0] != '1' || w.Header().Get("ETag") != `"1"` {
					t.Errorf("%d bytes, %v", w.Body.Len(), w.Header())
				}
			}
			if builds != tt.builds {
				t.Errorf("made %d times, want %d", builds, tt.builds)
			}
			from = 2
			w := httptest.NewRecorder()
			if request(s, w, "If-None-Match", `"1"`); w.Code != 200 || w.Body.Bytes()[0] != '2' {
				t.Errorf("after a change: %d", w.Code)
			}
			w = httptest.NewRecorder()
			if request(s, w, "If-None-Match", `"7", W/"2"`); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
				t.Errorf("without a change: %d", w.Code)
			}
		})
	}
}

// uncachedSource makes a new answer for each request.
func uncachedSource(o answer.Options, size int, builds *int) *answer.Source[struct{}] {
	return answer.NewSource(answer.SourceOptions[struct{}]{
		Store: answer.NewStore(o), ContentType: "text/plain",
		Make: func(_ struct{}, w io.Writer) error {
			*builds++
			_, err := w.Write(make([]byte, size))
			return err
		},
	})
}

func TestOldAnswersAreEvictedForNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		builds := 0
		s := uncachedSource(answer.Options{MaxBytes: 4 << 20, MaxReaders: 1000}, 1<<20, &builds)
		var clients []*client
		for range 10 {
			clients = append(clients, stalledClient(s))
			time.Sleep(2 * time.Second)
		}
		if builds != 10 {
			t.Errorf("made %d answers, want 10", builds)
		}
		for i, c := range clients {
			if want := i < 6; c.isAborted() != want {
				t.Errorf("client %d is cut off: %t", i, c.isAborted())
			}
			if close(c.open); i >= 6 {
				synctest.Wait()
				if c.body.Len() != 1<<20 {
					t.Errorf("client %d got %d bytes", i, c.body.Len())
				}
			}
		}
	})
}

// While slow clients hold much memory, an answer is shared for a second, because each new one would take more.
func TestAnswersAreSharedUnderPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		builds := 0
		s := uncachedSource(answer.Options{MaxBytes: 4 << 20, MaxReaders: 1000}, 1<<20, &builds)
		var clients []*client
		for range 300 {
			clients = append(clients, stalledClient(s))
			time.Sleep(10 * time.Millisecond)
		}
		if builds > 6 {
			t.Errorf("%d answers were made in 3 s", builds)
		}
		for _, c := range clients {
			close(c.open)
		}
	})
}

func TestReadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		builds := 0
		s := uncachedSource(answer.Options{MaxBytes: 1 << 20, MaxReaders: 2}, 10, &builds)
		first := stalledClient(s)
		time.Sleep(answer.StallTime / 2)
		second := stalledClient(s)
		w := httptest.NewRecorder()
		if request(s, w); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("one too many: %d %v", w.Code, w.Header())
		}
		time.Sleep(answer.StallTime / 2)
		w = httptest.NewRecorder()
		if request(s, w); w.Code != http.StatusOK || !first.isAborted() || second.isAborted() {
			t.Errorf("%d; the first is cut off: %t, the second: %t", w.Code, first.isAborted(), second.isAborted())
		}
		close(first.open)
		close(second.open)
	})
}

func TestCompression(t *testing.T) {
	page := strings.Repeat("up 1\n", 100_000)
	store := answer.NewStore(answer.Options{MaxBytes: 1 << 20, MaxReaders: 10})
	source := answer.NewSource(answer.SourceOptions[struct{}]{
		Store: store, ContentType: "text/plain", Compress: true,
		Make: func(_ struct{}, w io.Writer) error { _, err := io.WriteString(w, page); return err },
	})
	encoded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := store.Encode(r, "text/plain", strings.NewReader(page))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Release()
		a.Send(w)
	})
	for name, h := range map[string]http.Handler{"shared": source, "own": encoded} {
		for accept, compressed := range map[string]bool{
			"": false, "gzip": true, "GZIP": true, "*": true, "deflate, gzip;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0": false,
			"br": false, "gzip;q=nonsense": false, "identity;q=1": false,
		} {
			for range 2 { // the second one reuses the first one's memory
				w := httptest.NewRecorder()
				request(h, w, "Accept-Encoding", accept)
				if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) || w.Header().Get("Vary") != "Accept-Encoding" {
					t.Errorf("%s, %q: %v of %d bytes", name, accept, w.Header(), w.Body.Len())
				}
				var body io.Reader = w.Body
				if (w.Header().Get("Content-Encoding") == "gzip") != compressed {
					t.Errorf("%s, %q: Content-Encoding %q", name, accept, w.Header().Get("Content-Encoding"))
					continue
				}
				if compressed {
					var err error
					if body, err = gzip.NewReader(body); err != nil {
						t.Fatal(err)
					}
				}
				if got, err := io.ReadAll(body); err != nil || string(got) != page {
					t.Errorf("%s, %q: the page came back as %d bytes, %v", name, accept, len(got), err)
				}
			}
		}
	}
}

func TestFailedBuildIsAnsweredWith500(t *testing.T) {
	for name, fail := range map[string]func() error{"error": func() error { return errors.New("no luck") }, "panic": func() error { panic("no luck") }} {
		s := answer.NewSource(answer.SourceOptions[struct{}]{
			Store: answer.NewStore(answer.Options{MaxBytes: 1 << 20, MaxReaders: 10}), ContentType: "text/plain",
			Make: func(struct{}, io.Writer) error { return fail() },
		})
		w := httptest.NewRecorder()
		if request(s, w); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "no luck") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// The handler returns when its answer is complete, not when the client has read it.
func TestHandlerReturnsBeforeTheAnswerIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := answer.NewStore(answer.Options{MaxBytes: 1 << 20, MaxReaders: 10})
		inside := 0
		h := store.Buffer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inside++
			defer func() { inside-- }()
			w.Header().Set("Content-Type", "text/odd")
			w.WriteHeader(http.StatusTeapot)
			for range 10 {
				_, _ = w.Write(make([]byte, 50_000))
				_ = http.NewResponseController(w).Flush()
			}
		}), answer.StreamOptions{})
		c := stalledClient(h)
		if inside != 0 {
			t.Error("the handler is still running while the client reads nothing")
		}
		close(c.open)
		synctest.Wait()
		if c.status != http.StatusTeapot || c.body.Len() != 500_000 || c.header.Get("Content-Type") != "text/odd" || c.header.Get("Content-Length") != "500000" {
			t.Errorf("%d, %d bytes, %v", c.status, c.body.Len(), c.header)
		}
	})
}

// An answer that is too large to be buffered is sent while it is made.
func TestVeryLargeAnswerIsStreamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := answer.NewStore(answer.Options{MaxBytes: 1 << 20, MaxReaders: 10})
		builds := 0
		h := store.Buffer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for ; builds < 40; builds++ {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		}), answer.StreamOptions{})
		c := stalledClient(h)
		if builds != 16 {
			t.Errorf("%d MiB were made for a client that takes nothing", builds)
		}
		close(c.open)
		synctest.Wait()
		if c.status != http.StatusOK || c.body.Len() != 40<<20 {
			t.Errorf("%d, %d bytes", c.status, c.body.Len())
		}
	})
}
