package inbound_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/tests/programs"
)

// A panic is answered with 500 and logged once a second. After a partial answer the connection is closed.
func TestHandlerPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log programs.Buffer
		n, _ := serve(t, inbound.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/at-once":
				w.Header().Set("Content-Length", "7")
				w.Header().Set("Etag", `"1"`)
				panic("nothing is written")
			case "/index":
				var all []int
				_ = all[len(r.URL.Path)]
			case "/half":
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, "half")
				panic("half is written")
			case "/flushed":
				_ = http.NewResponseController(w).Flush()
				panic("the header is written")
			case "/abort":
				panic(http.ErrAbortHandler)
			case "/hijack":
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nhijacked")
				_ = conn.Close()
			default:
				_, _ = io.Copy(w, strings.NewReader("fine"))
			}
		})
		ask := func(path string) (status int, body, kind string, err error) {
			conn := n.dial(t, "10.0.0.2")
			defer conn.Close()
			client := &http.Client{Transport: &http.Transport{
				DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
				DisableKeepAlives: true,
			}}
			defer client.CloseIdleConnections()
			resp, err := client.Get("http://server" + path)
			if err != nil {
				return 0, "", "", err
			}
			defer resp.Body.Close()
			data, err := io.ReadAll(resp.Body)
			if resp.Header.Get("Etag") != "" {
				t.Errorf("%s: the answer has the header of another one: %v", path, resp.Header)
			}
			return resp.StatusCode, string(data), resp.Header.Get("Content-Type"), err
		}
		for _, path := range []string{"/at-once", "/index"} {
			status, body, kind, err := ask(path)
			if err != nil || status != 500 || kind != "application/problem+json" || !strings.Contains(body, "its log says") {
				t.Errorf("%s: %d %s %s, %v", path, status, kind, body, err)
			}
			if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "path="+path) || !strings.Contains(text, "panics_test.go") {
				t.Errorf("%s: log %s", path, text)
			}
			time.Sleep(2 * time.Second)
		}
		for _, path := range []string{"/half", "/flushed", "/abort"} {
			if _, body, _, err := ask(path); err == nil {
				t.Errorf("%s: a partial answer is taken for the whole: %q", path, body)
			}
		}
		if strings.Contains(log.String(), "/abort") {
			t.Errorf("an aborted answer is logged: %s", log.String())
		}
		for _, path := range []string{"/hijack", "/"} {
			if status, body, _, err := ask(path); err != nil || status != 200 || body != "hijacked" && body != "fine" {
				t.Errorf("%s: %d %s, %v", path, status, body, err)
			}
		}
		time.Sleep(2 * time.Second)
		log.Reset()
		for range 100 {
			if _, _, _, err := ask("/at-once"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		if _, _, _, err := ask("/at-once"); err != nil {
			t.Fatal(err)
		}
		if text := log.String(); strings.Count(text, "level=ERROR") != 2 || !strings.Contains(text, "more_since_the_last=99") {
			t.Errorf("101 panics: %s", text)
		}
	})
}
