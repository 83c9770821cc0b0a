package session

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/wire"
)

// doorkeeper lets those register whose token is the right one. No credential is one while nobody is known.
type doorkeeper struct {
	*remote
	right  string
	forgot bool
}

// Register implements Server.
func (d *doorkeeper) Register(ctx context.Context, token string, req wire.RegisterRequest) (wire.RegisterResponse, error) {
	d.set(func(r *remote) {
		d.forgot = token != d.right
		r.status["register"] = 0
		if d.forgot {
			r.status["register"] = http.StatusUnauthorized
		}
		d.refuseForgotten()
	})
	return d.remote.Register(ctx, token, req)
}

func (d *doorkeeper) refuseForgotten() {
	d.status["report"], d.status["watch"] = 0, 0
	if d.forgot {
		d.status["report"], d.status["watch"] = http.StatusUnauthorized, http.StatusUnauthorized
	}
}

// loses makes the server forget its workers and take another token.
func (d *doorkeeper) loses(right string) {
	d.set(func(*remote) {
		d.right, d.forgot = right, true
		d.refuseForgotten()
	})
}

func (d *doorkeeper) last() (token string) {
	d.set(func(*remote) { token = d.tokens[len(d.tokens)-1] })
	return token
}

// The join token is replaced while a worker runs: it joins with what its file holds by then, and with what it last held where the
// file cannot be read.
func TestTokenFileIsReadForEachRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(joinTokenText)
		d := &doorkeeper{remote: newRemote(), right: joinTokenText}
		_, log, end := connect(t, d, func(o *Options) { o.TokenFile = file })
		time.Sleep(time.Second)
		const refused, unreadable = "server refuses this worker's join token", "token file cannot be read"

		d.loses("second")
		time.Sleep(time.Hour)
		if text := log.String(); strings.Count(text, refused) != 1 || !strings.Contains(text, "which is read again at each attempt") || !strings.Contains(text, "token_file="+file) {
			t.Errorf("of a token that is refused it says:\n%s", text)
		}
		write("second\n")
		time.Sleep(maxRefusedPause)
		if d.last() != "second" || !strings.Contains(log.String(), "server answers again") {
			t.Errorf("the token that the file has got: it sends %q\n%s", d.last(), log)
		}

		for k, spoil := range []func(){
			func() { write("") },
			func() { write("two words") },
			func() { _ = os.Remove(file) },
			func() { _ = os.Mkdir(file, 0o700) },
		} {
			spoil()
			d.loses("third")
			time.Sleep(10 * time.Minute)
			if d.last() != "second" {
				t.Errorf("%d: from a file that cannot be read it has %q", k, d.last())
			}
			d.set(func(*remote) { d.right = "second" })
			time.Sleep(maxRefusedPause)
		}
		if n := strings.Count(log.String(), unreadable); n != 3 {
			t.Errorf("said %d times that the file cannot be read, of three reasons:\n%s", n, log)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		write("third")
		d.loses("third")
		time.Sleep(maxRefusedPause)
		if d.last() != "third" || !strings.Contains(log.String(), "token file can be read again") {
			t.Errorf("when the file is back it sends %q\n%s", d.last(), log)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// A pipe is read once, at the start: opening it again may wait for ever.
func TestTokenFromAPipe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Skip(err)
	}
	done := make(chan string)
	go func() { done <- (&joinToken{file: file, last: joinTokenText}).current() }()
	select {
	case got := <-done:
		if got != joinTokenText {
			t.Errorf("%q", got)
		}
	case <-time.After(hangTimeout):
		t.Error("it waits for somebody to write into the pipe")
	}
}

func TestRefusedTokenOfNoFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &doorkeeper{remote: newRemote(), right: joinTokenText}
		_, log, _ := connect(t, d)
		time.Sleep(time.Second)
		d.loses("second")
		time.Sleep(time.Hour)
		if text := log.String(); strings.Count(text, "restart the worker with the right one") != 1 || !strings.Contains(text, "--token-file") {
			t.Errorf("it says:\n%s", text)
		}
		if d.last() != joinTokenText {
			t.Errorf("it sends %q", d.last())
		}
	})
}
