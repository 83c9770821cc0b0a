package webconfig

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
)

// handshakes gives each new connection the current certificate. While the files cannot be used, for example because only one file of a
// new pair is written, it is the last valid one.
type handshakes struct {
	file      *File
	toolkit   func(*tls.ClientHelloInfo) (*tls.Config, error)
	protocols []string
	last      atomic.Pointer[tls.Config]
}

func (h *handshakes) config(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	var (
		state  fileState
		config *tls.Config
		err    = errChanged
	)
	for try := 0; try < maxReads && errors.Is(err, errChanged); try++ {
		if state, err = h.file.current(); err != nil {
			if last := h.last.Load(); last != nil {
				return last, nil // the handler refuses the requests
			}
			return nil, err
		}
		config, err = h.read(hello, state)
	}
	h.file.mu.Lock()
	faultChanged := h.file.faultChanged("certificates", err)
	h.file.mu.Unlock()
	switch {
	case faultChanged && err != nil:
		h.file.logger.Error("certificates of the web configuration file can't be used: the ones before stay in use", "error", err)
	case faultChanged:
		h.file.logger.Info("certificates of the web configuration file are used again")
	}
	if err == nil {
		h.file.warnings.Look(&config.Certificates[0], state.certFile, h.file.logger)
		h.last.Store(config)
		return config, nil
	}
	if last := h.last.Load(); last != nil {
		return last, nil
	}
	return nil, err
}

func (h *handshakes) read(hello *tls.ClientHelloInfo, state fileState) (*tls.Config, error) {
	config, err := h.toolkit(hello)
	var certificate *tls.Certificate
	if err == nil {
		certificate, err = config.GetCertificate(hello)
	}
	if !h.file.unchanged(state.info) {
		return nil, errChanged
	}
	if err != nil {
		return nil, oneLine(err)
	}
	// Clients get the pair that was validated, not one that the toolkit reads later.
	config.Certificates, config.GetCertificate = []tls.Certificate{*certificate}, nil
	config.NextProtos = h.protocols
	return config, nil
}
