package certfile

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync"
	"time"
)

const (
	// soon is how long before its end a certificate is warned of, and again how often.
	soon      = 7 * 24 * time.Hour
	soonAgain = 24 * time.Hour
)

// Warnings warns of certificates that clients refuse, once for each certificate and reason. The zero value is ready to use.
type Warnings struct {
	mu   sync.Mutex
	leaf []byte
	told map[string]time.Time // by reason
}

// Look warns of what is wrong with a certificate that is shown to clients. It may be called with each connection.
func (w *Warnings) Look(c *tls.Certificate, file string, logger *slog.Logger) {
	if c == nil || len(c.Certificate) == 0 {
		return
	}
	leaf := c.Leaf
	if leaf == nil {
		var err error
		if leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told == nil || !bytes.Equal(w.leaf, leaf.Raw) {
		w.leaf, w.told = leaf.Raw, map[string]time.Time{}
	}
	now := time.Now()
	first := func(reason string, again time.Duration) bool {
		if last, ok := w.told[reason]; ok && (again == 0 || now.Sub(last) < again) {
			return false
		}
		w.told[reason] = now
		return true
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 && first("names", 0) {
		logger.Warn("certificate has no subjectAltName with a name or an address: clients refuse it. Make one with those by which clients come here; a new one in the file is taken up without a restart", "certificate", file)
	}
	switch {
	case now.After(leaf.NotAfter):
		if first("expired", 0) {
			logger.Warn("certificate has expired: clients refuse it. Put a new one into the file; it is taken up without a restart", "certificate", file, "expired_at", leaf.NotAfter)
		}
	case now.Before(leaf.NotBefore):
		if first("early", 0) {
			logger.Warn("certificate is not valid yet: clients refuse it until then. Look at this machine's clock, or put one that is valid into the file; it is taken up without a restart", "certificate", file, "valid_from", leaf.NotBefore)
		}
	case leaf.NotAfter.Sub(now) < soon:
		if first("soon", soonAgain) {
			logger.Warn("certificate expires soon: put a new one into the file; it is taken up without a restart", "certificate", file, "expires_at", leaf.NotAfter)
		}
	}
}
