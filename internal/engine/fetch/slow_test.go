package fetch

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/budget"
)

// thenDrip is a page that comes at once but for its end.
func thenDrip(size int64) func(context.Context) (io.Reader, int64) {
	return func(ctx context.Context) (io.Reader, int64) {
		line := "vllm:x 1\n"
		return io.MultiReader(&repeat{ctx: ctx, text: line, left: size}, &repeat{ctx: ctx, text: line, pause: time.Second, left: 1000}), size + 1000
	}
}

// Pages that hold the memory for large pages and do not get on give way to others, as long as somebody waits.
func TestSlowLargePagesGiveWay(t *testing.T) {
	large := bytes.Repeat([]byte("vllm:x 1\n"), 1_000_000) // 9 MB
	synctest.Test(t, func(t *testing.T) {
		hosts := pages{"large": text(string(large))}
		for _, h := range []string{"a", "b", "c"} {
			hosts[h] = thenDrip(4 << 20)
		}
		f := New(Options{Transport: hosts})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		failed := make(chan error, 3)
		for _, h := range []string{"a", "b", "c"} {
			wg.Go(func() {
				page, err := f.Fetch(ctx, target(t, "http://"+h))
				page.Release()
				failed <- err
			})
		}
		synctest.Wait()
		start := time.Now()
		page, err := f.Fetch(ctx, target(t, "http://large"))
		if err != nil || !bytes.Equal(page.Body, large) {
			t.Errorf("got %d bytes, %v", len(page.Body), err)
		}
		if took := time.Since(start); took > budget.SlowAfter+150*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		page.Release()
		wg.Wait()
		close(failed)
		gaveWay := 0
		for err := range failed {
			if strings.Contains(err.Error(), "was not complete after 500ms while others waited") {
				gaveWay++
			}
		}
		if gaveWay == 0 || gaveWay == 3 {
			t.Errorf("%d of 3 slow pages gave way: as many as need be", gaveWay)
		}
		wantAllFree(t, f)
	})
}

// A slow page for which nobody waits has all of its time.
func TestSlowLargePageAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(Options{Transport: pages{"a": thenDrip(8 << 20)}})
		page, err := f.Fetch(t.Context(), target(t, "http://a"))
		if err != nil || len(page.Body) != 8<<20+1000 {
			t.Errorf("got %d bytes, %v", len(page.Body), err)
		}
		page.Release()
		wantAllFree(t, f)
	})
}
