package grafana

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// upgrades are the connections that left HTTP behind, such as WebSockets. A server that shuts down neither waits for those nor
// ends them; this does.
type upgrades struct {
	most int
	idle func() // closes connections to Grafana that wait for a request

	mu      sync.Mutex
	open    int
	last    int64
	servers map[*http.Server]*connections
}

// connections are one server's.
type connections struct {
	over bool // the server shuts down
	end  map[int64]context.CancelFunc
}

func newUpgrades(most int, idle func()) *upgrades {
	return &upgrades{most: most, idle: idle, servers: map[*http.Server]*connections{}}
}

// follow makes sure to learn when the server that a request came to shuts down.
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

// begin returns a context for a connection that may be upgraded, which ends with the server at the latest, and what is to be
// called when the connection is over. The server is one that is followed.
func (u *upgrades) begin(ctx context.Context, srv *http.Server) (_ context.Context, done func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open >= u.most {
		return nil, nil, fmt.Errorf("%d connections for live updates are open, which is all that this server allows; close some browser tabs", u.open)
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

// serve lets next answer r within these bounds, refuse when there are too many connections.
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

// hijacker hands out connections that can only be closed whole. Else, when Grafana ends a WebSocket, the reverse proxy closes
// just its direction and waits for the client to close the other one, which it may never do.
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
