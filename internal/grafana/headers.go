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

// credentials knows our own tokens.
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

// has compares in constant time; hashing hides the length.
func (c credentials) has(s string) bool {
	sum := sha256.Sum256([]byte(s))
	found := 0
	for _, own := range c.sums {
		found |= subtle.ConstantTimeCompare(sum[:], own[:])
	}
	return found == 1
}

// strip removes headers that carry one of our tokens. Others are Grafana's: its users' passwords and service tokens.
func (c credentials) strip(h http.Header) {
	for _, name := range [...]string{"Authorization", "X-Ds-Authorization"} { // Grafana passes the second one on as the first
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

// dropIdentity removes headers that say who the user is. A Grafana that takes an authenticating proxy's word for that would
// take ours, as we are the proxy, and here anybody could have sent them.
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

// setForwarded says where the request came from. What a proxy in front of us said about the user's side of it stays. Host becomes
// the one in the user's browser, because that is what Grafana compares with the Origin of logins and WebSockets; a page of
// another site can't send X-Forwarded-Host, so nothing is lost by believing it.
func setForwarded(r *httputil.ProxyRequest) {
	in, out := r.In.Header, r.Out.Header
	if client, _, err := net.SplitHostPort(r.In.RemoteAddr); err == nil {
		out.Set("X-Forwarded-For", strings.Join(append(in.Values("X-Forwarded-For"), client), ", "))
	}
	outer, _, _ := strings.Cut(in.Get("X-Forwarded-Host"), ",") // of several proxies the first one has it from the browser
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

// dropForwarded leaves nothing of where the request came from, for a Grafana that isn't behind us by its own setup.
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
