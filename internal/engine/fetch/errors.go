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

// Error says why a fetch failed. Its text is one line without credentials. The same reason gives the same text, so that callers log it
// once.
type Error struct {
	Kind   Kind
	Detail string
	Hint   string // what to do; may be empty

	TimedOut bool // the engine did not answer in time
	Status   int  // HTTP status of the answer; 0: it was 200, or there was no answer
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Detail
	}
	return e.Detail + ": " + e.Hint
}

func wrongAnswer(detail, hint string) *Error {
	return &Error{Kind: WrongAnswer, Detail: detail, Hint: hint}
}

func noAnswer(detail, hint string) *Error { return &Error{Kind: NoAnswer, Detail: detail, Hint: hint} }

func timeout(detail, hint string) *Error {
	return &Error{Kind: NoAnswer, Detail: detail, Hint: hint, TimedOut: true}
}

// clientError turns an error of the HTTP client into an *Error. It omits addresses, because the local one differs each time.
func clientError(ctx context.Context, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	const reach = "is it running, and are host and port right?"
	if errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled) {
		return &Error{Kind: Cancelled, Detail: "the scrape was cancelled"}
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return noAnswer("its host name "+clip.Line(e.Name, 253)+" cannot be resolved", "check the name and this machine's DNS")
	}
	switch text := err.Error(); {
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Kind: Refused, Detail: "connection refused", Hint: reach}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return noAnswer("the connection was closed before the answer was complete", "")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return noAnswer("there is no route to its host", "check the address and the network")
	case isDial(err) && isTimeout(err):
		return timeout("no connection could be made in time", reach)
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return timeout("no complete answer before the scrape's deadline", "is it overloaded, or is the scrape timeout too short?")
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return wrongAnswer("it does not speak TLS", "write http:// in the URL")
	case strings.Contains(text, "malformed HTTP"), strings.Contains(text, "readLoopPeekFailLocked"):
		// The second is net/http's text when the other side speaks before it was asked, as SSH does.
		return wrongAnswer("it does not speak HTTP", "is the port right? If it speaks TLS, write https:// in the URL")
	case strings.Contains(text, "tls: "), strings.Contains(text, "x509: "):
		return wrongAnswer("its TLS certificate is not accepted: "+clip.Line(text, 200), "")
	default:
		if oe, ok := errors.AsType[*net.OpError](err); ok {
			text = oe.Op + ": " + oe.Err.Error()
		}
		return noAnswer("it cannot be reached: "+clip.Line(text, 200), reach)
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

// wrongStatus returns the error for an answer with another status than 200.
func wrongStatus(hint string, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		hint = "give credentials in the URL, as in http://USER:PASSWORD@HOST:PORT"
	case http.StatusNotFound:
		hint = strings.TrimSuffix("is the URL the engine's? "+hint, " ")
	}
	e := wrongAnswer(fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)), hint)
	e.Status = resp.StatusCode
	return e
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
	return wrongAnswer("answered "+kind+", not a metrics page", "is the URL the engine's?")
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
