package grafana

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// credentials recognises our own tokens.
type credentials struct{ sums [][sha256.Size]byte }

func newCredentials(tokens []string) credentials {
	var c credentials
	for _, token := range tokens {
		if token != "" {
			c.sums = append(c.sums, sha256.Sum256([]byte(token)))
		}
	}
	return c
}

// has compares in constant time; the hashes hide the length.
func (c credentials) has(s string) bool {
	sum := sha256.Sum256([]byte(s))
	found := 0
	for _, own := range c.sums {
		found |= subtle.ConstantTimeCompare(sum[:], own[:])
	}
	return found == 1
}

// strip removes headers that carry one of our tokens. Others belong to Grafana: its users' passwords and service tokens.
func (c credentials) strip(h http.Header) {
	for _, name := range [...]string{"Authorization", "X-Ds-Authorization"} { // Grafana sends the second one to datasources as the first
		var others []string
		for _, value := range h[name] {
			if !c.carries(value) {
				others = append(others, value)
			}
		}
		if len(others) == 0 {
			h.Del(name)
			continue
		}
		h[name] = others
	}
}

// carries reports whether a value of Authorization holds one of our tokens, as bearer or as either half of Basic.
func (c credentials) carries(value string) bool {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	rest = strings.TrimSpace(rest)
	if !strings.EqualFold(scheme, "Basic") {
		return c.has(rest) || c.has(scheme)
	}
	plain, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		return false
	}
	user, password, _ := strings.Cut(string(plain), ":")
	return c.has(password) || c.has(user)
}

// dropIdentity removes headers that name the user. A Grafana that is configured to trust an authenticating proxy would trust them,
// because we are its proxy, although any client can send them.
func dropIdentity(h http.Header) {
	for name := range h {
		for _, prefix := range [...]string{"X-Webauth-", "X-Auth-Request-", "X-Authenticated-", "X-Remote-", "Remote-"} {
			if strings.HasPrefix(name, prefix) {
				delete(h, name)
			}
		}
		switch name {
		case "X-Grafana-User", "X-Grafana-Id", "X-Grafana-Context", "X-User", "X-Username", "X-Email",
			"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token":
			delete(h, name)
		}
	}
}

// setForwarded sets the X-Forwarded headers. Values from a proxy in front of us stay. Host becomes the host in the user's browser,
// because Grafana compares it with the Origin of logins and WebSockets. X-Forwarded-Host can be trusted for that: a page of another
// site cannot make a browser send it.
func setForwarded(r *httputil.ProxyRequest) {
	in, out := r.In.Header, r.Out.Header
	if client, _, err := net.SplitHostPort(r.In.RemoteAddr); err == nil {
		out.Set("X-Forwarded-For", strings.Join(append(in.Values("X-Forwarded-For"), client), ", "))
	}
	outer, _, _ := strings.Cut(in.Get("X-Forwarded-Host"), ",") // the first of several proxies has it from the browser
	if outer = strings.TrimSpace(outer); isHost(outer) {
		r.Out.Host = outer
	}
	out.Set("X-Forwarded-Host", r.Out.Host)
	proto := "http"
	if r.In.TLS != nil {
		proto = "https"
	}
	if outer := in.Get("X-Forwarded-Proto"); outer != "" {
		proto = outer
	}
	out.Set("X-Forwarded-Proto", proto)
}

func isHost(s string) bool {
	u, err := url.Parse("http://" + s)
	return err == nil && s != "" && u.Host == s
}

// dropForwarded removes the X-Forwarded headers, for a Grafana that is not configured to be behind this proxy.
func dropForwarded(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "X-Forwarded-") {
			delete(h, name)
		}
	}
	h.Del("Forwarded")
	h.Del("X-Real-Ip")
}

// isUpgrade reports whether the request asks for another protocol on its connection, as WebSockets do.
func isUpgrade(r *http.Request) bool {
	for _, value := range r.Header.Values("Connection") {
		for option := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "Upgrade") {
				return r.Header.Get("Upgrade") != ""
			}
		}
	}
	return false
}
