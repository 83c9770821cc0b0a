package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/exposition"
)

// Kind is what a failed fetch shows of the engine.
type Kind int

// Kinds of failure.
const (
	// WrongAnswer: the engine answered, but not with a metrics page.
	WrongAnswer Kind = iota
	// Refused: nothing listens at its address.
	Refused
	// NoAnswer: the engine could not be reached or did not answer in time.
	NoAnswer
	// Cancelled: the caller cancelled the fetch, which says nothing about the engine.
	Cancelled
)

// Reason is why a fetch failed, more finely than Kind: a value of the label reason of gpustack:model_instance_no_metrics.
type Reason string

// Reasons of a failed fetch.
const (
	ReasonRefused      Reason = "refused"      // nothing listens at the engine's address
	ReasonTimeout      Reason = "timeout"      // no answer in time
	ReasonDNS          Reason = "dns"          // its host name cannot be resolved
	ReasonLost         Reason = "lost"         // the connection broke, or there is no way to it
	ReasonTLS          Reason = "tls"          // one side speaks TLS and the other does not, or the certificate is not accepted
	ReasonUnauthorized Reason = "unauthorized" // it answered 401 or 403
	ReasonNotFound     Reason = "not_found"    // it answered 404
	ReasonHTTPStatus   Reason = "http_status"  // it answered another status than 200
	ReasonNotMetrics   Reason = "not_metrics"  // it answered 200, but not with a metrics page
)

// Error says why a fetch failed. Its text is one line without credentials. The same reason gives the same text, so that callers log it
// once.
type Error struct {
	Kind   Kind
	Reason Reason
	Detail string
	Hint   string // what to do; may be empty

	TimedOut bool // the engine did not answer in time
	Status   int  // HTTP status of the answer; 0: it was 200, or there was no answer
	// Got is what came of the answer, for people to look at; zero: nothing. It is no part of the text.
	Got Excerpt
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Detail
	}
	return e.Detail + ": " + e.Hint
}

func wrongAnswer(detail, hint string) *Error {
	return &Error{Kind: WrongAnswer, Reason: ReasonNotMetrics, Detail: detail, Hint: hint}
}

func wrongProtocol(reason Reason, detail, hint string) *Error {
	return &Error{Kind: WrongAnswer, Reason: reason, Detail: detail, Hint: hint}
}

func noAnswer(reason Reason, detail, hint string) *Error {
	return &Error{Kind: NoAnswer, Reason: reason, Detail: detail, Hint: hint}
}

func timeout(detail, hint string) *Error {
	return &Error{Kind: NoAnswer, Reason: ReasonTimeout, Detail: detail, Hint: hint, TimedOut: true}
}

// speaksTLS is the error for an engine that speaks TLS and was asked without.
func speaksTLS() *Error {
	return wrongProtocol(ReasonTLS, "it speaks TLS", "write https:// in the URL")
}

// redirectedAway is the error for an engine at from that redirects to another place, which may be a login page or another program.
func redirectedAway(from, to *url.URL) *Error {
	switch {
	case to.Host == "" || to.Scheme != "http" && to.Scheme != "https":
		return wrongAnswer("answered with a redirect that leads to no HTTP address", isTheEngines)
	case from.Scheme == "http" && to.Scheme == "https" && strings.EqualFold(from.Hostname(), to.Hostname()):
		return wrongAnswer("answered with a redirect to https://"+clip.Line(to.Host, 253)+", which is not followed", "declare that address if it is the engine's")
	}
	return wrongAnswer("answered with a redirect to another host, "+clip.Line(to.Host, 253)+", which is not followed", "declare that address if it is the engine's")
}

// clientError turns an error of the HTTP client into an *Error. It omits the addresses of err, because the local one differs each
// time. host is the address that was asked.
func clientError(ctx context.Context, err error, host string) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	const reach = "is it running, and are host and port right?"
	if errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled) {
		return &Error{Kind: Cancelled, Detail: "the scrape was cancelled"}
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return noAnswer(ReasonDNS, "its host name "+clip.Line(e.Name, 253)+" cannot be resolved", "check the name and this machine's DNS")
	}
	switch text := err.Error(); {
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Kind: Refused, Reason: ReasonRefused, Detail: "connection refused at " + clip.Line(host, 253), Hint: reach}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF),
		strings.Contains(text, "server closed idle connection"): // it closed before the request was written
		return noAnswer(ReasonLost, "the connection was closed before the answer was complete", "see the engine's log; is the port right?")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return noAnswer(ReasonLost, "there is no route to its host", "check the address and the network")
	case isDial(err) && isTimeout(err):
		return timeout("no connection could be made in time", reach)
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return timeout("no complete answer before the scrape's deadline", "is it overloaded, or is the scrape timeout too short?")
	case strings.Contains(text, "server gave HTTP response to HTTPS client"), strings.Contains(text, "first record does not look like a TLS handshake"):
		return wrongProtocol(ReasonTLS, "it does not speak TLS", "write http:// in the URL")
	case strings.Contains(text, `malformed HTTP response "\x15\x03`): // an alert of TLS
		return speaksTLS()
	case strings.Contains(text, "malformed HTTP"), strings.Contains(text, "readLoopPeekFailLocked"):
		// The second is net/http's text when the other side speaks before it was asked, as SSH does.
		return wrongAnswer("it does not speak HTTP", "is the port right? If it speaks TLS, write https:// in the URL")
	case strings.Contains(text, "response headers exceeded"):
		return wrongAnswer("answered with too large headers", isTheEngines)
	case strings.Contains(text, "malformed MIME"), strings.Contains(text, "in chunk length"), strings.Contains(text, "malformed chunked encoding"):
		// Without the text: it may have what the other side sent, which differs from one scrape to the next.
		return wrongAnswer("its answer is not valid HTTP", "is the port right?")
	case strings.Contains(text, "tls: "), strings.Contains(text, "x509: "):
		return wrongProtocol(ReasonTLS, "its TLS certificate is not accepted: "+clip.Line(text, 200),
			"use a name of the certificate in the URL, and add its authority to this machine's certificates")
	default:
		if oe, ok := errors.AsType[*net.OpError](err); ok {
			text = oe.Op + ": " + oe.Err.Error()
		}
		return noAnswer(ReasonLost, "it cannot be reached: "+clip.Line(text, 200), reach)
	}
}

