package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/wire"
)

// Error is a request that failed. Its text is one line with the address, the cause and what to do.
type Error struct {
	Op  string // what was tried, such as "register worker"
	URL string // the server's address
	// Status is the answer's HTTP status; 0 when there was no answer.
	Status int
	// TokenRefused says that the token is not the right one, whatever the status: 401, or 429 after too many such requests.
	TokenRefused bool
	// RetryAfter is how long the server wants to be left in peace; 0: it doesn't say.
	RetryAfter time.Duration
	// Detail is the server's own explanation, or the cause for which there was no answer.
	Detail string
	// Faults are the faults of a mapping document that was refused, in the order of the document.
	Faults []wire.Fault
	// Hint says what to do; may be empty.
	Hint string
	// Err is the cause when there was no answer, or nil.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s: ", e.Op, e.URL)
	if e.Status != 0 {
		fmt.Fprintf(&b, "%d %s", e.Status, http.StatusText(e.Status))
		if e.Detail != "" {
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Detail)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause when there was no answer.
func (e *Error) Unwrap() error { return e.Err }

// transportError explains why there was no answer, or only part of one.
func (c *Client) transportError(ctx context.Context, r request, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		err = cause
	}
	e := &Error{Op: r.op, URL: c.URL(), Err: err}
	e.Detail, e.Hint = explain(unwrapURL(err))
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok && c.caFile != "" {
		e.Detail = "the server's TLS certificate is signed by none of the authorities in --ca-file " + c.caFile
		e.Hint = "put the certificate of the one that signed it into that file, or check that the URL is your server's"
	}
	return e
}

// explain turns a transport error into its cause and the next step, each without the address.
func explain(err error) (detail, hint string) {
	const reach = "check that the server runs there and that the URL and port are right"
	if _, ok := errors.AsType[*tls.RecordHeaderError](err); ok {
		return "the server there does not speak TLS", "use http:// in the URL"
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server there does not speak TLS: " + e.Msg, "use http:// in the URL"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the server's TLS certificate is signed by an authority that this machine does not know",
			"give that authority's certificate (PEM) with --ca-file FILE, or add it to this machine's trusted certificates"
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok && len(e.Certificate.DNSNames) == 0 && len(e.Certificate.IPAddresses) == 0 {
		return "the server's TLS certificate holds no name in a subjectAltName, so it is for no URL", "have one made with the server's name in it (openssl: -addext subjectAltName=" + altName(e.Host) + ")"
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the server's TLS certificate is for another name: " + e.Error(), "use a name in the URL that the certificate holds"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		hint := "have another one made"
		switch e.Reason {
		case x509.Expired:
			hint = "renew the certificate, or check both clocks"
		case x509.IncompatibleUsage:
			hint = "have one made for servers (openssl: -addext extendedKeyUsage=serverAuth)"
		}
		return "the server's TLS certificate is not valid: " + e.Error(), hint
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		if e.IsNotFound {
			return "no such host: " + e.Name, "check the host name in the URL"
		}
		return "host name lookup failed: " + e.Error(), "check this machine's DNS"
	}
	switch {
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the server there does not speak TLS", "use http:// in the URL"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused", reach
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to that host", "check the network and the URL"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time", reach
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return "no answer in time (" + err.Error() + ")", reach
	}
	return err.Error(), reach
}

// altName is what a certificate for a host has in its subjectAltName, as openssl takes it.
func altName(host string) string {
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		return "IP:" + ip.String()
	}
	return "DNS:" + host
}

// answerError explains an answer that is no success.
func (c *Client) answerError(r request, resp *http.Response) error {
	data, err := httpjson.ReadAll(resp.Body, maxBodyBytes)
	if err != nil {
		return c.notOurs(r, resp, "its answer cannot be read: "+err.Error())
	}
	var p struct {
		Detail string       `json:"detail"`
		Title  string       `json:"title"`
		Errors []wire.Fault `json:"errors"`
	}
	if json.Unmarshal(data, &p) != nil || (p.Detail == "" && p.Title == "") {
		text := oneLine(string(data))
		if strings.Contains(text, "HTTP request to an HTTPS server") {
			return &Error{Op: r.op, URL: c.URL(), Status: resp.StatusCode, Detail: "the server there speaks TLS", Hint: "use https:// in the URL"}
		}
		return c.notOurs(r, resp, text)
	}
	e := &Error{
		Op: r.op, URL: c.URL(), Status: resp.StatusCode, Detail: clean(p.Detail, maxDetail), Faults: p.Errors,
		TokenRefused: tokenRefused(resp), RetryAfter: retryAfter(resp.Header.Get("Retry-After")),
	}
	if e.Detail == "" {
		e.Detail = clean(p.Title, maxDetail)
	}
	if e.TokenRefused {
		e.Hint = c.tokenHint(r.auth, e.Detail)
	}
	return e
}

// tokenRefused reports whether an answer says that the token is wrong. Of a 429 its challenge says so (RFC 6750).
func tokenRefused(resp *http.Response) bool {
	if resp.StatusCode != http.StatusTooManyRequests {
		return resp.StatusCode == http.StatusUnauthorized
	}
	return slices.ContainsFunc(resp.Header.Values("WWW-Authenticate"), func(challenge string) bool {
		return strings.Contains(challenge, `error="invalid_token"`)
	})
}

// retryAfter reads a header Retry-After: seconds, or a date.
func retryAfter(s string) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// tokenHint says which token was refused and which one to give, as far as the server's own words don't.
func (c *Client) tokenHint(a auth, detail string) string {
	switch a {
	case authNone:
		return ""
	case authWorker:
		return "the worker must register again"
	}
	refused, advised := "the token given is not the right one", strings.Contains(detail, string(a))
	switch {
	case c.token == "" && advised:
		return "no token was given: do that with --token-file"
	case c.token == "":
		refused = "no token was given"
	case advised && c.tokenFrom != "":
		return "what was sent is the token of " + c.tokenFrom
	case advised:
		return ""
	case c.tokenFrom != "":
		refused = "the token of " + c.tokenFrom + " is not the right one"
	}
	return refused + ": give a copy of " + string(a) + " in the server's data directory with --token-file"
}

func (c *Client) notOurs(r request, resp *http.Response, detail string) error {
	hint := "check that the URL is a stackscope server's and not another program's or a proxy's"
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusUnauthorized {
		hint += "; is it a metrics port?"
	}
	return &Error{
		Op: r.op, URL: c.URL(), Status: resp.StatusCode, Detail: detail,
		TokenRefused: tokenRefused(resp), RetryAfter: retryAfter(resp.Header.Get("Retry-After")),
		Hint: hint,
	}
}

// Bounds of texts in one line, in bytes: of our own server, whose last words are what to do, and of others.
const (
	maxDetail  = 2048
	maxForeign = 300
)

// oneLine makes foreign text fit for one line of a log.
func oneLine(s string) string { return clean(s, maxForeign) }

// clean makes control characters spaces and cuts a text to limit bytes.
func clean(s string, limit int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}

func unwrapURL(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}
