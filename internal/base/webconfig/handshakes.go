package webconfig

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
)

// handshakes gives each connection the certificates that the files hold then. While they can't be used, as when one of a pair has been
// written and the other has not, it is what could be used last.
type handshakes struct {
	file      *File
	toolkit   func(*tls.ClientHelloInfo) (*tls.Config, error)
	protocols []string
	last      atomic.Pointer[tls.Config]
}

func (h *handshakes) config(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	var (
		seen   sight
		config *tls.Config
		err    = errMoved
	)
	for try := 0; try < maxReadings && errors.Is(err, errMoved); try++ {
		if seen, err = h.file.look(); err != nil {
			if last := h.last.Load(); last != nil {
				return last, nil // requests over it are refused
			}
			return nil, err
		}
		config, err = h.read(hello, seen)
	}
	h.file.mu.Lock()
	news := h.file.news("certificates", err)
	h.file.mu.Unlock()
	switch {
	case news && err != nil:
		h.file.logger.Error("certificates of the web configuration file can't be used: the ones before stay in use", "error", err)
	case news:
		h.file.logger.Info("certificates of the web configuration file are used again")
	}
	if err == nil {
		h.file.warnings.Look(&config.Certificates[0], seen.shown, h.file.logger)
		h.last.Store(config)
		return config, nil
	}
	if last := h.last.Load(); last != nil {
		return last, nil
	}
	return nil, err
}

func (h *handshakes) read(hello *tls.ClientHelloInfo, seen sight) (*tls.Config, error) {
	config, err := h.toolkit(hello)
	var certificate *tls.Certificate
	if err == nil {
		certificate, err = config.GetCertificate(hello)
	}
	if !h.file.unmoved(seen.info) {
		return nil, errMoved
	}
	if err != nil {
		return nil, oneLine(err)
	}
	// One reading is of both: the pair that is shown is the one that was checked.
	config.Certificates, config.GetCertificate = []tls.Certificate{*certificate}, nil
	config.NextProtos = h.protocols
	return config, nil
}
