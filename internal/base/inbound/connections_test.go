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

// testHandler trusts requests with an Authorization header. The path says whether it waits, writes 1 MiB or reads the body.
func testHandler(w http.ResponseWriter, r *http.Request) {
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

// isServed reports whether a request on the connection is answered with 200.
func isServed(c net.Conn) bool {
	if _, err := io.WriteString(c, get); err != nil {
		return false
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	return err == nil && answer.StatusCode == http.StatusOK
}

func TestFullServerEvictsIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := serve(t, inbound.Options{MaxConnections: 6}, testHandler)
		worker := n.dial(t, "10.0.0.2") // of the address that will have the most
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
		if isServed(first) {
			t.Error("the oldest idle connection of the address with most is not evicted")
		}
		n.dial(t, "10.0.0.4")
		synctest.Wait()
		if _, err := second.Write([]byte("y")); err == nil {
			t.Error("a connection that waits for a body is not evicted")
		}
		for name, c := range map[string]net.Conn{"a worker's": worker, "one of an address with few": other, "the youngest": third, "the newcomer's": newest} {
			if !isServed(c) {
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
		n, s := serve(t, inbound.Options{MaxConnections: 3}, testHandler)
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
		if isServed(n.dial(t, "10.0.0.2")) {
			t.Error("one too many is served")
		}
		if got, want := s.Stats(), (inbound.Stats{Open: 3, Max: 3, Refused: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func TestStalledClientIsEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := serve(t, inbound.Options{MaxConnections: 2}, testHandler)
		for range 2 {
			send(t, n.dial(t, "10.0.0.2"), "GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		time.Sleep(time.Second / 2)
		if isServed(n.dial(t, "10.0.0.3")) {
			t.Error("a client that has had no time to read is evicted")
		}
		time.Sleep(time.Second)
		if !isServed(n.dial(t, "10.0.0.3")) {
			t.Error("stalled clients are not evicted")
		}
		if got, want := s.Stats(), (inbound.Stats{Open: 2, Max: 2, Evicted: 1, Refused: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// A machine with IPv6 can use every address of its network.
func TestNetworksOfIPv6CountAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := serve(t, inbound.Options{MaxConnections: 5}, testHandler)
		few := []net.Conn{n.dial(t, "2001:db8::1"), n.dial(t, "2001:db8::1")}
		for i := range 3 {
			n.dial(t, fmt.Sprint("2001:db8:0:1::", i))
		}
		for i := range 3 {
			n.dial(t, fmt.Sprint("2001:db8:0:1::1", i))
		}
		synctest.Wait()
		for _, c := range few {
			if !isServed(c) {
				t.Error("an address with few connections was evicted for a network with many")
			}
		}
	})
}

// When the process can open no more files, an idle connection is evicted for the new one.
func TestServerWithoutFilesEvictsIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := serve(t, inbound.Options{}, testHandler)
		idle := n.dial(t, "10.0.0.2")
		n.failures <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
		synctest.Wait()
		if isServed(idle) {
			t.Error("the idle connection is still open")
		}
		if !isServed(n.dial(t, "10.0.0.3")) {
			t.Error("the next one is not served")
		}
		if got := s.Stats(); got.Evicted != 1 {
			t.Errorf("%+v", got)
		}
	})
}
