package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// room returns what is left of a fetcher's budget and whether nobody holds or waits for any of it.
func room(f *Fetcher) (free int64, idle bool) {
	f.large.mu.Lock()
	defer f.large.mu.Unlock()
	return f.large.free, f.large.holders == 0 && len(f.large.waiting) == 0
}

func full(t *testing.T, f *Fetcher) {
	t.Helper()
	if free, idle := room(f); free != f.max || !idle {
		t.Errorf("%d bytes of the budget are left, idle %v", free, idle)
	}
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		x, y, z := &share{budget: b}, &share{budget: b}, &share{budget: b}
		grow := func(s *share, n int64, want error) {
			t.Helper()
			if err := s.grow(short, n); !errors.Is(err, want) {
				t.Errorf("grow %d: got %v, want %v", n, err, want)
			}
		}
		grow(x, 6, nil)
		grow(y, 3, nil)
		start := time.Now()
		grow(z, 2, errNoRoom) // x and y are being translated and do not ask for more
		if took := time.Since(start); took != time.Second {
			t.Errorf("waited %s", took)
		}
		gone, cancelled := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancelled)
		if err := z.grow(gone, 2); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: got %v", err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := z.grow(t.Context(), 4); err != nil {
				t.Errorf("got %v for what x gave back", err)
			}
		})
		synctest.Wait()
		x.release()
		x.release()
		wg.Wait()
		y.release()
		z.release()
		if b.free != 10 || b.holders != 0 || len(b.waiting) != 0 {
			t.Errorf("%d bytes are left, %d hold, %d wait", b.free, b.holders, len(b.waiting))
		}
	})
}

// Pages that wait for each other would all wait until their deadlines, every time.
func TestLargestPageGivesUpWhereAllWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10)
		x, y := &share{budget: b}, &share{budget: b}
		ctx := t.Context()
		if x.grow(ctx, 4) != nil || y.grow(ctx, 5) != nil {
			t.Fatal("no room")
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := y.grow(ctx, 2); !errors.Is(err, errNoRoom) {
				t.Errorf("the larger one got %v", err)
			}
			y.release()
		})
		synctest.Wait()
		if err := x.grow(ctx, 6); err != nil {
			t.Errorf("the smaller one got %v", err)
		}
		wg.Wait()
		x.release()
		if b.free != 10 || b.holders != 0 {
			t.Errorf("%d bytes are left, %d hold", b.free, b.holders)
		}
	})
}

func TestBudgetUnderManyPages(t *testing.T) {
	b := newBudget(100)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(300))*time.Microsecond)
				s := &share{budget: b}
				for range 4 {
					if s.grow(ctx, 1+rand.Int64N(20)) != nil {
						break
					}
				}
				s.release()
				cancel()
			}
		})
	}
	wg.Wait()
	if b.free != 100 || b.holders != 0 || len(b.waiting) != 0 {
		t.Errorf("%d are left, %d hold, %d wait", b.free, b.holders, len(b.waiting))
	}
}

// repeat is a page of the same text over and over, piece by piece with a pause before each.
type repeat struct {
	ctx   context.Context
	text  string
	pause time.Duration
	left  int64 // negative: endless
}

func (r *repeat) Read(b []byte) (int, error) {
	if r.pause > 0 {
		select {
		case <-time.After(r.pause):
			b = b[:min(len(b), 1)]
		case <-r.ctx.Done():
		}
	}
	switch {
	case r.ctx.Err() != nil:
		return 0, r.ctx.Err()
	case r.left == 0:
		return 0, io.EOF
	case r.left > 0:
		b = b[:min(int64(len(b)), r.left)]
		r.left -= int64(len(b))
	}
	for n := 0; n < len(b); {
		n += copy(b[n:], r.text)
	}
	return len(b), nil
}

// pages answers for hosts without a network.
type pages map[string]func(ctx context.Context) (body io.Reader, size int64)

func (p pages) RoundTrip(r *http.Request) (*http.Response, error) {
	body, size := p[r.URL.Hostname()](r.Context())
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: size, Request: r}, nil
}

func endless(text string, pause time.Duration, announced int64) func(context.Context) (io.Reader, int64) {
	return func(ctx context.Context) (io.Reader, int64) {
		return &repeat{ctx: ctx, text: text, pause: pause, left: -1}, announced
	}
}

func text(s string) func(context.Context) (io.Reader, int64) {
	return func(context.Context) (io.Reader, int64) { return strings.NewReader(s), int64(len(s)) }
}

