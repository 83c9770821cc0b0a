package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/budget"
)

// wantAllFree checks that all of a fetcher's memory for large pages has been given back.
func wantAllFree(t *testing.T, f *Fetcher) {
	t.Helper()
	if free, size := f.large.Free(), f.large.Size(); free != size || size != f.max {
		t.Errorf("%d of %d bytes for large pages are free", free, size)
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
					case err != nil && strings.Contains(err.Error(), budget.ErrExhausted.Error()) && host != "good" && host != "drip":
					case hostile && (err == nil || !strings.Contains(err.Error(), w)), !hostile && err != nil:
						t.Errorf("%s: got %v, want %q", host, err, w)
					}
				})
			}
			wg.Wait()
			wantAllFree(t, f)
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
		wantAllFree(t, f)
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
		wantAllFree(t, f)
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
					wantAllFree(t, f)
				})
			}
		}
	}
}
