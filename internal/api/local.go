package api

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/user"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/base/procnet"
)

const rootUID = 0

// loopbackTrust decides which requests from this machine need no token: those of the server's own user.
type loopbackTrust struct {
	uid      uint32 // the server's own user
	name     string // and its name, for sudo -u
	root     bool   // root is trusted too
	ownerUID func(client, server netip.AddrPort) (uint32, error)
}

func newLoopbackTrust(o Options) *loopbackTrust {
	l := &loopbackTrust{uid: uint32(max(0, o.UID)), root: o.TrustLoopbackRoot, ownerUID: o.OwnerUID}
	if l.ownerUID == nil {
		l.ownerUID = procnet.Owner
	}
	l.name = "'#" + strconv.Itoa(o.UID) + "'"
	if u, err := user.LookupId(strconv.Itoa(o.UID)); err == nil {
		l.name = u.Username
	}
	return l
}

// refusalReason returns why a request does not count as one of the server's own user on its own machine; empty if it does.
//
// A loopback address does not suffice: other machines can send requests through a TCP proxy on this machine, or through ssh -R. The
// system knows the user of each connection. It lists a connection that its process has closed as root's.
func (l *loopbackTrust) refusalReason(r *http.Request) string {
	if reason := notLocal(r); reason != "" {
		return reason
	}
	uid, err := l.user(r)
	switch {
	case errors.Is(err, procnet.ErrNotHere):
		return err.Error()
	case err != nil:
		return fmt.Sprintf("its user could not be determined: %v", err)
	case uid == l.uid, uid == rootUID && l.root:
		return ""
	case uid == rootUID:
		return fmt.Sprintf("it came from root and the server runs as another user: send it with sudo -u %s, or start the server with --trust-loopback-root", l.name)
	}
	return fmt.Sprintf("it came from user %d and the server runs as another: send it with sudo -u %s", uid, l.name)
}

// workerRefusalReason returns why a worker that registers with r does not count as one on this machine, and what to do; empty if it does.
// It must run as the server's user or as root. On a system that does not know the user of a connection, notLocal alone decides.
func (l *loopbackTrust) workerRefusalReason(r *http.Request) string {
	if reason := notLocal(r); reason != "" {
		return reason + "; if the worker is on the server's machine, start it with --server-url http://localhost:PORT, with the port of this server"
	}
	uid, err := l.user(r)
	switch {
	case errors.Is(err, procnet.ErrNotHere):
		return ""
	case err != nil:
		return fmt.Sprintf("its user could not be determined: %v", err)
	case uid == l.uid, uid == rootUID:
		return ""
	}
	as := "root"
	if l.uid != rootUID {
		as += " or as the server's user, " + l.name
	}
	return fmt.Sprintf("it came from user %d and the server runs as another; run the worker as %s", uid, as)
}

// user returns the user of the connection of r.
func (l *loopbackTrust) user(r *http.Request) (uint32, error) {
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return 0, err
	}
	localAddr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return 0, procnet.ErrUnknown
	}
	server, err := netip.ParseAddrPort(localAddr.String())
	if err != nil {
		return 0, err
	}
	return l.ownerUID(client, server)
}

// notLocal returns why r was not sent directly from this machine to this machine; empty if it seems so. Its address must be loopback. Its
// Host must be loopback: a page that rebinds its DNS name to 127.0.0.1 keeps its own name there. It must have no header that a proxy may
// have added. HTTP/1.0 is refused because nginx by default uses it for its upstreams and adds no header. A TCP proxy is not detected here.
func notLocal(r *http.Request) string {
	switch {
	case !fromLoopback(r):
		return "it came from another machine"
	case !isLoopbackHost(r.Host):
		return fmt.Sprintf("it was sent to %.100q and not to localhost", r.Host)
	case !r.ProtoAtLeast(1, 1):
		return "it was sent as HTTP/1.0, as proxies do"
	}
	for name := range r.Header {
		if !sentByClients(name) {
			return fmt.Sprintf("it has the header %.100q, which a proxy may have added", name)
		}
	}
	return ""
}

// sentByClients reports whether browsers and command-line programs send a header. The headers that proxies add cannot be listed.
func sentByClients(header string) bool {
	for _, prefix := range []string{"Accept", "Content-", "Sec-", "If-"} {
		if strings.HasPrefix(header, prefix) {
			return true
		}
	}
	switch header {
	case "Authorization", "Cache-Control", "Connection", "Cookie", "Dnt", "Expect", "Http2-Settings", "Origin", "Pragma", "Priority", "Range", "Referer",
		"Te", "Upgrade", "Upgrade-Insecure-Requests", "User-Agent":
		return true
	}
	return false
}

func fromLoopback(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

func isLoopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
