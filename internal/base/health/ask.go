package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"unicode"
)

// Path is what is asked for: both programs answer it with 200 as long as they work, also where everything else needs a password.
const Path = "/healthz"

// maxAnswer bounds what is read of an answer, maxReason what is shown of it.
const (
	maxAnswer = 4 << 10
	maxReason = 200
)

// ErrNobodyListens says that a connection was refused.
var ErrNobodyListens = errors.New("nothing listens there")

// way is how an address is asked.
type way struct {
	// unverified says that the certificate may be anybody's: on the way to itself a machine need not know whose it is.
	unverified bool
	// wants says that a program that wants a certificate of its client works: it cannot be asked more.
	wants bool
}

// Ask requests a URL and returns why its program does not work. The certificate of an address of the machine's loopback is not verified.
func Ask(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	return way{unverified: isLoopback(u.Hostname())}.ask(ctx, address)
}

func (w way) ask(ctx context.Context, address string) error {
	wanted := false // a certificate of the client's
	config := &tls.Config{
		InsecureSkipVerify: w.unverified, //nolint:gosec // to this machine itself
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			wanted = true
			return new(tls.Certificate), nil
		},
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true} // and no proxy
	defer transport.CloseIdleConnections()
	err := get(ctx, transport, address)
	if _, ok := errors.AsType[*url.Error](err); ok {
		if w.wants && wanted && !timedOut(err) {
			return nil
		}
		return explain(ctx, err)
	}
	return err
}

// AskOver requests a URL over a connection that transport makes, and returns why its program does not work.
func AskOver(ctx context.Context, transport *http.Transport, address string) error {
	transport.DisableKeepAlives = true
	err := get(ctx, transport, address)
	if _, ok := errors.AsType[*url.Error](err); ok {
		return explain(ctx, err)
	}
	return err
}

// get requests a URL. Without an answer the error is a *url.Error.
func get(ctx context.Context, transport *http.Transport, address string) error {
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "stackscope-healthcheck")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the status says it; the body only why
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("it answers %s: %s needs no password of stackscope, so another program stands before it; give the address of stackscope itself", resp.Status, Path)
	}
	return fmt.Errorf("it answers %s%s", resp.Status, reason(body))
}

// reason is the first line of an answer's body, behind a colon, without what a terminal would obey.
func reason(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if line == "" {
		return ""
	}
	return ": " + strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line[:min(len(line), maxReason)], ""))
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// explain says of an error of a request what it means.
func explain(ctx context.Context, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w; SSL_CERT_FILE names a file with the authority of a private certificate", err)
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return ErrNobodyListens
	case timedOut(err), ctx.Err() != nil:
		return errors.New("it does not answer in time")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return errors.New("it ends the connection without an answer")
	}
	return err
}

// notTLS reports whether the peer answered a TLS handshake with something else.
func notTLS(err error) bool {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok || err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
