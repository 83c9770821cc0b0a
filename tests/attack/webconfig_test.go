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

// users returns a web configuration file's text with one user.
func users(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("basic_auth_users:\n  prometheus: %q\n", hash)
}

// protected starts a server whose metrics port asks for a password, and returns the file that says so, and its text.
func protected(t *testing.T, password string) (s *server, path, text string) {
	t.Helper()
	path, text = filepath.Join(t.TempDir(), "web.yml"), users(t, password)
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
	c := &http.Client{Transport: transport, Timeout: 10 * time.Second} // as a scrape has it
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

// guess tries passwords, each once, over several connections of each of some addresses, until what it returns is called. That returns how
// many were looked at, turned away and let in.
func (s *server) guess(t *testing.T, addresses, connections int) (stop func() (guessed, refused, let int64), guessed func() int64) {
	t.Helper()
	var wrong, refused, let atomic.Int64
	var all sync.WaitGroup
	ended := make(chan struct{})
	for i := range addresses * connections {
		try := s.scraper(t, fmt.Sprintf("127.0.1.%d", 1+i%addresses))
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ended:
					return
				default:
				}
				switch try(fmt.Sprintf("guess %d %d", i, n)) {
				case http.StatusUnauthorized:
					wrong.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				case http.StatusOK:
					let.Add(1)
				}
			}
		})
	}
	return func() (int64, int64, int64) {
		close(ended)
		all.Wait()
		return wrong.Load(), refused.Load(), let.Load()
	}, wrong.Load
}

// Guesses of passwords take a core for a tenth of a second each. Whoever knows the password is let in beside them within a scrape's
// time: also one that nobody has seen yet, as after a restart, and after the file was written again.
func TestGuessesKeepNobodyOut(t *testing.T) {
	s, path, _ := protected(t, "right")
	const addresses, connections = 8, 12
	stop, guessed := s.guess(t, addresses, connections)
	for guessed() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	for i := range count(20, 3) {
		scrape, password := s.scraper(t, fmt.Sprintf("127.0.0.%d", 10+i)), fmt.Sprintf("right %d", i)
		text := users(t, password)
		write(text)
		for _, when := range []string{"at first", "again", "after the file was written again"} {
			if when == "after the file was written again" {
				write(text + "\n")
			}
			if got := scrape(password); got != http.StatusOK {
				t.Errorf("the right password %s, beside %d guesses: %d", when, guessed(), got)
			}
		}
	}
	wrong, refused, let := stop()
	t.Logf("%d guesses looked at, %d refused", wrong, refused)
	if let > 0 || refused == 0 {
		t.Errorf("%d guesses were let in, %d refused", let, refused)
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
