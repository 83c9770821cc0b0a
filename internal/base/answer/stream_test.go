package answer_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/answer"
)

// slowClient reads a piece of the answer in each interval.
type slowClient struct {
	*client
	each time.Duration
}

func (c *slowClient) Write(p []byte) (int, error) {
	select {
	case <-c.aborted:
	case <-time.After(c.each):
	}
	return c.client.Write(p)
}

func TestSlowReaderIsCutOffWhileOthersWait(t *testing.T) {
	for name, tt := range map[string]struct {
		each, making time.Duration // 16 pieces are a MiB
		waited       time.Duration // after which others wait
		cut          bool
	}{
		"slow, nobody waits":       {each: time.Second, waited: time.Hour},
		"slow, others wait":        {each: time.Second, cut: true},
		"slow, others come":        {each: time.Second, waited: time.Minute, cut: true},
		"nothing is taken":         {each: time.Hour, waited: time.Minute, cut: true},
		"fast enough, others wait": {each: time.Second / 20},
		"the handler is slow":      {each: time.Second / 20, making: time.Second / 2},
		"it is very slow":          {each: time.Second / 20, making: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 24 << 20
				var aborts atomic.Int32
				began := time.Now()
				var left time.Duration
				h := answer.NewStore(answer.Options{MaxBytes: 1 << 20, MaxReaders: 10}).Buffer(
					http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						defer func() { left = time.Since(began) }()
						for range size >> 20 {
							time.Sleep(tt.making)
							if _, err := w.Write(make([]byte, 1<<20)); err != nil {
								return
							}
						}
					}), answer.StreamOptions{
						Track: func(r *http.Request) (*http.Request, func() bool) {
							return r, func() bool { return time.Since(began) >= tt.waited }
						},
						OnAbort: func() { aborts.Add(1) },
					})
				c := &slowClient{newClient(), tt.each}
				close(c.open)
				var aborted any
				func() {
					defer func() { aborted = recover() }()
					h.ServeHTTP(c, httptest.NewRequest("GET", "/", nil))
				}()
				if got := aborts.Load() == 1; got != tt.cut || c.isAborted() != tt.cut || (aborted != nil) != tt.cut {
					t.Errorf("cut off: %d, %t, %v; want %t", aborts.Load(), c.isAborted(), aborted, tt.cut)
				}
				if !tt.cut && c.body.Len() != size {
					t.Errorf("%d bytes", c.body.Len())
				}
				if tt.cut && left > tt.waited+4*time.Second {
					t.Errorf("the handler ended after %s", left)
				}
			})
		})
	}
}
