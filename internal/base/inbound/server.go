// Package inbound is an HTTP server with limits: on the number of connections, on the time and the memory of request bodies, and on how
// long an answer waits for a client that reads nothing.
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
	// MaxConnections bounds the connections that are open at the same time; 0: DefaultMaxConnections.
	MaxConnections int
	// Reserve is how many connections more are accepted when none of the others can be evicted. Each is closed after one answer.
	// Handlers of long requests must refuse them (see Reserved).
	Reserve int
	// SendBuffer is the send buffer of a connection in bytes; 0: the system's default, which can grow to megabytes. A small one slows
	// clients on long links.
	SendBuffer int
	Logger     *slog.Logger // nil: silent
}

// DefaultMaxConnections is for listeners with few clients.
const DefaultMaxConnections = 2048

// NearSendBuffer is a SendBuffer for clients in the same network, such as a Prometheus.
const NearSendBuffer = 128 << 10

// maxStreams bounds the concurrent requests of an HTTP/2 connection.
const maxStreams = 32

// Server is an http.Server with limits. Its Handler must be set before Serve.
type Server struct {
	*http.Server
	conns    *connections
	bodies   bodies
	panics   panicLog
	wrapOnce sync.Once
}

// New returns a server with this project's timeouts. It has no WriteTimeout, because watch streams stay open. Instead, each piece of an
// answer has a write deadline.
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
		panics: panicLog{logger: o.Logger},
	}
}

// Serve serves ln until Shutdown or Close, as http.Server.Serve does.
func (s *Server) Serve(ln net.Listener) error {
	s.wrapOnce.Do(s.wrap)
	return s.Server.Serve(s.conns.listen(ln))
}

// ServeTLS serves ln with the certificates of TLSConfig.
func (s *Server) ServeTLS(ln net.Listener) error {
	s.wrapOnce.Do(s.wrap)
	return s.Server.ServeTLS(s.conns.listen(ln), "", "")
}

// wrap adds the limits to the handler and the callbacks that the server's owner has set.
func (s *Server) wrap() {
	s.Handler = s.bounded(s.Handler)
	connContext, connState := s.ConnContext, s.ConnState
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, c)
		}
		if own := ownConn(c); own != nil {
			ctx = context.WithValue(ctx, connKey{}, own)
		}
		return ctx
	}
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if own := ownConn(c); own != nil && state == http.StateHijacked {
			own.release()
		}
		if connState != nil {
			connState(c, state)
		}
	}
}

// bounded gives the bodies and answers of next deadlines, and recovers its panics.
func (s *Server) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(connKey{}).(*conn)
		if c == nil {
			c = &conn{} // a test that calls the handler itself
		}
		if c.reserved {
			w.Header().Set("Connection", "close")
			if r.Header.Get("Upgrade") != "" {
				w.Header().Set("Retry-After", "1")
				http.Error(w, ErrFull.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		c.inHandler.Add(1)
		defer c.inHandler.Add(-1)
		if r.ContentLength != 0 && r.Body != nil {
			b := newBody(&s.bodies, c, w, r.Body)
			defer b.end()
			// Copy the request: net/http inspects the original body to decide what to do with its unread rest.
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
		s.panics.serve(w, r, next)
	})
}

// connKey is the context key of a request's connection.
type connKey struct{}

func ownConn(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	own, _ := c.(*conn)
	return own
}

// Trust notes that a request of this context has a valid credential. Its connection is then not evicted.
func Trust(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.trusted.Store(true)
	}
}
