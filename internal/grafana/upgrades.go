package grafana

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// upgrades tracks the connections that were upgraded from HTTP, such as WebSockets. http.Server.Shutdown neither waits for those
// nor closes them; upgrades closes them.
type upgrades struct {
	most int
	idle func() // closes idle connections to Grafana

	mu      sync.Mutex
	open    int
	last    int64
	servers map[*http.Server]*connections
}

// connections are the upgraded connections of one server.
type connections struct {
	over bool // the server is shutting down
	end  map[int64]context.CancelFunc
}

func newUpgrades(most int, idle func()) *upgrades {
	return &upgrades{most: most, idle: idle, servers: map[*http.Server]*connections{}}
}

// follow registers for the shutdown of a server, once.
func (u *upgrades) follow(srv *http.Server) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.servers[srv] != nil {
		return
	}
	u.servers[srv] = &connections{end: map[int64]context.CancelFunc{}}
	if srv != nil {
		srv.RegisterOnShutdown(func() { u.shutdown(srv) })
	}
}

func (u *upgrades) shutdown(srv *http.Server) {
	u.idle()
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.servers[srv]
	c.over = true
	for _, end := range c.end {
		end()
	}
}

// begin registers a connection that may be upgraded. Its context ends when the server shuts down. The caller must call done when
// the connection is closed. srv must have been passed to follow.
func (u *upgrades) begin(ctx context.Context, srv *http.Server) (_ context.Context, done func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open >= u.most {
		return nil, nil, fmt.Errorf("%d connections for live updates are open, the most that this server allows: close some browser tabs", u.open)
	}
	u.open++
	u.last++
	id, c := u.last, u.servers[srv]
	ctx, cancel := context.WithCancel(ctx)
	if c.end[id] = cancel; c.over {
		cancel()
	}
	return ctx, func() {
		cancel()
		u.mu.Lock()
		defer u.mu.Unlock()
		u.open--
		delete(c.end, id)
	}, nil
}

// serve passes r to next, or to refuse if r asks for an upgrade and too many connections are open.
func (u *upgrades) serve(w http.ResponseWriter, r *http.Request, next http.Handler, refuse func(notice)) {
	srv, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	u.follow(srv)
	if !isUpgrade(r) {
		next.ServeHTTP(w, r)
		return
	}
	ctx, done, err := u.begin(r.Context(), srv)
	if err != nil {
		refuse(notice{Status: http.StatusServiceUnavailable, Title: "Too many open connections", Reason: err.Error()})
		return
	}
	defer done()
	next.ServeHTTP(hijacker{w}, r.WithContext(ctx))
}

// hijacker returns connections without CloseWrite. With it, httputil.ReverseProxy would close only one direction when Grafana ends
// a WebSocket, and wait for the client to close the other one, which it may never do.
type hijacker struct{ http.ResponseWriter }

// Unwrap lets an http.ResponseController find the rest.
func (h hijacker) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// Hijack implements http.Hijacker.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return struct{ net.Conn }{conn}, buffered, nil
}
