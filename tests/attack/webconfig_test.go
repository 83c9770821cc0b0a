package attack

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// protected starts a server whose metrics port asks for a password, and returns the file that says so, and its text.
func protected(t *testing.T, password string) (s *server, path, text string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	path, text = filepath.Join(t.TempDir(), "web.yml"), fmt.Sprintf("basic_auth_users:\n  prometheus: %q\n", hash)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, "--web.config.file", path), path, text
}

// scraper returns what asks for the metrics from an address of this machine and returns the status, 0 when there is none.
func (s *server) scraper(t *testing.T, from string) func(password string) int {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	c := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	return func(password string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.metrics+"/metrics/targets", nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		if password != "" {
			req.SetBasicAuth("prometheus", password)
		}
		resp, err := c.Do(req)
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
}

// Guesses of passwords take a core for a tenth of a second each. Whoever knows the password is not kept waiting behind them.
func TestGuessesKeepNobodyOut(t *testing.T) {
	s, _, _ := protected(t, "right")
	scrape := s.scraper(t, "127.0.0.1")
	if got := scrape("right"); got != http.StatusOK {
		t.Fatalf("the right password: %d", got)
	}
	var guessed, refused, let atomic.Int64
	var all sync.WaitGroup
	stop := make(chan struct{})
	for i := range 64 {
		guess := s.scraper(t, fmt.Sprintf("127.0.1.%d", 1+i%32))
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				switch guess(fmt.Sprintf("guess %d %d", i, n)) {
				case http.StatusUnauthorized:
					guessed.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				case http.StatusOK:
					let.Add(1)
				}
			}
		})
	}
	for guessed.Load() < int64(count(60, 5)) || refused.Load() < 100 {
		if got := scrape("right"); got != http.StatusOK {
			t.Errorf("the right password beside %d guesses: %d", guessed.Load(), got)
		}
	}
	close(stop)
	all.Wait()
	t.Logf("%d guesses looked at, %d refused", guessed.Load(), refused.Load())
	if let.Load() > 0 {
		t.Errorf("%d guesses were let in", let.Load())
	}
}

// While the file is written, it opens nothing for a moment.
func TestHalfWrittenFileOpensNothing(t *testing.T) {
	s, path, text := protected(t, "right")
	var asked, open atomic.Int64
	var all sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		look := s.scraper(t, fmt.Sprintf("127.0.1.%d", 1+i))
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if look("") == http.StatusOK {
					open.Add(1)
				}
				asked.Add(1)
			}
		})
	}
	for i := range count(1000, 15) {
		for k := range 20 {
			if err := os.WriteFile(path, []byte(text[:(20*i+k)%len(text)]), 0o600); err != nil { // truncates, then writes
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(70 * time.Millisecond) // in which it is read as a whole
	}
	close(stop)
	all.Wait()
	if open.Load() > 0 {
		t.Errorf("%d of %d requests without a password were answered", open.Load(), asked.Load())
	}
	if got := s.scraper(t, "127.0.0.1")("right"); got != http.StatusOK {
		t.Errorf("the right password at the end: %d", got)
	}
	t.Logf("%d requests", asked.Load())
}
