package prom

import (
	"context"
	"net"

	"github.com/prometheus/prometheus/storage"
)

// cutoff ends scrapes that hang when Prometheus stops. The scraper itself waits for each scrape in flight until its timeout,
// which suits a separate process and not one that has promised to be gone within two seconds.
type cutoff struct {
	ctx context.Context // ends when what still hangs is to be cut off
	now context.CancelFunc
}

func newCutoff() *cutoff {
	ctx, cancel := context.WithCancel(context.Background())
	return &cutoff{ctx, cancel}
}

// dial opens a connection that breaks at the cutoff.
func (c *cutoff) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)() //nolint:contextcheck // joins two contexts
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
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

// guardedAppends stores what is scraped. A scrape that was cut off isn't stored: it would say that its target is down.
type guardedAppends struct {
	storage.AppendableV2
	cutoff *cutoff
}

func (g guardedAppends) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return guardedAppender{g.AppendableV2.AppenderV2(ctx), g.cutoff}
}

type guardedAppender struct {
	storage.AppenderV2
	cutoff *cutoff
}

func (a guardedAppender) Commit() error {
	if a.cutoff.ctx.Err() != nil {
		return a.Rollback()
	}
	return a.AppenderV2.Commit()
}
