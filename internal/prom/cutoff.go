package prom

import (
	"context"
	"net"
)

// cutoff ends scrapes that hang when Prometheus stops. The scraper itself waits for each scrape in flight until its timeout,
// which suits a separate process and not one that has promised to be gone within two seconds.
type cutoff struct {
	ctx   context.Context // ends when what still hangs is to be cut off
	now   context.CancelFunc
	reach *reach
	// inside returns how a part of this process is reached, nil for an address that isn't one's.
	inside func(address string) func(context.Context) (net.Conn, error)
}

func newCutoff(r *reach, inside func(string) func(context.Context) (net.Conn, error)) *cutoff {
	if inside == nil {
		inside = func(string) func(context.Context) (net.Conn, error) { return nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &cutoff{ctx, cancel, r, inside}
}

// dial opens a connection, where reach allows it, that breaks at the cutoff.
func (c *cutoff) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)() //nolint:contextcheck // joins two contexts
	dial := c.inside(address)
	if dial == nil {
		dial = func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{Control: c.reach.control(address)}).DialContext(ctx, network, address)
		}
	}
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.ctx.Err(); err != nil { // a connection within this machine may be there before ctx ends
		_ = conn.Close()
		return nil, err
	}
	//nolint:contextcheck // the connection outlives the dialling
	return &cuttable{conn, context.AfterFunc(c.ctx, func() { _ = conn.Close() })}, nil
}

type cuttable struct {
	net.Conn
	forget func() bool
}

func (c *cuttable) Close() error {
	c.forget()
	return c.Conn.Close()
}