func isDial(err error) bool {
	oe, ok := errors.AsType[*net.OpError](err)
	return ok && oe.Op == "dial"
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// isTheEngines is the hint for an answer that may be another program's.
const isTheEngines = "is the URL the engine's?"

// wrongStatus returns the error for an answer with another status than 200, whose body begins with start.
func wrongStatus(t Target, resp *http.Response, start []byte) error {
	reason, hint := ReasonHTTPStatus, t.hint(resp.StatusCode)
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		reason, hint = ReasonUnauthorized, "give credentials in the URL, as in http://USER:PASSWORD@HOST:PORT"
		if t.user != "" || t.password != "" {
			hint = "it does not accept the credentials in the URL"
		}
	case http.StatusNotFound:
		reason, hint = ReasonNotFound, withHint(hint)
	case http.StatusBadRequest:
		if resp.Request != nil && resp.Request.URL.Scheme == "http" && asksForTLS(start) {
			e := speaksTLS()
			e.Status = resp.StatusCode
			return e
		}
	}
	return &Error{
		Kind: WrongAnswer, Reason: reason, Hint: hint, Status: resp.StatusCode,
		Detail: fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)),
		Got:    t.excerpt(resp.Header.Get("Content-Type"), start),
	}
}

func withHint(hint string) string { return strings.TrimSuffix(isTheEngines+" "+hint, " ") }

// asksForTLS reports whether the body of a 400 says that the server speaks TLS, as those of Go's server ("Client sent an HTTP request to an
// HTTPS server."), nginx ("The plain HTTP request was sent to HTTPS port") and Apache ("speaking plain HTTP to an SSL-enabled server port") do.
func asksForTLS(start []byte) bool {
	return bytes.Contains(start, []byte("HTTPS server")) || bytes.Contains(start, []byte("HTTPS port")) || bytes.Contains(start, []byte("SSL-enabled"))
}

// checkIsMetrics returns an error if body is not a metrics page. A body that begins with # is one, whatever its Content-Type says.
func checkIsMetrics(contentType string, body []byte) error {
	body = bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n")
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = ""
	}
	if len(body) == 0 {
		return nil
	}
	kind := ""
	switch {
	case body[0] == '#':
		return nil
	case body[0] == '<', media == "text/html":
		kind = "HTML"
	case body[0] == '[', media == "application/json", body[0] == '{' && !quotedName(body):
		kind = "JSON"
	case strings.Contains(media, "protobuf"):
		kind = "protobuf"
	case body[0] != '{' && !looksLikeSample(body):
		kind = "text"
	default:
		return nil
	}
	return wrongAnswer("answered "+kind+", not a metrics page", isTheEngines)
}

// quotedName reports whether body begins with a sample whose name is quoted, {"name",... or {"name"}, and not with JSON.
func quotedName(body []byte) bool {
	line, _, _ := bytes.Cut(body, []byte("\n"))
	quoted, begins := bytes.CutPrefix(line, []byte(`{"`))
	_, rest, ends := bytes.Cut(quoted, []byte(`"`))
	return begins && ends && len(rest) > 0 && (rest[0] == ',' || rest[0] == '}')
}

// looksLikeSample reports whether any of the first lines of body is a comment or a sample.
func looksLikeSample(body []byte) bool {
	const lines = 100
	var s exposition.Sample
	n := 0
	for line := range bytes.Lines(body) {
		line = exposition.TrimLine(bytes.TrimSuffix(line, []byte("\n")))
		if n++; n > lines {
			return false
		}
		if len(line) > 0 && (line[0] == '#' || s.Parse(line) == nil) {
			return true
		}
	}
	return false
}
