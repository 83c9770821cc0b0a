package webport_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/webport"
)

func open(t *testing.T, webConfig string) *webport.Port {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	p, err := webport.Open(webport.Options{
		Name: "tests", Flag: "--port", Host: "127.0.0.1", WebConfigFile: webConfig, Open: []string{"/open"}, Logger: logger,
		Inbound: inbound.Options{MaxConnections: 10, Logger: logger},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func status(t *testing.T, c *http.Client, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

// With a web configuration file the port asks for a password, and the process itself gets around it.
func TestServe(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(users, []byte("basic_auth_users:\n  prometheus: "+string(hash)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]int{"": http.StatusOK, users: http.StatusUnauthorized} {
		p := open(t, file)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Serve(ctx, time.Second) }()
		transport := &http.Transport{}
		if got := status(t, &http.Client{Transport: transport}, "http://"+p.Addr()); got != want {
			t.Errorf("%q: %d, want %d", file, got, want)
		}
		if got := status(t, &http.Client{Transport: transport}, "http://"+p.Addr()+"/open"); got != http.StatusOK {
			t.Errorf("%q: an open path answers %d", file, got)
		}
		dial := p.Dialer()
		if (dial != nil) != (file != "") || p.TLS() {
			t.Errorf("%q: inside %t, TLS %t", file, dial != nil, p.TLS())
		}
		if dial != nil {
			inside := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
			if got := status(t, &http.Client{Transport: inside}, "http://inside"); got != http.StatusOK {
				t.Errorf("from inside: %d", got)
			}
			inside.CloseIdleConnections()
		}
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%q: %v", file, err)
		}
		if err := p.Close(); err != nil {
			t.Errorf("close after it was served: %v", err)
		}
	}
}

// A port that is closed by somebody else is an error, and both listeners end.
func TestServeFails(t *testing.T) {
	p := open(t, "")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Serve(t.Context(), time.Second); err == nil {
		t.Error("a closed port is served")
	}
	var none *webport.Port
	if none.Addr() != "" || none.TLS() || none.Dialer() != nil {
		t.Error("no port has an address")
	}
}
