package pipe_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/pipe"
)

func TestHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 4 << 20
		ln := pipe.Listen()
		srv := inbound.New(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) }), inbound.Options{})
		done := make(chan error, 1)
		go func() { done <- srv.Serve(ln) }()
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return ln.Dial(ctx) }}
		for range 2 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://10.0.0.1:10151/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			_ = resp.Body.Close()
		}
		transport.CloseIdleConnections()
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if _, err := ln.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestDialWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := pipe.Listen().Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
