package certfile

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// Pair is a certificate and its key, each in a file of PEM. A new pair in the files is taken up as connections come. While the two
// don't fit each other, as when one has been written and the other has not, the pair before stays in use.
type Pair struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu         sync.Mutex
	current    *tls.Certificate
	shown      [][]byte // the leafs that were in use, the newest last
	cert, key  stamp    // of the files as they were read last
	lookedLast time.Time
	fault      string // as it was logged
	warnings   Warnings
}

// LoadPair reads a pair. The error doesn't name the files.
func LoadPair(certFile, keyFile string, logger *slog.Logger) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, logger: logger}
	p.cert, p.key = stampOf(certFile), stampOf(keyFile)
	current, err := p.read()
	if err != nil {
		return nil, err
	}
	p.use(current)
	p.warnings.Look(p.current, certFile, logger)
	p.lookedLast = time.Now()
	return p, nil
}

func (p *Pair) read() (*tls.Certificate, error) {
	cert, err := os.ReadFile(p.certFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate can't be read: %w", durable.Cause(err))
	}
	key, err := os.ReadFile(p.keyFile)
	if err != nil {
		return nil, fmt.Errorf("the key can't be read: %w", durable.Cause(err))
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

func (p *Pair) use(pair *tls.Certificate) {
	const remembered = 3
	p.current = pair
	p.shown = append(p.shown, pair.Certificate[0])
	p.shown = p.shown[max(0, len(p.shown)-remembered):]
}

// GetCertificate is for tls.Config.
func (p *Pair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.lookedLast) >= interval {
		p.lookedLast = now
		p.look()
		p.warnings.Look(p.current, p.certFile, p.logger)
	}
	return p.current, nil
}

// look takes up what changed. p.mu is held.
func (p *Pair) look() {
	cert, key := stampOf(p.certFile), stampOf(p.keyFile)
	if cert.same(p.cert) && key.same(p.key) && p.fault == "" { // what was unreadable may be readable without another stamp
		return
	}
	p.cert, p.key = cert, key
	pair, err := p.read()
	if err != nil {
		if p.fault != err.Error() {
			p.logger.Error("certificate and key that changed can't be used: the ones before stay in use", "certificate", p.certFile, "key", p.keyFile, "error", err)
		}
		p.fault = err.Error()
		return
	}
	p.fault = ""
	p.use(pair)
	p.logger.Info("certificate is read again", "certificate", p.certFile)
}

// Shown reports whether a leaf certificate is the one in use, or was in use lately.
func (p *Pair) Shown(leaf []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.shown, func(s []byte) bool { return bytes.Equal(s, leaf) })
}
