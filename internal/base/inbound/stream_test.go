package inbound

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// windowed is the answer to an HTTP/2 request whose client opens its window for one piece at a time.
type windowed struct {
	http.ResponseWriter
	window chan struct{}

	mu       sync.Mutex
	reset    chan struct{}
	deadline time.Time
}

func (w *windowed) Write(p []byte) (int, error) {
	select {
	case <-w.window:
		return len(p), nil
	case <-w.reset:
		return 0, os.ErrDeadlineExceeded
	}
}

func (w *windowed) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	if !t.IsZero() && t.Before(time.Now()) {
		close(w.reset)
	}
	return nil
}

func TestStreamDeadlineForEachPiece(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &windowed{ResponseWriter: httptest.NewRecorder(), window: make(chan struct{}), reset: make(chan struct{})}
		s := newStream(w)
		began := time.Now()
		go func() {
			for range 10 {
				time.Sleep(20 * time.Second)
				w.window <- struct{}{}
			}
		}()
		n, err := s.Write(make([]byte, 20*pieceBytes))
		if took := time.Since(began); n != 10*pieceBytes || err == nil || took != 230*time.Second {
			t.Errorf("%d bytes in %s, %v", n, took, err)
		}
		s.end()
		if want := time.Now().Add(writeTimeout); !w.deadline.Equal(want) {
			t.Errorf("the deadline of the rest is %s, want %s", w.deadline, want)
		}
	})
}

// The deadline of a piece does not end the answer while the handler writes nothing.
func TestStreamWaitsForItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &windowed{ResponseWriter: httptest.NewRecorder(), window: make(chan struct{}, 2), reset: make(chan struct{})}
		w.window <- struct{}{}
		w.window <- struct{}{}
		s := newStream(w)
		for range 2 {
			if _, err := s.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
		}
		s.end()
	})
}

func TestHTTP2(t *testing.T) {
	const size = 4 << 20
	s := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("asked by %s", r.Proto)
		}
		got, err := io.Copy(io.Discard, r.Body)
		if got != size || err != nil {
			t.Errorf("body: %d bytes, %v", got, err)
		}
		Trust(r.Context())
		_, _ = w.Write(make([]byte, size))
		w.(http.Flusher).Flush()
	}), Options{})
	// httptest has a certificate and a client that trusts it.
	helper := httptest.NewUnstartedServer(s.Handler)
	helper.EnableHTTP2 = true
	helper.StartTLS()
	defer helper.Close()
	s.TLSConfig = &tls.Config{Certificates: helper.TLS.Certificates, MinVersion: tls.VersionTLS12}
	ln := listen(t)
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(ln) }()
	defer func() {
		_ = s.Close()
		<-done
	}()
	resp, err := helper.Client().Post("https://"+ln.Addr().String(), "text/plain", io.LimitReader(zero{}, size))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got, err := io.Copy(io.Discard, resp.Body); got != size || err != nil {
		t.Errorf("answer: %d bytes, %v", got, err)
	}
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	for c := range s.conns.open {
		if !c.trusted.Load() {
			t.Error("the connection is not trusted although its request had a credential")
		}
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }
