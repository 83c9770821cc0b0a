package webconfig

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// The toolkit reads the file itself. A request that it accepts by a content that was not validated is refused.
func TestUnvalidatedContentIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("http_server_config: {http2: true}\n")
	f, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, changes := 0, false
	d := &handler{file: f, inner: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { answer++ })}
	d.toolkit = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if changes {
			write("")
		}
		d.authorized(w, r)
	})
	for _, want := range []int{http.StatusOK, http.StatusServiceUnavailable} {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if w.Code != want || answer != 1 {
			t.Errorf("%d, answered %d times; want %d", w.Code, answer, want)
		}
		changes = true
	}
}

// A wrong password is checked once; the toolkit still writes each refusal. A password without a result is not wrong.
func TestWrongPasswordIsCheckedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yml")
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "basic_auth_users: {prometheus: %q}\n", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	checks, answer := 0, http.StatusTooManyRequests
	d := &handler{file: f}
	d.toolkit = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, given := r.BasicAuth(); given {
			checks++
		}
		w.WriteHeader(answer)
	})
	await := func() int {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.SetBasicAuth("prometheus", "wrong")
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code != answer {
			t.Errorf("%d, want %d", w.Code, answer)
		}
		return checks
	}
	await()
	answer = http.StatusUnauthorized
	if got := await(); got != 2 {
		t.Errorf("checked %d times, when the first answer wasn't about the password", got)
	}
	for range 3 {
		if got := await(); got != 2 {
			t.Errorf("checked %d times after it was wrong", got)
		}
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "basic_auth_users: {prometheus: %q} # new\n", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := await(); got != 3 {
		t.Errorf("checked %d times, with a new file", got)
	}
}

// A file that is replaced while certificates are read is read again.
func TestFileReplacedWhileReadIsNoFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yml")
	replace := func() {
		if err := os.WriteFile(path+".new", []byte("http_server_config: {http2: true}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	replace()
	var log bytes.Buffer
	f, err := Load(path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		times, logged int
	}{{maxReads - 1, 0}, {maxReads, 1}} {
		left := tt.times
		h := &handshakes{file: f, toolkit: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if left > 0 {
				left--
				replace()
			}
			return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }, MinVersion: tls.VersionTLS12}, nil
		}}
		if _, err := h.config(nil); err != nil != (tt.logged > 0) {
			t.Errorf("replaced %d times: %v", tt.times, err)
		}
		if got := strings.Count(log.String(), "level=ERROR"); got != tt.logged {
			t.Errorf("replaced %d times: logged %d: %s", tt.times, got, log.String())
		}
	}
}
