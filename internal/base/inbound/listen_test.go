package inbound

import (
	"net"
	"testing"
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
