package grafana

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo takes a WebSocket handshake and sends back what comes.
func echo(t *testing.T) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" {
			http.Error(w, "no handshake", http.StatusBadRequest)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\nX-Origin: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]), r.Header.Get("Origin"))
		_, _ = io.Copy(conn, buffered)
	}
}

// websocket does the handshake; conn is the connection after it.
func websocket(t *testing.T, addr, path string, headers ...string) (conn net.Conn, resp *http.Response) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	headers = append(headers, "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "Host: ") }) {
		headers = append(headers, "Host: "+addr)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\n%s\r\n\r\n", path, strings.Join(headers, "\r\n"))
	resp, err = http.ReadResponse(bufio.NewReaderSize(conn, 16), nil) // reads no further than it must
	if err != nil {
		t.Fatal(err)
	}
	return conn, resp
}

func says(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v; want %q", got, err, text)
	}
}

func TestWebSocketPasses(t *testing.T) {
	o := upstreamOf(t, echo(t))
	server := serve(t, newProxy(o), (*httptest.Server).Start)
	conn, resp := websocket(t, server.Listener.Addr().String(), "/grafana/api/live/ws", "Origin: http://obs.example.com", "Host: obs.example.com")
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || resp.Header.Get("X-Origin") != "http://obs.example.com" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	for i := range 100 {
		says(t, conn, strings.Repeat("frame", i+1))
	}
}

func TestRefusedHandshakeIsPassedBack(t *testing.T) {
	o := upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	server := serve(t, newProxy(o), (*httptest.Server).Start)
	if _, resp := websocket(t, server.Listener.Addr().String(), "/grafana/api/live/ws"); resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
}

func TestWebSocketWithoutGrafanaGetsAProblem(t *testing.T) {
	server := quiet(t, Status{Phase: PhaseAbsent})
	_, resp := websocket(t, server.Listener.Addr().String(), "/grafana/api/live/ws", "Accept: text/html")
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}

func TestWebSocketsAreBounded(t *testing.T) {
	o := upstreamOf(t, echo(t))
	h := newProxy(o)
	h.(*proxy).upgrades.most = 2
	server := serve(t, h, (*httptest.Server).Start)
	addr := server.Listener.Addr().String()
	first, _ := websocket(t, addr, "/grafana/api/live/ws")
	second, _ := websocket(t, addr, "/grafana/api/live/ws")
	says(t, second, "x")
	if _, resp := websocket(t, addr, "/grafana/api/live/ws"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the third of two: %s", resp.Status)
	}
	if resp, _ := ask(t, server, "GET", "/grafana/", nil); resp.StatusCode != http.StatusBadRequest { // the stand-in's own answer
		t.Errorf("plain requests are held back: %d", resp.StatusCode)
	}
	_ = first.Close()
	within(t, "the place of a closed connection is free again", func() bool {
		conn, resp := websocket(t, addr, "/grafana/api/live/ws")
		_ = conn.Close()
		return resp.StatusCode == http.StatusSwitchingProtocols
	})
}

func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not so: " + what)
		}
	}
}

// TestWebSocketsEndWithTheServer also sees to it that nothing is left behind, whoever ends first.
func TestWebSocketsEndWithTheServer(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, first := range []string{"server", "grafana", "client"} {
		upstream, left, hangUp := hangingUp(t)
		o := proxyOptions{
			Prefix: "/grafana", Logger: slog.New(slog.DiscardHandler),
			Upstream: func() (string, bool) { return upstream.Listener.Addr().String(), true },
		}
		ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: newProxy(o), ReadHeaderTimeout: time.Second}
		served := make(chan error, 1)
		go func() { served <- server.Serve(ln) }()
		conn, _ := websocket(t, ln.Addr().String(), "/grafana/api/live/ws")
		says(t, conn, "hello")
		plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ln.Addr().String()+"/grafana/", http.NoBody)
		refused, err := plain.Do(req) // leaves an idle connection to the upstream behind
		if err != nil || refused.StatusCode != http.StatusBadRequest {
			t.Fatal(refused, err)
		}
		_ = refused.Body.Close()

		switch first {
		case "grafana":
			hangUp()
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("Grafana has gone, the client's side is still open: %v", err)
			}
		case "client":
			_ = conn.Close()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("%s first: shutdown: %v", first, err)
		}
		cancel()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s first: the WebSocket is still open: %v", first, err)
		}
		within(t, "no connection to Grafana is left", func() bool { return left() == 0 })
		upstream.Close()
	}
	within(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

// hangingUp is an echo that can end all its connections, as a killed process does, and knows how many others than WebSockets
// are left.
func hangingUp(t *testing.T) (server *httptest.Server, left func() int, hangUp func()) {
	t.Helper()
	var mu sync.Mutex
	conns := map[net.Conn]http.ConnState{}
	server = httptest.NewUnstartedServer(echo(t))
	server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		conns[c] = state
	}
	server.Start()
	left = func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, state := range conns {
			if state != http.StateHijacked && state != http.StateClosed {
				n++
			}
		}
		return n
	}
	return server, left, func() {
		mu.Lock()
		defer mu.Unlock()
		for c := range conns {
			_ = c.Close()
		}
	}
}
