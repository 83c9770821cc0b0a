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

// client is one that takes nothing until it is opened.
type client struct {
	header http.Header
	status int
	body   bytes.Buffer
	open   chan struct{}

	mu  sync.Mutex
	cut chan struct{}
}

func newClient() *client {
	return &client{header: http.Header{}, open: make(chan struct{}), cut: make(chan struct{})}
}

func (c *client) Header() http.Header    { return c.header }
func (c *client) WriteHeader(status int) { c.status = status }

func (c *client) Write(p []byte) (int, error) {
	select {
	case <-c.cut:
		return 0, os.ErrDeadlineExceeded
	case <-c.open:
		return c.body.Write(p)
	}
}

func (c *client) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !t.IsZero() && t.Before(time.Now()) {
		close(c.cut)
	}
	return nil
}

func (c *client) isCut() bool {
	select {
	case <-c.cut:
		return true
	default:
		return false
	}
}

func ask(h http.Handler, w http.ResponseWriter, header ...string) {
	r := httptest.NewRequest("GET", "/", nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	h.ServeHTTP(w, r)
}

// stall lets a client ask that takes nothing.
func stall(h http.Handler) *client {
	c := newClient()
	go ask(h, c)
	synctest.Wait()
	return c
}

func TestAllWhoAskMeanwhileShareOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		s := answer.NewSource(answer.SourceOptions[struct{}]{
			Store: answer.NewStore(answer.Options{MaxBytes: 1 << 20, MaxReaders: 1000}), ContentType: "text/plain",
			Make: func(_ struct{}, w io.Writer) error {
				made++
				text := fmt.Sprint("answer ", made)
				time.Sleep(time.Second)
				_, err := io.WriteString(w, text)
				return err
			},
		})
		var wg sync.WaitGroup
		first, rest := httptest.NewRecorder(), make([]*httptest.ResponseRecorder, 100)
		wg.Go(func() { ask(s, first) })
		synctest.Wait()
		for i := range rest { // they may know of a change that the first answer has missed
			rest[i] = httptest.NewRecorder()
			wg.Go(func() { ask(s, rest[i]) })
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
		if ask(s, last); last.Body.String() != "answer 3" {
			t.Errorf("an answer was kept: %q", last.Body)
		}
	})
}

func TestAnswerHoldsAsLongAsWhatItIsMadeFrom(t *testing.T) {
	for name, tt := range map[string]struct {
		size int
		made int
	}{"small": {100, 1}, "large": {2 << 20, 3}} {
		t.Run(name, func(t *testing.T) {
			from, made := 1, 0
			s := answer.NewSource(answer.SourceOptions[int]{
				Store: answer.NewStore(answer.Options{MaxBytes: 64 << 20, MaxReaders: 1000}), ContentType: "text/plain",
				Current: func() int { return from },
				Make: func(from int, w io.Writer) error {
					made++
					_, err := w.Write(bytes.Repeat([]byte{byte('0' + from)}, tt.size))
					return err
				},
				Tag: func(from int) string { return strconv.Quote(strconv.Itoa(from)) },
			})
			for range 3 {
				w := httptest.NewRecorder()
				if ask(s, w); w.Body.Len() != tt.size || w.Body.Bytes()[0] != '1' || w.Header().Get("ETag") != `"1"` {
					t.Errorf("%d bytes, %v", w.Body.Len(), w.Header())
				}
			}
			if made != tt.made {
				t.Errorf("made %d times, want %d", made, tt.made)
			}
			from = 2
			w := httptest.NewRecorder()
			if ask(s, w, "If-None-Match", `"1"`); w.Code != 200 || w.Body.Bytes()[0] != '2' {
				t.Errorf("after a change: %d", w.Code)
			}
			w = httptest.NewRecorder()
			if ask(s, w, "If-None-Match", `"7", W/"2"`); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
				t.Errorf("without a change: %d", w.Code)
			}
		})
	}
}

// momentary is a source of answers that are never the same.
func momentary(o answer.Options, size int, made *int) *answer.Source[struct{}] {
	return answer.NewSource(answer.SourceOptions[struct{}]{
		Store: answer.NewStore(o), ContentType: "text/plain",
		Make: func(_ struct{}, w io.Writer) error {
			*made++
			_, err := w.Write(make([]byte, size))
			return err
		},
	})
}

func TestOldAnswersAreGivenUpForNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		s := momentary(answer.Options{MaxBytes: 4 << 20, MaxReaders: 1000}, 1<<20, &made)
		var clients []*client
		for range 10 {
			clients = append(clients, stall(s))
			time.Sleep(2 * time.Second)
		}
		if made != 10 {
			t.Errorf("made %d answers, want 10", made)
		}
		for i, c := range clients {
			if want := i < 6; c.isCut() != want {
				t.Errorf("client %d is cut off: %t", i, c.isCut())
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

// While slow clients hold much, an answer is shared for a second: else each request would cost one.
func TestAnswersAreSharedUnderPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		s := momentary(answer.Options{MaxBytes: 4 << 20, MaxReaders: 1000}, 1<<20, &made)
		var clients []*client
		for range 300 {
			clients = append(clients, stall(s))
			time.Sleep(10 * time.Millisecond)
		}
		if made > 6 {
			t.Errorf("%d answers were made in 3 s", made)
		}
		for _, c := range clients {
			close(c.open)
		}
	})
}

func TestReadersHaveABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		s := momentary(answer.Options{MaxBytes: 1 << 20, MaxReaders: 2}, 10, &made)
		first := stall(s)
		time.Sleep(answer.PatientTime / 2)
		second := stall(s)
		w := httptest.NewRecorder()
		if ask(s, w); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("one too many: %d %v", w.Code, w.Header())
		}
		time.Sleep(answer.PatientTime / 2)
		w = httptest.NewRecorder()
		if ask(s, w); w.Code != http.StatusOK || !first.isCut() || second.isCut() {
			t.Errorf("%d; the first is cut off: %t, the second: %t", w.Code, first.isCut(), second.isCut())
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
	own := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := store.Take(r, "text/plain", strings.NewReader(page))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Release()
		a.Send(w)
	})
	for name, h := range map[string]http.Handler{"shared": source, "own": own} {
		for accept, compressed := range map[string]bool{
			"": false, "gzip": true, "GZIP": true, "*": true, "deflate, gzip;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0": false,
			"br": false, "gzip;q=nonsense": false, "identity;q=1": false,
		} {
			for range 2 { // the second one reuses the first one's memory
				w := httptest.NewRecorder()
				ask(h, w, "Accept-Encoding", accept)
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

func TestFailureIsToldToAllWhoWait(t *testing.T) {
	for name, fail := range map[string]func() error{"error": func() error { return errors.New("no luck") }, "panic": func() error { panic("no luck") }} {
		s := answer.NewSource(answer.SourceOptions[struct{}]{
			Store: answer.NewStore(answer.Options{MaxBytes: 1 << 20, MaxReaders: 10}), ContentType: "text/plain",
			Make: func(struct{}, io.Writer) error { return fail() },
		})
		w := httptest.NewRecorder()
		if ask(s, w); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "no luck") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// A handler is done when its answer is made, not when the answer has been read.
func TestWholeAnswerNeedsNoHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := answer.NewStore(answer.Options{MaxBytes: 1 << 20, MaxReaders: 10})
		inside := 0
		h := store.Whole(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inside++
			defer func() { inside-- }()
			w.Header().Set("Content-Type", "text/odd")
			w.WriteHeader(http.StatusTeapot)
			for range 10 {
				_, _ = w.Write(make([]byte, 50_000))
				_ = http.NewResponseController(w).Flush()
			}
		}), answer.Passing{})
		c := stall(h)
		if inside != 0 {
			t.Error("the handler waits for the client")
		}
		close(c.open)
		synctest.Wait()
		if c.status != http.StatusTeapot || c.body.Len() != 500_000 || c.header.Get("Content-Type") != "text/odd" || c.header.Get("Content-Length") != "500000" {
			t.Errorf("%d, %d bytes, %v", c.status, c.body.Len(), c.header)
		}
	})
}

// What is too large to be kept goes to the client as it is made.
func TestVeryLargeAnswerIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := answer.NewStore(answer.Options{MaxBytes: 1 << 20, MaxReaders: 10})
		made := 0
		h := store.Whole(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for ; made < 40; made++ {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		}), answer.Passing{})
		c := stall(h)
		if made != 16 {
			t.Errorf("%d MiB were made for a client that takes nothing", made)
		}
		close(c.open)
		synctest.Wait()
		if c.status != http.StatusOK || c.body.Len() != 40<<20 {
			t.Errorf("%d, %d bytes", c.status, c.body.Len())
		}
	})
}
