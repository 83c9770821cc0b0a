package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"time"

	"github.com/stackscope/stackscope/internal/wire"
)

// Steps of Reach, in their order.
const (
	ReachAddress    = "address"
	ReachDNS        = "dns"
	ReachConnection = "connection"
	ReachTLS        = "tls"
	ReachHTTP       = "http"
)

// reachTime bounds each step of Reach.
const reachTime = 5 * time.Second

// Reach says how far a request to the server comes, a step at a time, and what to do about the first one that fails. An empty do: all
// steps succeed.
func (c *Client) Reach(ctx context.Context) (steps []wire.DoctorHop, do string) {
	r := reaching{client: c, host: c.base.Hostname(), secure: c.base.Scheme == "https"}
	r.port = cmp.Or(c.base.Port(), map[bool]string{false: "80", true: "443"}[r.secure])
	r.flow(ctx)
	return r.steps, r.do
}

type reaching struct {
	client     *Client
	host, port string
	secure     bool
	steps      []wire.DoctorHop
	do         string
}

func (r *reaching) add(step, state, seen string, since time.Time) {
	hop := wire.DoctorHop{Hop: step, State: state, Seen: seen}
	if !since.IsZero() {
		took := time.Since(since).Seconds()
		hop.Seconds = &took
	}
	r.steps = append(r.steps, hop)
}

func (r *reaching) flow(ctx context.Context) {
	proxy := r.proxy()
	if proxy != "" {
		r.add(ReachAddress, wire.HopWarning, "the environment says that requests go through the proxy "+proxy+" (HTTP_PROXY, HTTPS_PROXY); it must reach "+net.JoinHostPort(r.host, r.port), time.Time{})
	} else {
		r.add(ReachAddress, wire.HopOK, "host "+r.host+", port "+r.port, time.Time{})
		addresses, ok := r.lookUp(ctx)
		if !ok || !r.connect(ctx, addresses) {
			return
		}
	}
	r.request(ctx)
}

// proxy is the host of the proxy that requests go through; empty: none.
func (r *reaching) proxy() string {
	t, ok := r.client.http.Transport.(*http.Transport)
	if !ok {
		t = newTransport() // of what wraps one
	}
	if t.Proxy == nil {
		return ""
	}
	u, err := t.Proxy(&http.Request{URL: r.client.base})
	if err != nil || u == nil {
		return ""
	}
	return u.Host
}

func (r *reaching) lookUp(ctx context.Context) (addresses []string, ok bool) {
	if net.ParseIP(r.host) != nil {
		return []string{r.host}, true
	}
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	start := time.Now()
	addresses, err := net.DefaultResolver.LookupHost(ctx, r.host)
	if err != nil {
		detail, hint := explain(err)
		r.add(ReachDNS, wire.HopBroken, detail, start)
		r.do = hint + "; or give the server's IP address: --server-url " + r.client.base.Scheme + "://ADDRESS:" + r.port
		return nil, false
	}
	const most = 8
	r.add(ReachDNS, wire.HopOK, r.host+" is "+strings.Join(addresses[:min(most, len(addresses))], ", "), start)
	return addresses, true
}

// connect tries the addresses one after the other, as a client does.
func (r *reaching) connect(ctx context.Context, addresses []string) bool {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	start := time.Now()
	var first error
	for _, address := range addresses {
		target := net.JoinHostPort(address, r.port)
		conn, err := (&net.Dialer{Timeout: reachTime}).DialContext(ctx, "tcp", target)
		if err == nil {
			_ = conn.Close() // nothing was sent
			r.add(ReachConnection, wire.HopOK, "connected to "+target, start)
			return true
		}
		first = cmp.Or(first, err)
	}
	detail, _ := explain(first)
	r.add(ReachConnection, wire.HopBroken, "port "+r.port+" of "+strings.Join(addresses, ", ")+": "+detail, start)
	r.do = r.connectionAdvice(first)
	return false
}

func (r *reaching) connectionAdvice(err error) string {
	where := "on the machine " + r.host
	if ip := net.ParseIP(r.host); r.host == "localhost" || ip != nil && ip.IsLoopback() {
		where = "on this machine"
	}
	const portAdvice = "if it listens on another port, give that one: --server-url "
	url := r.client.base.Scheme + "://" + r.host + ":PORT"
	ne, _ := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens on port " + r.port + " " + where + ": start the server there (`stackscope server`, or its service or container); " + portAdvice + url
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route to " + r.host + ": check the network, a VPN and the address in --server-url"
	case ne != nil && ne.Timeout():
		return "nothing answers: allow TCP port " + r.port + " from this machine in the firewalls between, check that " + r.host + " is up and that the address in --server-url is right"
	}
	return "check that the server runs " + where + "; " + portAdvice + url
}

// request sends GET /healthz with the client's own connections and authorities, and without a token.
func (r *reaching) request(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	secured := make(chan string, 1)
	began := time.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// Another goroutine may call it after the request has ended.
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			if err == nil {
				select {
				case secured <- tls.VersionName(state.Version):
				default:
				}
			}
		},
	})
	bare := r.client.WithToken("")
	req, err := bare.newRequest(ctx, request{op: "reach", method: http.MethodGet, path: "/healthz"})
	if err != nil {
		r.add(ReachHTTP, wire.HopBroken, err.Error(), time.Time{})
		return
	}
	start := time.Now()
	resp, err := r.client.http.Do(req)
	step := ReachHTTP
	if r.secure {
		select {
		case version := <-secured:
			r.add(ReachTLS, wire.HopOK, version+", the certificate is valid", began)
		default:
			if err != nil {
				step = ReachTLS
			}
		}
	}
	if err != nil {
		e, _ := errors.AsType[*Error](r.client.transportError(ctx, request{}, err))
		r.add(step, wire.HopBroken, e.Detail, start)
		r.do = e.Hint
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxForeign)) // an unreadable body is none
	seen := fmt.Sprintf("GET /healthz: %s", resp.Status)
	if resp.StatusCode == http.StatusOK {
		r.add(ReachHTTP, wire.HopOK, seen, start)
		return
	}
	if text := oneLine(string(body)); text != "" {
		seen += ": " + text
	}
	r.add(ReachHTTP, wire.HopBroken, seen, start)
	r.do = "another program or a proxy answers there: check the host, the port and the path in --server-url"
	if strings.Contains(string(body), "HTTP request to an HTTPS server") {
		r.do = "the server there speaks TLS: use https:// in --server-url"
	}
}
