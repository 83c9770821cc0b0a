package ownaddress

import (
	"net"
	"testing"
)

func TestFind(t *testing.T) {
	if got := route(t.Context(), "127.0.0.1"); got.String() != "127.0.0.1" {
		t.Errorf("got %s", got)
	}
	if got := route(t.Context(), "server.invalid"); got != nil {
		t.Errorf("got %s", got)
	}
	for _, c := range []struct{ bindHost, serverURL, want string }{
		{"10.0.0.1", "http://127.0.0.1", "10.0.0.1"},
		{"127.0.0.1", "", "127.0.0.1"},
		{"::1", "", "::1"},
	} {
		if got := Find(t.Context(), c.bindHost, c.serverURL); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	for _, c := range []struct{ bindHost, serverURL string }{{}, {"0.0.0.0", "http://127.0.0.1:80"}, {"::", "http://server.invalid"}} {
		got := net.ParseIP(Find(t.Context(), c.bindHost, c.serverURL))
		if got == nil || got.IsUnspecified() {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}
