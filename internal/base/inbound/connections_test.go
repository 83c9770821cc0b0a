package inbound_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/inbound"
)

// visit is a handler that takes credentials, waits where it is told to, and writes much where it is told to.
func visit(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		inbound.Trust(r.Context())
	}
	switch r.URL.Path {
	case "/wait":
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	case "/much":
		_, _ = w.Write(make([]byte, 1<<20))
	case "/body":
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

// alive reports whether a connection still answers.
func alive(c net.Conn) bool {
	if _, err := io.WriteString(c, get); err != nil {
		return false
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	return err == nil && answer.StatusCode == http.StatusOK
}

func TestFullServerGivesUpIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := serve(t, inbound.Options{MaxConnections: 6}, visit)
		worker := n.dial(t, "10.0.0.2") // of the address that will have most
		send(t, worker, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(worker), nil); err != nil {
			t.Fatal(err)
		}
		waiting := n.dial(t, "10.0.0.2")
		send(t, waiting, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
		other := n.dial(t, "10.0.0.3")
		first, second := n.dial(t, "10.0.0.2"), n.dial(t, "10.0.0.2")
		send(t, second, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
		third := n.dial(t, "10.0.0.2")
		synctest.Wait()

		newest := n.dial(t, "10.0.0.4")
		synctest.Wait()
		if alive(first) {
			t.Error("the oldest idle connection of the address with most has not given way")
		}
		n.dial(t, "10.0.0.4")
		synctest.Wait()
		if _, err := second.Write([]byte("y")); err == nil {
			t.Error("a connection that waits for a body has not given way")
		}
		for name, c := range map[string]net.Conn{"a worker's": worker, "one of an address with few": other, "the youngest": third, "the newcomer's": newest} {
			if !alive(c) {
				t.Errorf("%s is closed", name)
			}
		}
		if got, want := s.Stats(), (inbound.Stats{Open: 6, Max: 6, Evicted: 2}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func TestFullServerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := serve(t, inbound.Options{MaxConnections: 3}, visit)
		const wait = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
		send(t, n.dial(t, "10.0.1.1"), wait)
		send(t, n.dial(t, "10.0.1.2"), "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx") // its body has come
		again := n.dial(t, "10.0.1.3")
		send(t, again, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx") // its body is not wanted
		if _, err := http.ReadResponse(bufio.NewReader(again), nil); err != nil {
			t.Fatal(err)
		}
		send(t, again, wait)
		synctest.Wait()
		if alive(n.dial(t, "10.0.0.2")) {
			t.Error("one too many is served")
		}
		if got, want := s.Stats(), (inbound.Stats{Open: 3, Max: 3, Refused: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func TestClientThatTakesNothingGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := serve(t, inbound.Options{MaxConnections: 2}, visit)
		for range 2 {
			send(t, n.dial(t, "10.0.0.2"), "GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		time.Sleep(time.Second / 2)
		if alive(n.dial(t, "10.0.0.3")) {
			t.Error("a client that has had no time to read has given way")
		}
		time.Sleep(time.Second)
		if !alive(n.dial(t, "10.0.0.3")) {
			t.Error("clients that take nothing have not given way")
		}
		if got, want := s.Stats(), (inbound.Stats{Open: 2, Max: 2, Evicted: 1, Refused: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// A machine with IPv6 has as many addresses as it likes, all of one network.
func TestNetworksOfIPv6CountAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := serve(t, inbound.Options{MaxConnections: 5}, visit)
		few := []net.Conn{n.dial(t, "2001:db8::1"), n.dial(t, "2001:db8::1")}
		for i := range 3 {
			n.dial(t, fmt.Sprint("2001:db8:0:1::", i))
		}
		for i := range 3 {
			n.dial(t, fmt.Sprint("2001:db8:0:1::1", i))
		}
		synctest.Wait()
		for _, c := range few {
			if !alive(c) {
				t.Error("an address with few connections gave way to a network with many")
			}
		}
	})
}

// When the process can open no more files, a connection is given up for the one that waits.
func TestServerWithoutFilesMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := serve(t, inbound.Options{}, visit)
		idle := n.dial(t, "10.0.0.2")
		n.failures <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
		synctest.Wait()
		if alive(idle) {
			t.Error("the idle connection has its file still")
		}
		if !alive(n.dial(t, "10.0.0.3")) {
			t.Error("the next one is not served")
		}
		if got := s.Stats(); got.Evicted != 1 {
			t.Errorf("%+v", got)
		}
	})
}
