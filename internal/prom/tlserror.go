package prom

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"strings"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// tlsFault says why a connection over TLS did not come about, without anything that the target sent; "" when that wasn't the reason.
func tlsFault(err error) string {
	const give = ": give its authority as ca_file of tls_config in " + httpConfigFlag
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is signed by an authority that this server does not know" + give
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "its certificate is for another name than its address: have one made for that, or give server_name of tls_config in " + httpConfigFlag
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return "its certificate has expired, or is not valid yet"
		}
		return "its certificate is not valid"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not valid" + give
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "it does not speak TLS"
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return "a file that " + httpConfigFlag + " names can't be used: " + durable.Cause(err).Error()
	}
	switch text := err.Error(); {
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "it does not speak TLS"
	case strings.Contains(text, "unable to use specified"):
		return "the certificates that " + httpConfigFlag + " names can't be used"
	}
	return ""
}