func TestHostilePages(t *testing.T) {
	const limit = 4 * time.Second
	hosts := pages{
		"good":      text(vllmPage),
		"large":     text(strings.Repeat("vllm:x 1\n", 300_000)),
		"line":      endless("a", 0, -1),
		"gigabytes": endless("vllm:x 1\n", 0, 4<<30),
		"chunked":   endless("vllm:x 1\n", 0, -1),
		"drip":      endless("vllm:x 1\n", 100*time.Millisecond, 15<<20),
		"zeros":     text(strings.Repeat("\x00", 3<<20)),
		"bytes":     text(strings.Repeat("\xff\xfe a\n", 1<<19)),
		"name":      text(strings.Repeat("n", 1<<20) + " 1\n"),
		"labels":    text("x{" + strings.Repeat(`a="b",`, 1_000_000) + "} 1\n"),
	}
	want := map[string]string{
		"line": "more than 16 MiB", "gigabytes": "more than 16 MiB", "chunked": "more than 16 MiB",
		"drip": "no complete answer before the scrape's deadline", "zeros": "*", "bytes": "*", "name": "*", "labels": "*",
	}
	synctest.Test(t, func(t *testing.T) {
		f := New(Options{Transport: hosts})
		for range 3 {
			var wg sync.WaitGroup
			for host := range hosts {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					start := time.Now()
					page, err := f.Fetch(ctx, target(t, "http://"+host))
					defer page.Release()
					if took := time.Since(start); took > limit {
						t.Errorf("%s: took %s", host, took)
					}
					if _, ok := errors.AsType[*Error](err); err != nil && !ok {
						t.Errorf("%s: %T is no *Error", host, err)
					}
					switch w, hostile := want[host]; {
					case w == "*": // as it likes
					case err != nil && strings.Contains(err.Error(), errNoRoom.Error()) && host != "good" && host != "drip":
					case hostile && (err == nil || !strings.Contains(err.Error(), w)), !hostile && err != nil:
						t.Errorf("%s: got %v, want %q", host, err, w)
					}
				})
			}
			wg.Wait()
			full(t, f)
		}
	})
}

// A page that is announced as large and does not come holds nothing.
func TestSlowPageLeavesRoomToOthers(t *testing.T) {
	large := bytes.Repeat([]byte("vllm:x 1\n"), 1_600_000) // 14 MB
	hosts := pages{"large": text(string(large))}
	for _, h := range []string{"a", "b", "c", "d"} {
		hosts[h] = endless("vllm:x 1\n", time.Millisecond, 15<<20)
	}
	synctest.Test(t, func(t *testing.T) {
		f := New(Options{Transport: hosts})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for h := range hosts {
			wg.Go(func() {
				page, err := f.Fetch(ctx, target(t, "http://"+h))
				if h == "large" && (err != nil || !bytes.Equal(page.Body, large)) {
					t.Errorf("got %d bytes, %v", len(page.Body), err)
				}
				page.Release()
			})
		}
		wg.Wait()
		full(t, f)
	})
}

func TestLargePagesWaitForEachOther(t *testing.T) {
	large := text(strings.Repeat("vllm:x 1\n", 1_600_000))
	hosts := pages{"a": large, "b": large, "c": large}
	synctest.Test(t, func(t *testing.T) {
		f := New(Options{Transport: hosts})
		held, err := f.Fetch(t.Context(), target(t, "http://a"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = f.Fetch(ctx, target(t, "http://b"))
		const want = "answered with a page of more than 1 MiB while other pages take all the memory for large pages: are the URLs"
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v", err)
		}
		time.AfterFunc(time.Minute, held.Release)
		page, err := f.Fetch(t.Context(), target(t, "http://c"))
		if err != nil {
			t.Errorf("with time: %v", err)
		}
		page.Release()
		full(t, f)
		if buf, _ := f.buffers.Get().(*[]byte); buf != nil && cap(*buf) > smallPageBytes {
			t.Errorf("a buffer of %d bytes is kept", cap(*buf))
		}
	})
}

// A page of exactly the limit is taken, one with a byte more is not, whatever is known of its size before.
func TestPageOfTheLimit(t *testing.T) {
	for _, limit := range []int64{100, firstBufferBytes, smallPageBytes - 1, smallPageBytes, smallPageBytes + 1, largeStep + smallPageBytes, 3*largeStep + 7} {
		for _, more := range []int64{-1, 0, 1} {
			for _, announced := range []bool{true, false} {
				page := bytes.Repeat([]byte("#"), int(limit+more))
				synctest.Test(t, func(t *testing.T) {
					f := New(Options{MaxPageBytes: limit, Transport: pages{"a": func(context.Context) (io.Reader, int64) {
						if announced {
							return bytes.NewReader(page), int64(len(page))
						}
						return bytes.NewReader(page), -1
					}}})
					got, err := f.Fetch(t.Context(), target(t, "http://a"))
					if (err == nil) != (more <= 0) || err == nil && !bytes.Equal(got.Body, page) {
						t.Errorf("limit %d, %d bytes, announced %t: got %d, %v", limit, len(page), announced, len(got.Body), err)
					}
					got.Release()
					full(t, f)
				})
			}
		}
	}
}
