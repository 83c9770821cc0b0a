package certfile

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// Authorities are those of a file of PEM. What changes in it is taken up as connections are opened; while it can't be used, the ones
// before stay.
type Authorities struct {
	path   string
	logger *slog.Logger

	mu         sync.Mutex
	pool       *x509.CertPool
	file       stamp
	lookedLast time.Time
	fault      string // as it was logged
}

// LoadAuthorities reads the file at path.
func LoadAuthorities(path string, logger *slog.Logger) (*Authorities, error) {
	a := &Authorities{path: path, logger: logger, file: stampOf(path), lookedLast: time.Now()}
	var err error
	if a.pool, err = a.read(); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Authorities) read() (*x509.CertPool, error) {
	text, err := os.ReadFile(a.path)
	if err != nil {
		return nil, fmt.Errorf("it can't be read: %w", durable.Cause(err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("it holds no certificate: give those of the authorities, in PEM")
	}
	return pool, nil
}

// Pool returns the authorities in force: another one once they changed.
func (a *Authorities) Pool() *x509.CertPool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if now.Sub(a.lookedLast) < interval {
		return a.pool
	}
	a.lookedLast = now
	file := stampOf(a.path)
	if file.same(a.file) && a.fault == "" { // what was unreadable may be readable without another stamp
		return a.pool
	}
	a.file = file
	pool, err := a.read()
	if err != nil {
		if a.fault != err.Error() {
			a.logger.Error("file of authorities that changed can't be used: the ones before stay in use", "file", a.path, "error", err)
		}
		a.fault = err.Error()
		return a.pool
	}
	a.fault = ""
	a.logger.Info("file of authorities is read again", "file", a.path)
	a.pool = pool
	return pool
}

// Path is the file's.
func (a *Authorities) Path() string { return a.path }
