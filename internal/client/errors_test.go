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
