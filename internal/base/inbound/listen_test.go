package inbound

import (
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestShare(t *testing.T) {
	files := Files()
	if files == 0 {
		t.Skip("the system does not say how many files there may be")
	}
	if got := Share(1, 50); got != 1 {
		t.Errorf("most 1: %d", got)
	}
	if got, want := Share(1<<40, 50), files/2; got < want-50 || got > want {
		t.Errorf("half of %d files: %d", files, got)
	}
}

// The system buffers little of an answer that its client does not read.
func TestSendBufferIsBounded(t *testing.T) {
	written := make(chan int, 1)
	s := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
		total := 0
		for piece := make([]byte, 16<<10); total < 64<<20; total += len(piece) {
			if _, err := w.Write(piece); err != nil {
				break
			}
		}
		written <- total
	}), Options{SendBuffer: 64 << 10})
	ln := listen(t)
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	defer func() {
		_ = s.Close()
		<-done
	}()
	c, err := (&net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		failed := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
		return errors.Join(err, failed)
	}}).Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if got := <-written; got > 512<<10 {
		t.Errorf("%d KiB were buffered for a client that reads nothing", got>>10)
	}
}
