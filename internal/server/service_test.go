package server_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/testcert"
	"github.com/stackscope/stackscope/internal/server"
)

// A server lives that answers at its own port, also over TLS and to nobody without a token.
func TestServerLives(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.DisableAnonymousViewer, o.NoTrustLoopback = true, true
			if secure {
				dir := t.TempDir()
				o.TLSCert, o.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
				testcert.NewAuthority(t, "authority").Write(t, o.TLSCert, o.TLSKey, "gpu-1.example")
			}
			s, err := server.New(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := s.Alive(ctx); err == nil {
				t.Error("it lives before it runs")
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			o.DataDir = t.TempDir()
			r := start(t, o)
			if err := r.Alive(t.Context()); err != nil {
				t.Error(err)
			}
			workers := 0
			if !secure {
				workers = 1
				r.join(t, "gpu-1")
			}
			if got, want := r.Summary(), fmt.Sprintf("serves %s; workers: %d, ready: ", r.URL(), workers); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "; model instances: 0") {
				t.Errorf("summary %q, want %q", got, want)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			if err := r.Alive(t.Context()); err == nil {
				t.Error("it lives after it stopped")
			}
		})
	}
}
