package api_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/base/procnet"
	"github.com/stackscope/stackscope/internal/fleet"
)

// What could not be stored is not acknowledged: every change answers 503, says why and when to try again.
func TestChangesThatAreNotStored(t *testing.T) {
	full := fmt.Errorf("%w: store the inventory in database /secret/stackscope.db: %w (disk full): free space on that disk", fleet.ErrNotStored, fleet.ErrNoSpace)
	other := fmt.Errorf("%w: store the inventory in database /secret/stackscope.db: it is locked", fleet.ErrNotStored)
	for _, c := range []struct {
		method, path, body, token string
		admin                     bool
	}{
		{"POST", "/v2/workers/register", `{"uuid":"u","name":"n","address":"a","metrics_port":0}`, workerToken, false},
		{"PUT", "/v2/workers/1/report", `{"applied_generation":0,"instances":[]}`, "cred-1", false},
		{"DELETE", "/v2/workers/1", "", adminToken, true},
		{"DELETE", "/v2/revoked-workers/3", "", adminToken, true},
		{"POST", "/v2/metrics/config", `{"gpustack_metrics":{"gpustack:a":{"type":"gauge","description":"A."}},"runtime_mapping":{}}`, adminToken, true},
		{"DELETE", "/v2/metrics/config", "", adminToken, true},
	} {
		for _, err := range []error{full, other} {
			h := newAPI(t)
			h.inventory.fail, h.mapping.fail = err, err
			w := h.do(request(c.method, c.path, c.body, "Authorization", "Bearer "+c.token))
			p := problemOf(t, w, 503)
			if w.Header().Get("Retry-After") != "10" {
				t.Errorf("%s %s: Retry-After %q", c.method, c.path, w.Header().Get("Retry-After"))
			}
			if c.admin != strings.Contains(p.Detail, "/secret/") {
				t.Errorf("%s %s: %s", c.method, c.path, p.Detail)
			}
			if isFull := strings.Contains(p.Detail, "no space is left") && strings.Contains(p.Detail, "free space"); isFull != errors.Is(err, fleet.ErrNoSpace) {
				t.Errorf("%s %s: %s", c.method, c.path, p.Detail)
			}
		}
		h := newAPI(t)
		damaged := fmt.Errorf("%w: database is %w", fleet.ErrNotStored, fleet.ErrDamaged)
		h.inventory.fail, h.mapping.fail = damaged, damaged
		w := h.do(request(c.method, c.path, c.body, "Authorization", "Bearer "+c.token))
		if problemOf(t, w, 500); w.Header().Get("Retry-After") != "" {
			t.Errorf("%s %s: damage does not pass", c.method, c.path)
		}
	}
}

// The error for a worker of another user names the user to run it as.
func TestWhomAWorkerOfAnotherUserShouldRunAs(t *testing.T) {
	for uid, want := range map[int]string{0: "run the worker as root", serverUID: "run the worker as root or as the server's user, '#4200'"} {
		h := newAPI(t, func(o *api.Options) {
			o.UID = uid
			o.OwnerUID = func(netip.AddrPort, netip.AddrPort) (uint32, error) { return 33, nil }
		})
		r := local(request("POST", "/v2/workers/register", `{"uuid":"u","name":"n","address":"127.0.0.1","metrics_port":1}`, "Authorization", "Bearer "+workerToken))
		if w := h.do(r); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if got := h.inventory.registered.Elsewhere; !strings.HasSuffix(got, "; "+want) {
			t.Errorf("%d: %s", uid, got)
		}
	}
}

// The inventory gets to know which registrations come from the server's own machine.
func TestWhereRegistrationsComeFrom(t *testing.T) {
	for name, c := range map[string]struct {
		peer, host string
		headers    []string
		uid        uint32
		err        error
		want       string // nothing: from here
	}{
		"here":                {"127.0.0.1:5", "127.0.0.1", nil, serverUID, nil, ""},
		"here over IPv6":      {"[::1]:5", "localhost:80", nil, serverUID, nil, ""},
		"here, as root":       {"127.0.0.1:5", "127.0.0.1", nil, 0, nil, ""},
		"elsewhere":           {"192.0.2.1:5", "127.0.0.1", nil, serverUID, nil, "it came from another machine; if the worker is on the server's machine, start it with --server-url http://localhost:PORT"},
		"through a proxy":     {"127.0.0.1:5", "localhost", []string{"X-Forwarded-For", "192.0.2.1"}, serverUID, nil, `it has the header "X-Forwarded-For", which a proxy may have added`},
		"through a TCP proxy": {"127.0.0.1:5", "localhost", nil, 33, nil, "it came from user 33 and the server runs as another; run the worker as root or as the server's user"},
		"closed":              {"127.0.0.1:5", "localhost", nil, 0, procnet.ErrClosed, "its user could not be determined: "},
		"no Linux":            {"127.0.0.1:5", "localhost", nil, 0, procnet.ErrNotHere, ""},
	} {
		h := newAPI(t, func(o *api.Options) {
			o.NoTrustLoopback = true // concerns tokens alone
			o.OwnerUID = func(netip.AddrPort, netip.AddrPort) (uint32, error) { return c.uid, c.err }
		})
		r := request("POST", "/v2/workers/register", `{"uuid":"u","name":"n","address":"127.0.0.1","metrics_port":1,"local":true,"Local":true}`,
			append([]string{"Authorization", "Bearer " + workerToken}, c.headers...)...)
		r.RemoteAddr, r.Host = c.peer, c.host
		if w := h.do(r); w.Code != 200 {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		if got := h.inventory.registered; got.Local != (c.want == "") || !strings.HasPrefix(got.Elsewhere, c.want) || got.Local != (got.Elsewhere == "") {
			t.Errorf("%s: local = %v, elsewhere = %q", name, got.Local, got.Elsewhere)
		}
	}
}
