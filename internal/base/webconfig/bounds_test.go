package webconfig_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/pipe"
	"github.com/stackscope/stackscope/internal/base/webconfig"
)

// The limits of the server also apply to clients that the file's rules refuse.
func TestLimitsOfTheServerStay(t *testing.T) {
	path := newRig(t, users(t, "right")).path
	synctest.Test(t, func(t *testing.T) {
		f, err := webconfig.Load(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		srv := inbound.New(page, inbound.Options{MaxConnections: 3})
		if err := f.Protect(srv.Server); err != nil {
			t.Fatal(err)
		}
		ln := pipe.Listen()
		go func() { _ = srv.Serve(ln) }()
		defer func() { _ = srv.Close() }()
		dial := func(request string) (net.Conn, *bufio.Reader) {
			t.Helper()
			c, err := ln.Dial(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			return c, bufio.NewReader(c)
		}
		status := func(r *bufio.Reader) int {
			t.Helper()
			answer, err := http.ReadResponse(r, nil)
			if err != nil {
				return 0
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			return answer.StatusCode
		}
		basic := func(password string) string {
			return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("prometheus:"+password)) + "\r\n"
		}
		const get = "GET /metrics HTTP/1.1\r\nHost: x\r\n%s\r\n"

		// A body that doesn't come ends the connection in time.
		_, r := dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n" + basic("wrong") + "\r\nx")
		began := time.Now()
		if got := status(r); got != http.StatusUnauthorized {
			t.Errorf("a wrong password with a body: %d", got)
		}
		if _, err := r.ReadByte(); err == nil || time.Since(began) > time.Minute {
			t.Errorf("the connection was open for %s, then %v", time.Since(began), err)
		}

		known, r := dial(fmt.Sprintf(get, basic("right")))
		if got := status(r); got != http.StatusOK {
			t.Fatalf("the right password: %d", got)
		}
		for range 10 {
			_, other := dial(fmt.Sprintf(get, ""))
			if got := status(other); got != http.StatusUnauthorized {
				t.Errorf("without a password: %d", got)
			}
		}
		if _, err := fmt.Fprintf(known, get, basic("right")); err != nil {
			t.Errorf("a connection with a password was evicted: %v", err)
		}
		if got := status(r); got != http.StatusOK {
			t.Errorf("a connection with a password: %d", got)
		}
		if st := srv.Stats(); st.Open > 3 || st.Evicted == 0 {
			t.Errorf("%+v", st)
		}
	})
}
