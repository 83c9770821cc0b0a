package client

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		err    error
		detail string
		hint   string
	}{
		{&net.DNSError{Name: "gpu-haed", IsNotFound: true}, "no such host: gpu-haed", "host name in the URL"},
		{&net.DNSError{Name: "gpu-head", IsTemporary: true, Err: "server misbehaving"}, "lookup failed", "DNS"},
		{&net.OpError{Op: "dial", Err: syscall.ENETUNREACH}, "no route", "network"},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), "no answer in time", "check that the server runs"},
		{&net.OpError{Op: "dial", Err: &timeoutError{}}, "no answer in time", "check that the server runs"},
		{x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}, "not valid", "renew"},
		{x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}, "not valid", "extendedKeyUsage=serverAuth"},
		{x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, "not valid", "another one"},
		{syscall.ECONNRESET, "reset", "check that the server runs"},
	} {
		detail, hint := explain(tt.err)
		if !strings.Contains(detail, tt.detail) || !strings.Contains(hint, tt.hint) {
			t.Errorf("explain(%v) = %q, %q", tt.err, detail, hint)
		}
	}
}

type timeoutError struct{}

func (*timeoutError) Error() string   { return "i/o timeout" }
func (*timeoutError) Timeout() bool   { return true }
func (*timeoutError) Temporary() bool { return true }

func TestRefusedTokens(t *testing.T) {
	const advice = "the token is not the admin token: send Authorization: Bearer with the content of the file admin-token on the server"
	for _, tt := range []struct {
		token, from string
		auth        auth
		detail      string
		want        string
	}{
		{"", "", authAdmin, "no", "no token was given: give a copy of admin-token in the server's data directory with --token-file"},
		{"x", "", authJoin, "no", "the token given is not the right one: give a copy of worker-token in the server's data directory with --token-file"},
		{"x", "--token-file f", authAdmin, "no", "the token of --token-file f is not the right one: give a copy of admin-token in the server's data directory with --token-file"},
		{"x", "--token-file f", authAdmin, advice, "what was sent is the token of --token-file f"},
		{"x", "", authAdmin, advice, ""},
		{"", "", authAdmin, advice, "no token was given: do that with --token-file"},
		{"x", "--token-file f", authWorker, "no", "the worker must register again"},
		{"x", "--token-file f", authNone, "no", ""},
	} {
		c := &Client{token: tt.token, tokenFrom: tt.from}
		if got := c.tokenHint(tt.auth, tt.detail); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}
