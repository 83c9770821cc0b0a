// Package webconfig protects an HTTP server with Prometheus' web configuration file: TLS, users and headers. exporter-toolkit parses and
// applies the file. This package makes changes of the file safe: while the file is invalid, all requests are refused, and while a
// certificate and its key do not match, the previous pair stays in use.
package webconfig

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/stackscope/stackscope/internal/base/certfile"
	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/logging"
)

// Flags has the flag of every command that runs a server.
type Flags struct {
	WebConfigFile string `name:"web.config.file" help:"Prometheus web configuration file: TLS, users and headers for the metrics ports and for --builtin-prometheus-port. Without it these ports answer everybody. Key in files: web_config_file." placeholder:"FILE" key:"web_config_file" env:"GPUSTACK_WEB_CONFIG_FILE" example:"/etc/stackscope/web.yml" group:"Configuration"`
}

// WorkerFlags has the flag of a worker alone.
type WorkerFlags struct {
	WebConfigFile string `name:"web.config.file" help:"Prometheus web configuration file: TLS, users and headers for the metrics port. Without it the port answers everybody. Key in files: web_config_file." placeholder:"FILE" key:"web_config_file" env:"GPUSTACK_WEB_CONFIG_FILE" example:"/etc/stackscope/web.yml" group:"Configuration"`
}

const flag = "--web.config.file"

// File is a web configuration file. A nil File protects nothing.
type File struct {
	path   string
	logger *slog.Logger
	tls    bool // of the first read; it does not change

	mu     sync.Mutex
	first  protection
	last   fileState
	fault  error
	logged map[string]string // the last logged fault, by subject

	warnings certfile.Warnings
}

// fileState is the result of reading the file.
type fileState struct {
	protection
	version int         // counts the reads
	info    os.FileInfo // nil: the file must be read again
}

// Load reads the file at path, and the files that it names. An empty path gives nil.
func Load(path string, logger *slog.Logger) (*File, error) {
	if path == "" {
		return nil, nil
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	f := &File{path: path, logger: logger.With(logging.KeyComponent, "web configuration", "file", path), logged: map[string]string{}}
	now, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, path, err)
	}
	f.first, f.tls = now, now.tls
	if _, err := f.current(); err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, path, err)
	}
	if !now.tls && !now.users {
		f.logger.Info("web configuration file has neither TLS (tls_server_config) nor users (basic_auth_users): its ports answer everybody")
	}
	return f, nil
}

// TLS reports whether servers speak TLS. It doesn't change while they run.
func (f *File) TLS() bool { return f != nil && f.tls }

// Restricts reports whether only some clients are served: those with a password, or those with a certificate of which the file sets the
// authority or the names.
func (f *File) Restricts() bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.last.protection
	return p.users || p.verifiedClientCert && (p.clientCA || len(p.sans) > 0)
}

// errNoListener ends web.Serve after it has configured a server.
var errNoListener = errors.New("nothing is served")

type noListener struct{}

func (noListener) Accept() (net.Conn, error) { return nil, errNoListener }
func (noListener) Close() error              { return nil }
func (noListener) Addr() net.Addr            { return &net.TCPAddr{} }

