package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os/user"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/base/procnet"
)

// Requests from loopback of another user, of a proxy, or of a closed connection are not trusted.
func TestOnlyTheServersUserIsTrusted(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	is := func(uid uint32) func(*api.Options) {
		return func(o *api.Options) {
			o.OwnerUID = func(client, server netip.AddrPort) (uint32, error) {
				if client != netip.MustParseAddrPort("127.0.0.1:50000") || server != serverAddr {
					return 0, fmt.Errorf("asked for %v to %v", client, server)
				}
				return uid, nil
			}
		}
	}
	fails := func(err error) func(*api.Options) {
		return func(o *api.Options) {
			o.OwnerUID = func(netip.AddrPort, netip.AddrPort) (uint32, error) { return 0, err }
		}
	}
	none := func(*api.Options) {}
	as := func(uid int) func(*api.Options) { return func(o *api.Options) { o.UID = uid } }
	withRoot := func(o *api.Options) { o.TrustLoopbackRoot = true }
	for _, tt := range []struct {
		name    string
		owner   func(*api.Options)
		server  func(*api.Options)
		want    int
		because []string
	}{
		{"the server's user", is(serverUID), none, 200, nil},
		{"another user", is(33), none, 401, []string{"user 33", "sudo -u '#4200'", "DATA_DIR/admin-token"}},
		{"another user, with root trusted", is(33), withRoot, 401, []string{"user 33"}},
		{"root", is(0), none, 401, []string{"root", "sudo -u '#4200'", "--trust-loopback-root", "DATA_DIR/admin-token"}},
		{"root, trusted", is(0), withRoot, 200, nil},
		{"root, as the server", is(0), as(0), 200, nil},
		{"a user, when the server is root", is(33), as(0), 401, []string{"user 33", "sudo -u root"}},
		{"closed by its owner", fails(procnet.ErrClosed), none, 401, []string{"closed"}},
		{"closed by its owner, when the server is root", fails(procnet.ErrClosed), as(0), 401, []string{"closed"}},
		{"closed by its owner, with root trusted", fails(procnet.ErrClosed), withRoot, 401, []string{"closed"}},
		{"not listed", fails(procnet.ErrUnknown), as(0), 401, []string{"no such connection"}},
		{"no Linux", fails(procnet.ErrNotHere), as(0), 401, []string{"does not tell"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newAPI(t, tt.owner, tt.server)
			w := h.do(local(request("POST", "/v2/metrics/config", smallMapping)))
			if w.Code != tt.want || (h.mapping.Current().Number != 0) != (tt.want == 200) {
				t.Fatalf("%d, generation %d; want %d: %s", w.Code, h.mapping.Current().Number, tt.want, w.Body)
			}
			if tt.want == 200 {
				return
			}
			p := problemOf(t, w, tt.want)
			for _, want := range tt.because {
				if !strings.Contains(p.Detail, want) {
					t.Errorf("lacks %q: %s", want, p.Detail)
				}
			}
		})
	}
	t.Run("the user has a name", func(t *testing.T) {
		var uid int
		if _, err := fmt.Sscan(me.Uid, &uid); err != nil {
			t.Skipf("this system numbers its users otherwise: %s", me.Uid)
		}
		h := newAPI(t, is(99999), as(uid))
		p := problemOf(t, h.do(local(request("DELETE", "/v2/workers/1", ""))), 401)
		if !strings.Contains(p.Detail, "sudo -u "+me.Username) {
			t.Errorf("names no user to send it as: %s", p.Detail)
		}
	})
	for because, r := range map[string]*http.Request{
		`"X-Request-Id"`: local(request("DELETE", "/v2/workers/1", "", "X-Request-Id", "1")),
		"HTTP/1.0":       oldHTTP(local(request("DELETE", "/v2/workers/1", ""))),
		`"gpu-head"`: func() *http.Request {
			r := local(request("DELETE", "/v2/workers/1", ""))
			r.Host = "gpu-head"
			return r
		}(),
	} {
		t.Run(because, func(t *testing.T) {
			if p := problemOf(t, newAPI(t).do(r), 401); !strings.Contains(p.Detail, because) {
				t.Errorf("does not say why: %s", p.Detail)
			}
		})
	}
	t.Run("no connection", func(t *testing.T) {
		r := request("DELETE", "/v2/workers/1", "")
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, nil))
		problemOf(t, newAPI(t).do(local(r)), 401)
	})
}

// The table of connections is read only if its result decides.
func TestUserIsLookedUpOnlyIfNeeded(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"reading":         local(request("GET", "/v2/metrics/config", "")),
		"another machine": request("DELETE", "/v2/workers/1", ""),
		"with a token":    asAdmin(local(request("DELETE", "/v2/workers/1", ""))),
		"a wrong token":   local(request("DELETE", "/v2/workers/1", "", "Authorization", "Bearer x")),
		"through a proxy": local(request("DELETE", "/v2/workers/1", "", "Via", "1.1 x")),
		"joining in vain": local(request("POST", "/v2/workers/register", "{}")),
	} {
		h := newAPI(t, func(o *api.Options) {
			o.OwnerUID = func(netip.AddrPort, netip.AddrPort) (uint32, error) {
				t.Errorf("%s: looked up", name)
				return 0, procnet.ErrUnknown
			}
		})
		h.do(r)
	}
}
