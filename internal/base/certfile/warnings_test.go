package certfile_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/certfile"
	"github.com/stackscope/stackscope/internal/base/testcert"
)

// TestCertificatesThatClientsRefuse: each is told at the start and when it is taken up, once, however many connections come.
func TestCertificatesThatClientsRefuse(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	future := testcert.NewAuthority(t, "future") // of a time after the bubble's
	synctest.Test(t, func(t *testing.T) {
		ca := testcert.NewAuthority(t, "one")
		ca.Write(t, certFile, keyFile, "a")
		var log bytes.Buffer
		p, err := certfile.LoadPair(certFile, keyFile, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})))
		if err != nil {
			t.Fatal(err)
		}
		// told checks what the log says since it was last looked at.
		told := func(when string, want ...string) {
			t.Helper()
			for range 3 {
				if _, err := p.GetCertificate(nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(soon)
			}
			text := log.String()
			log.Reset()
			if strings.Count(text, "\n") != len(want) {
				t.Errorf("%s: want %d lines:\n%s", when, len(want), text)
			}
			for _, w := range append(want, "") {
				if !strings.Contains(text, w) || len(want) > 0 && !strings.Contains(text, certFile) {
					t.Errorf("%s: lacks %q:\n%s", when, w, text)
				}
			}
		}
		told("in order")
		time.Sleep(testcert.Lifetime - 6*24*time.Hour)
		told("6 days before its end", "expires soon")
		time.Sleep(25 * time.Hour)
		told("5 days before its end", "expires soon")
		time.Sleep(6 * 24 * time.Hour)
		told("after its end", "has expired")
		time.Sleep(25 * time.Hour)
		told("a day later")
		ca.Write(t, certFile, keyFile, "a")
		told("a new one")
		ca.Write(t, certFile, keyFile)
		told("one without names", "no subjectAltName")
	})
	future.Write(t, certFile, keyFile, "a")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		for range 2 {
			if _, err := certfile.LoadPair(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Count(log.String(), "not valid yet") != 2 || strings.Count(log.String(), "\n") != 2 {
			t.Errorf("log:\n%s", log.String())
		}
	})
}
