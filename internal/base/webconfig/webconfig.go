// Package webconfig protects an HTTP server by a web configuration file, Prometheus' own for TLS and passwords. exporter-toolkit parses
// it and serves by it. Added is what a server needs that must not open by mistake: a file that became faulty refuses all requests, and
// certificates that do not fit leave the ones before in use.
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

// Flags is the flag of every command that is a server.
type Flags struct {
	WebConfigFile string `name:"web.config.file" help:"Prometheus web configuration file: TLS, users and headers for the metrics ports and for --builtin-prometheus-port. Without it these ports answer everybody. Key in files: web_config_file." placeholder:"FILE" key:"web_config_file" env:"GPUSTACK_WEB_CONFIG_FILE" group:"Configuration"`
}

// WorkerFlags is the flag of a worker alone.
type WorkerFlags struct {
	WebConfigFile string `name:"web.config.file" help:"Prometheus web configuration file: TLS, users and headers for the metrics port. Without it the port answers everybody. Key in files: web_config_file." placeholder:"FILE" key:"web_config_file" env:"GPUSTACK_WEB_CONFIG_FILE" group:"Configuration"`
}

const flag = "--web.config.file"

// File is a web configuration file in use. Nil protects nothing.
type File struct {
	path   string
	logger *slog.Logger
	tls    bool // fixed by the first look

	mu    sync.Mutex
	first protection
	last  sight
	fault error
	told  map[string]string // last logged fault by what it is of

	warnings certfile.Warnings
}

// sight is what a look at the file has found.
type sight struct {
	protection
	number int         // of the reading
	info   os.FileInfo // nil: it has to be read again
}

// Load reads the file at path, and what it names. An empty path gives nil.
func Load(path string, logger *slog.Logger) (*File, error) {
	if path == "" {
		return nil, nil
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	f := &File{path: path, logger: logger.With(logging.KeyComponent, "web configuration", "file", path), told: map[string]string{}}
	now, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, path, err)
	}
	f.first, f.tls = now, now.tls
	if _, err := f.look(); err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, path, err)
	}
	if !now.tls && !now.users {
		f.logger.Info("web configuration file has neither TLS (tls_server_config) nor users (basic_auth_users): its ports answer everybody")
	}
	return f, nil
}

// TLS reports whether servers speak TLS. It doesn't change while they run.
func (f *File) TLS() bool { return f != nil && f.tls }

// Restricts reports whether not everybody is answered: a password is asked for, or a certificate that the
// file says the authority or the name of.
func (f *File) Restricts() bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.last.protection
	return p.users || p.verified && (p.authorities || len(p.sans) > 0)
}

// errUnserved ends the serving that only sets a server up.
var errUnserved = errors.New("nothing is served")

type unserved struct{}

func (unserved) Accept() (net.Conn, error) { return nil, errUnserved }
func (unserved) Close() error              { return nil }
func (unserved) Addr() net.Addr            { return &net.TCPAddr{} }

// Protect puts the file's rules around the handler that srv has, and into its TLS configuration. It comes before srv serves, by TLS if
// that is on. Requests for a path in open need no password.
//
// The toolkit sets a server up and serves in one step. Here it does so with a server that gets no connection, so that its handler
// and its TLS can be put inside of the bounds that srv has.
func (f *File) Protect(srv *http.Server, open ...string) error {
	if f == nil {
		return nil
	}
	inner := srv.Handler
	d := &gate{file: f, inner: inner, open: open}
	s := &http.Server{Handler: http.HandlerFunc(d.serve)} //nolint:gosec // serves nothing
	noSocket := false
	err := web.Serve(unserved{}, s, &web.FlagConfig{WebConfigFile: &f.path, WebSystemdSocket: &noSocket}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, errUnserved) {
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

// look returns what the file says now, or what is wrong with it. One that didn't change isn't read again while it is in order; what is
// wrong may be in the files that it names.
func (f *File) look() (sight, error) {
	for range maxReadings - 1 {
		if seen, err := f.lookOnce(); !errors.Is(err, errMoved) {
			return seen, err
		}
	}
	seen, err := f.lookOnce()
	if errors.Is(err, errMoved) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.fail(err)
	}
	return seen, err
}

// maxReadings is how often a file is read that is replaced while it is: once is a moment's chance, always is a fault.
const maxReadings = 3

var errMoved = errors.New("it was changed while it was read")

// lookOnce doesn't log errMoved.
func (f *File) lookOnce() (sight, error) {
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
		err = now.opens(f.first)
	}
	switch moved := info != nil && !f.unmoved(info); {
	case info == nil:
	case moved, fresh(info) && err == nil:
		err = errMoved
	case !fresh(info):
		f.last.info = info
	}
	f.last.number++
	if errors.Is(err, errMoved) {
		f.fault = err
		return f.last, err
	}
	if err == nil {
		f.last.protection = now
	}
	f.fail(err)
	return f.last, err
}

// fail keeps and logs what is wrong with the file, or that nothing is any longer. f.mu is held.
func (f *File) fail(err error) {
	f.fault = err
	switch news := f.news("file", err); {
	case news && err != nil:
		f.logger.Error("web configuration file can't be used: requests are refused until it is fixed", "error", err)
	case news:
		f.logger.Info("web configuration file is read again")
	}
}

// settleTime is how old a file must be for its time to tell whether it was changed since: systems count that in steps of some
// milliseconds, and within one of them a file can be emptied and written again unnoticed.
const settleTime = 50 * time.Millisecond

// stat waits, but not for long, for the file to be old enough.
func (f *File) stat() (os.FileInfo, error) {
	info, err := os.Stat(f.path) //nolint:gosec // the operator names it
	if err == nil && fresh(info) {
		time.Sleep(settleTime)
		info, err = os.Stat(f.path) //nolint:gosec // the operator names it
	}
	return info, err
}

// fresh reports whether a file is so young that its time doesn't tell one content from the next. One from the future isn't.
func fresh(info os.FileInfo) bool {
	if info == nil {
		return false
	}
	age := time.Since(info.ModTime())
	return -settleTime < age && age < settleTime
}

// unmoved reports whether the file is still the one that info is of.
func (f *File) unmoved(info os.FileInfo) bool {
	now, err := os.Stat(f.path) //nolint:gosec // the operator names it
	return err == nil && certfile.Same(now, info)
}

// news reports whether a fault has to be logged, or that it is gone. f.mu is held.
func (f *File) news(what string, err error) bool {
	text := ""
	if err != nil {
		text = err.Error()
	}
	before := f.told[what]
	f.told[what] = text
	return before != text
}
