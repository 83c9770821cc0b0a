// Package inbound serves HTTP within bounds: on connections, on how long a body may take and all bodies together may hold, and
// on how long an answer waits for a client that reads nothing.
package inbound

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options configure a Server.
type Options struct {
	// MaxConnections bounds the connections that are open at once; 0: DefaultMaxConnections.
	MaxConnections int
	// Reserve is how many connections more there may be when none of the others can give way. Each gets one answer; Spare tells
	// handlers not to make that a long one.
	Reserve int
	// SendBuffer bounds what the system takes of an answer before the client does, which by default is megabytes. A small one slows
	// clients that are far away. 0: the default.
	SendBuffer int
	Logger     *slog.Logger // nil: silent
}

// DefaultMaxConnections is for listeners that few speak to.
const DefaultMaxConnections = 2048

// NearSendBuffer is a SendBuffer for clients in the same network, as those that scrape are.
const NearSendBuffer = 128 << 10

// maxStreams bounds the requests that a connection over HTTP/2 carries at once, each of which takes memory.
const maxStreams = 32

// Server is an http.Server within bounds. Its Handler is set before Serve.
type Server struct {
	*http.Server
	conns  *connections
	bodies bodies
	faults faults
	bind   sync.Once
}

// New returns a server with this project's timeouts. It has no write timeout, because watch streams stay open; what is written has
// one instead, which begins anew with each piece that the client takes.
func New(h http.Handler, o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = DefaultMaxConnections
	}
	return &Server{
		Server: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
			HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
			ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		},
		conns:  newConnections(o),
		faults: faults{logger: o.Logger},
	}
}

// Serve serves ln until Shutdown or Close, as http.Server.Serve does.
func (s *Server) Serve(ln net.Listener) error {
	s.bind.Do(s.wrap)
	return s.Server.Serve(s.conns.listen(ln))
}

// ServeTLS serves ln with the certificates of TLSConfig.
func (s *Server) ServeTLS(ln net.Listener) error {
	s.bind.Do(s.wrap)
	return s.Server.ServeTLS(s.conns.listen(ln), "", "")
}

// wrap puts the bounds around what the server's owner has set.
func (s *Server) wrap() {
	s.Handler = s.bounded(s.Handler)
	connContext, connState := s.ConnContext, s.ConnState
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, c)
		}
		if own := ours(c); own != nil {
			ctx = context.WithValue(ctx, connKey{}, own)
		}
		return ctx
	}
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if own := ours(c); own != nil && state == http.StateHijacked {
			own.release()
		}
		if connState != nil {
			connState(c, state)
		}
	}
}

// bounded lets next answer requests whose bodies and answers have deadlines, and answers for it where it panics.
func (s *Server) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(connKey{}).(*conn)
		if c == nil {
			c = &conn{} // a test that calls the handler itself
		}
		if c.spare {
			w.Header().Set("Connection", "close")
			if r.Header.Get("Upgrade") != "" {
				w.Header().Set("Retry-After", "1")
				http.Error(w, ErrFull.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		c.inside.Add(1)
		defer c.inside.Add(-1)
		if r.ContentLength != 0 && r.Body != nil {
			b := newBody(&s.bodies, c, w, r.Body)
			defer b.end()
			// A copy: net/http looks at the request's own body to decide what to do with the rest of it.
			bounded := new(http.Request)
			*bounded = *r
			bounded.Body = b
			r = bounded
		}
		if r.ProtoMajor >= 2 {
			st := newStream(w)
			defer st.end()
			w = st
		}
		s.faults.answer(w, r, next)
	})
}

// connKey is the context key of a request's connection.
type connKey struct{}

func ours(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	own, _ := c.(*conn)
	return own
}

// Trust notes that a request of this context came with a credential that holds. Its connection is then not given up for others.
func Trust(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.trusted.Store(true)
	}
}
