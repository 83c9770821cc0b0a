package inbound_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/inbound"
)

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func TestStalledAnswerIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Duration, 1)
		n, s := serve(t, inbound.Options{}, func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			_, err := w.Write(make([]byte, 1<<20))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("write: %v", err)
			}
			ended <- time.Since(began)
		})
		send(t, n.dial(t, "10.0.0.2"), get)
		if took := <-ended; took != 30*time.Second {
			t.Errorf("the answer ended after %s", took)
		}
		synctest.Wait()
		if open := s.Stats().Open; open != 0 {
			t.Errorf("%d connections are open", open)
		}
	})
}

func TestSlowClientGetsItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		n, _ := serve(t, inbound.Options{}, func(w http.ResponseWriter, r *http.Request) {
			if _, err := w.Write(make([]byte, size)); err != nil {
				t.Errorf("write: %v", err)
			}
		})
		c := n.dial(t, "10.0.0.2")
		send(t, c, get)
		began := time.Now()
		answer, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for piece := make([]byte, 32<<10); ; {
			read, err := io.ReadFull(answer.Body, piece)
			total += read
			if err != nil {
				break
			}
			time.Sleep(10 * time.Second)
		}
		if total != size || time.Since(began) < 5*time.Minute {
			t.Errorf("%d bytes in %s", total, time.Since(began))
		}
	})
}

func TestHandlersDeadlineHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Duration, 1)
		n, _ := serve(t, inbound.Options{}, func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			_ = http.NewResponseController(w).SetWriteDeadline(began.Add(time.Minute))
			_, _ = w.Write(make([]byte, 1<<20))
			ended <- time.Since(began)
		})
		send(t, n.dial(t, "10.0.0.2"), get)
		if took := <-ended; took != time.Minute {
			t.Errorf("the answer ended after %s", took)
		}
	})
}

// A WebSocket may be silent for as long as it likes, in both directions.
func TestHijackedConnectionHasNoDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := serve(t, inbound.Options{}, func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Errorf("write: %v", err)
			}
			if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
				t.Errorf("read: %v", err)
			}
		})
		c := n.dial(t, "10.0.0.2")
		send(t, c, get)
		time.Sleep(time.Hour)
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		send(t, c, "over")
		synctest.Wait()
	})
}

const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16777216\r\n\r\n"

func TestSlowBodyIsAborted(t *testing.T) {
	for name, tt := range map[string]struct {
		every time.Duration // a byte
		ends  time.Duration
	}{
		"nothing more":         {time.Hour, 10 * time.Second},
		"a byte now and then":  {9 * time.Second, 30 * time.Second},
		"a byte again and yet": {time.Second, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan time.Duration, 1)
				n, s := serve(t, inbound.Options{}, func(w http.ResponseWriter, r *http.Request) {
					began := time.Now()
					_, err := io.Copy(io.Discard, r.Body)
					if !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("read: %v", err)
					}
					ended <- time.Since(began)
				})
				c := n.dial(t, "10.0.0.2")
				go func() { _, _ = io.Copy(io.Discard, c) }()
				send(t, c, post)
				go func() {
					for {
						if _, err := c.Write([]byte("x")); err != nil {
							return
						}
						time.Sleep(tt.every)
					}
				}()
				if took := (<-ended).Truncate(time.Second); took != tt.ends {
					t.Errorf("the body ended after %s", took)
				}
				time.Sleep(3 * time.Second)
				if open := s.Stats().Open; open != 0 {
					t.Errorf("%d connections are open", open)
				}
				_ = c.Close()
				time.Sleep(time.Hour) // until the sender has noticed
			})
		})
	}
}

// What a handler doesn't read, net/http reads before it answers.
func TestUnreadBodyIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := serve(t, inbound.Options{}, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
		c := n.dial(t, "10.0.0.2")
		began := time.Now()
		send(t, c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != http.StatusUnauthorized {
			t.Fatalf("%v, %v", answer, err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the answer came after %s", took)
		}
		time.Sleep(time.Second)
		if open := s.Stats().Open; open != 0 {
			t.Errorf("%d connections are open", open)
		}
	})
}

// A client that sends Expect: 100-continue gets a refusal at once.
func TestRefusedBodyWithExpectIsNotAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := serve(t, inbound.Options{}, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
		c := n.dial(t, "10.0.0.2")
		began := time.Now()
		send(t, c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != http.StatusUnauthorized {
			t.Fatalf("%v, %v", answer, err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the answer came after %s", took)
		}
	})
}

func TestSlowBodyWithinTheRateIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 16 << 20
		n, _ := serve(t, inbound.Options{}, func(w http.ResponseWriter, r *http.Request) {
			if got, err := io.Copy(io.Discard, r.Body); got != size || err != nil {
				t.Errorf("%d bytes, %v", got, err)
			}
			time.Sleep(time.Hour) // the deadline of the body does not end a long answer
			if err := r.Context().Err(); err != nil {
				t.Errorf("the request ended: %v", err)
			}
		})
		c := n.dial(t, "10.0.0.2")
		send(t, c, post)
		piece := make([]byte, 256<<10)
		for range size / len(piece) {
			if _, err := c.Write(piece); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%v, %v", answer, err)
		}
	})
}

func TestBodiesTogetherAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan error, 100)
		release := make(chan struct{})
		n, _ := serve(t, inbound.Options{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				inbound.Trust(r.Context())
			}
			_, err := io.Copy(io.Discard, r.Body)
			read <- err
			<-release
		})
		post := func(header string) error {
			c := n.dial(t, "10.0.0.2")
			send(t, c, strings.Replace(post, "Host: x\r\n", "Host: x\r\n"+header, 1))
			go func() { _, _ = io.CopyN(c, zeros{}, 16<<20) }()
			return <-read
		}
		for i := range 4 {
			if err := post(""); err != nil {
				t.Errorf("body %d without a credential: %v", i, err)
			}
		}
		if err := post(""); !errors.Is(err, inbound.ErrBusy) {
			t.Errorf("one too many without a credential: %v", err)
		}
		for i := range 11 {
			if err := post("Authorization: x\r\n"); err != nil {
				t.Errorf("body %d with a credential: %v", i, err)
			}
		}
		if err := post("Authorization: x\r\n"); !errors.Is(err, inbound.ErrBusy) {
			t.Errorf("one too many: %v", err)
		}
		close(release)
		time.Sleep(time.Minute)
		if err := post(""); err != nil {
			t.Errorf("after the others: %v", err)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
