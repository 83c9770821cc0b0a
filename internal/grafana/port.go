package grafana

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// loopback is where Grafana listens: the world reaches it through our proxy.
const loopback = "127.0.0.1"

// freePort returns the port for Grafana; an error says that it is taken.
func (g *Grafana) freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	ln, err := config.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(g.opts.Port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return 0, errors.New(g.taken(g.opts.Port))
	case errors.Is(err, syscall.EACCES):
		return 0, fmt.Errorf("port %d needs root: choose one above 1023 with --builtin-grafana-port", g.opts.Port)
	case err != nil:
		return 0, fmt.Errorf("port %d: %w; choose another with --builtin-grafana-port", g.opts.Port, err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	return port, ln.Close()
}

func (g *Grafana) taken(port int) string {
	return fmt.Sprintf("port %d on %s is taken by another program: stop that program or choose another port with --builtin-grafana-port", port, loopback)
}
