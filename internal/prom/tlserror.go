package prom

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"strings"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// tlsFault says why a TLS handshake failed, without anything that the target sent; "" for other errors.
func tlsFault(err error) string {
	const give = ": set tls_config.ca_file to its CA in " + httpConfigFlag
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is signed by a CA that this server does not trust" + give
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "its certificate is for another name than its address: issue one for that address, or set tls_config.server_name in " + httpConfigFlag
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
