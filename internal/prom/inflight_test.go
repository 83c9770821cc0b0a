package prom

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// requestLimit is how long a request may take in these tests.
const requestLimit = 2 * time.Minute

func TestInflightRequestsAreCancelledAfterTheTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newInflightRequests(requestLimit)
		left := make(chan time.Duration, 2)
		serve := func(work time.Duration) {
			begin := time.Now()
			g.serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-time.After(work):
				case <-r.Context().Done():
				}
				left <- time.Since(begin)
			}), httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		}
		for range 2 {
			if !g.begin() {
				t.Fatal("begin refuses a request before drain")
			}
		}
		go serve(100 * time.Millisecond)
		go serve(time.Hour)
		synctest.Wait()
		begin := time.Now()
		g.drain(drainTime)
		if took := time.Since(begin); took != drainTime {
			t.Errorf("shut took %v, want %v", took, drainTime)
		}
		if first, second := <-left, <-left; first != 100*time.Millisecond || second != drainTime {
			t.Errorf("requests ended after %v and %v", first, second)
		}
		if g.begin() {
			t.Error("the shut gate lets somebody in")
		}
	})
}

// A request that ends in a panic, as that of a client that has gone does, has left.
func TestPanickingRequestEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newInflightRequests(requestLimit)
		g.begin()
		func() {
			defer func() { _ = recover() }()
			g.serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
				httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		}()
		left := make(chan struct{})
		go func() {
			g.drain(drainTime)
			close(left)
		}()
		time.Sleep(2 * drainTime)
		select {
		case <-left:
		default:
			g.end()
			t.Error("the gate waits for a request that has ended")
		}
		<-left
	})
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	t.Run("time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newInflightRequests(requestLimit)
			defer g.drain(0)
			g.begin()
			begin := time.Now()
			g.serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
				httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
			if took := time.Since(begin); took != requestLimit {
				t.Errorf("a request that never ends was ended after %v, want %v", took, requestLimit)
			}
		})
	})
	for name, tc := range map[string]struct {
		size int64
		fits bool
	}{"largest body": {maxRequestBytes, true}, "larger body": {maxRequestBytes + 1, false}} {
		t.Run(name, func(t *testing.T) {
			g := newInflightRequests(requestLimit)
			defer g.drain(0)
			g.begin()
			g.serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				n, err := io.Copy(io.Discard, r.Body)
				_, tooLarge := errors.AsType[*http.MaxBytesError](err)
				if n != min(tc.size, maxRequestBytes) || tooLarge == tc.fits {
					t.Errorf("of %d bytes %d were read: %v", tc.size, n, err)
				}
			}), httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", io.LimitReader(zeros{}, tc.size)))
		})
	}
}

// zeros is a body without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// No route of the API reads a body that never ends.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	for _, path := range []string{"/query", "/series", "/read"} {
		body := &counted{}
		r := httptest.NewRequest(http.MethodPost, testPrefix+"/api/v1"+path, body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, r)
		if w.Code < 400 || body.read > maxRequestBytes+1 {
			t.Errorf("%s: %d after %d bytes: %s", path, w.Code, body.read, w.Body)
		}
	}
}

// counted counts what is read of a body without an end, which it ends where reading on would take all memory.
type counted struct{ read int64 }

func (c *counted) Read(p []byte) (int, error) {
	if c.read > 8*maxRequestBytes {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'a'
	}
	c.read += int64(len(p))
	return len(p), nil
}
