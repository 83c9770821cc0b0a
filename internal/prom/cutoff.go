package prom

import (
	"context"
	"net"
)

// cutoff ends hung scrapes when Prometheus stops. The scraper itself would wait for each scrape in flight until its timeout.
type cutoff struct {
	ctx    context.Context // ends at the cutoff
	now    context.CancelFunc
	policy *dialPolicy
	// inside returns the in-process dialer of an address, nil if the address is not in this process.
	inside func(address string) func(context.Context) (net.Conn, error)
}

func newCutoff(policy *dialPolicy, inside func(string) func(context.Context) (net.Conn, error)) *cutoff {
	if inside == nil {
		inside = func(string) func(context.Context) (net.Conn, error) { return nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &cutoff{ctx, cancel, policy, inside}
}

// dial opens a connection if policy allows it. The connection is closed at the cutoff.
func (c *cutoff) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)() //nolint:contextcheck // joins two contexts
	dial := c.inside(address)
	if dial == nil {
		dial = func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{Control: c.policy.control(address)}).DialContext(ctx, network, address)
		}
	}
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.ctx.Err(); err != nil { // a local connection may succeed although ctx has ended
		_ = conn.Close()
		return nil, err
	}
	//nolint:contextcheck // the connection outlives the dialling
	return &cutoffConn{conn, context.AfterFunc(c.ctx, func() { _ = conn.Close() })}, nil
}

type cutoffConn struct {
	net.Conn
	cancelClose func() bool
}

func (c *cutoffConn) Close() error {
	c.cancelClose()
	return c.Conn.Close()
}