// Protect applies the file to the handler and the TLS configuration of srv. Call it before srv serves. Requests for a path in open need
// no password.
//
// The toolkit configures a server and serves in one call. Protect makes it configure a server that gets no connection, and takes that
// server's handler and TLS configuration, so that srv keeps its own limits.
func (f *File) Protect(srv *http.Server, open ...string) error {
	if f == nil {
		return nil
	}
	inner := srv.Handler
	d := &handler{file: f, inner: inner, open: open}
	s := &http.Server{Handler: http.HandlerFunc(d.authorized)} //nolint:gosec // serves nothing
	noSocket := false
	err := web.Serve(noListener{}, s, &web.FlagConfig{WebConfigFile: &f.path, WebSystemdSocket: &noSocket}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, errNoListener) {
		return fmt.Errorf("%s %s: %w", flag, f.path, err)
	}
	d.toolkit = s.Handler
	srv.Handler = d
	if !f.tls {
		return nil
	}
	if s.TLSConfig == nil || s.TLSConfig.GetConfigForClient == nil {
		return fmt.Errorf("%s %s: it was changed while it was read: start again", flag, f.path)
	}
	t := &handshakes{file: f, toolkit: s.TLSConfig.GetConfigForClient, protocols: []string{"h2", "http/1.1"}}
	if s.TLSNextProto != nil && len(s.TLSNextProto) == 0 { // HTTP/2 is off
		srv.TLSNextProto, t.protocols = map[string]func(*http.Server, *tls.Conn, http.Handler){}, t.protocols[1:]
	}
	if _, err := t.config(nil); err != nil {
		return fmt.Errorf("%s %s: %w", flag, f.path, err)
	}
	srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: t.config, NextProtos: t.protocols}
	return nil
}

func (f *File) current() (fileState, error) {
	for range maxReads - 1 {
		if state, err := f.currentOnce(); !errors.Is(err, errChanged) {
			return state, err
		}
	}
	state, err := f.currentOnce()
	if errors.Is(err, errChanged) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.setFault(err)
	}
	return state, err
}

// maxReads is how often the file is read before it is a fault that it is replaced meanwhile.
const maxReads = 3

var errChanged = errors.New("it was changed while it was read")

// currentOnce is current with a single read. It does not log errChanged.
func (f *File) currentOnce() (fileState, error) {
	info, err := f.stat()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.fault == nil && certfile.Same(info, f.last.info) {
		return f.last, nil
	}
	f.last.info = nil
	var now protection
	if err == nil {
		now, err = read(f.path)
	} else {
		err = durable.Cause(err)
	}
	if err == nil {
		err = now.weakenedSince(f.first)
	}
	switch changed := info != nil && !f.unchanged(info); {
	case info == nil:
	case changed, tooNew(info) && err == nil:
		err = errChanged
	case !tooNew(info):
		f.last.info = info
	}
	f.last.version++
	if errors.Is(err, errChanged) {
		f.fault = err
		return f.last, err
	}
	if err == nil {
		f.last.protection = now
	}
	f.setFault(err)
	return f.last, err
}

// setFault stores the fault of the file, or nil, and logs it if it is new. f.mu is held.
func (f *File) setFault(err error) {
	f.fault = err
	switch faultChanged := f.faultChanged("file", err); {
	case faultChanged && err != nil:
		f.logger.Error("web configuration file can't be used: requests are refused until it is fixed", "error", err)
	case faultChanged:
		f.logger.Info("web configuration file is read again")
	}
}

// mtimeGranularity is how old a modification time must be to show a later change. File systems count it in steps of some milliseconds. A
// file can be truncated and written again within one step.
const mtimeGranularity = 50 * time.Millisecond

// stat waits for mtimeGranularity if the file is too new.
func (f *File) stat() (os.FileInfo, error) {
	info, err := os.Stat(f.path) //nolint:gosec // the operator names it
	if err == nil && tooNew(info) {
		time.Sleep(mtimeGranularity)
		info, err = os.Stat(f.path) //nolint:gosec // the operator names it
	}
	return info, err
}

// tooNew reports whether another change of the file could leave its modification time as it is. A time in the future is not too new.
func tooNew(info os.FileInfo) bool {
	if info == nil {
		return false
	}
	age := time.Since(info.ModTime())
	return -mtimeGranularity < age && age < mtimeGranularity
}

// unchanged reports whether info still describes the file.
func (f *File) unchanged(info os.FileInfo) bool {
	now, err := os.Stat(f.path) //nolint:gosec // the operator names it
	return err == nil && certfile.Same(now, info)
}

// faultChanged notes a fault, or nil, and reports whether it differs from the last one. f.mu is held.
func (f *File) faultChanged(what string, err error) bool {
	text := ""
	if err != nil {
		text = err.Error()
	}
	before := f.logged[what]
	f.logged[what] = text
	return before != text
}
