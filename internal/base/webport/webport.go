// Package webport serves a handler on a TCP port, with the TLS and the users of a web configuration file, and to its own process without
// them.
package webport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/base/pipe"
	"github.com/stackscope/stackscope/internal/base/webconfig"
)

// Options configure a Port.
type Options struct {
	// Name says in errors what is served, Flag by which flag the user chooses the port.
	Name, Flag string
	Host       string
	Port       int // 0: any free one
	Handler    http.Handler
	// WebConfigFile protects the port; empty: it is open to everybody. Open are the paths that it leaves open.
	WebConfigFile string
	Open          []string
	Inbound       inbound.Options
	Logger        *slog.Logger
}

// Port is an open port. The nil Port is none.
type Port struct {
	name     string
	listener net.Listener
	web      *webconfig.File // nil: there is no file
	srv      *inbound.Server
	inside   *pipe.Listener // nil: there is no file
	plain    *inbound.Server
}

// Open opens the port. Requests are answered once Serve is called.
func Open(o Options) (*Port, error) {
	web, err := webconfig.Load(o.WebConfigFile, o.Logger)
	if err != nil {
		return nil, err
	}
	p := &Port{name: o.Name, web: web, srv: inbound.New(o.Handler, o.Inbound)}
	if err := web.Protect(p.srv.Server, o.Open...); err != nil {
		return nil, err
	}
	if web != nil {
		p.inside, p.plain = pipe.Listen(), inbound.New(o.Handler, o.Inbound)
	}
	p.listener, err = lifecycle.Listen(o.Host, o.Port, o.Flag)
	return p, err
}

// Handler answers requests as the port does.
func (p *Port) Handler() http.Handler { return p.srv.Handler }

// Addr is where the port is, HOST:PORT; empty for none.
func (p *Port) Addr() string {
	if p == nil {
		return ""
	}
	return p.listener.Addr().String()
}

// TLS reports whether the port serves TLS.
func (p *Port) TLS() bool { return p != nil && p.web.TLS() }

// Dialer opens connections to the same handler without TLS and users, from within the process. It is nil where there is no web
// configuration file.
func (p *Port) Dialer() func(context.Context) (net.Conn, error) {
	if p == nil || p.inside == nil {
		return nil
	}
	return p.inside.Dial
}

// Serve answers requests until ctx ends, and then lets open ones finish within stopTimeout. It returns an error when it can no longer
// serve.
func (p *Port) Serve(ctx context.Context, stopTimeout time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 2) // of both listeners
	var wg sync.WaitGroup
	run := func(srv *inbound.Server, ln net.Listener, serve func(net.Listener) error) {
		wg.Go(func() {
			if err := serve(ln); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s on %s: %w", p.name, ln.Addr(), err)
				cancel()
			}
		})
		wg.Go(func() {
			<-ctx.Done()
			_ = lifecycle.Shutdown(ctx, stopTimeout, srv) // who is cut off sees it
		})
	}
	if p.TLS() {
		run(p.srv, p.listener, p.srv.ServeTLS)
	} else {
		run(p.srv, p.listener, p.srv.Serve)
	}
	if p.inside != nil {
		run(p.plain, p.inside, p.plain.Serve)
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// Close closes a port that is not served. A second call does nothing.
func (p *Port) Close() error {
	if err := p.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
