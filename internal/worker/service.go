package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/stackscope/stackscope/internal/base/health"
)

// Alive returns nil if the worker can make its page, and answers /healthz at its own port. Engines are not asked: that one of them hangs says
// nothing about the worker. Before Run it waits.
func (w *Worker) Alive(ctx context.Context) error {
	if w.exporter == nil {
		w.instances.Instances()
		return nil
	}
	select {
	case <-w.probed():
	case <-ctx.Done():
		return errors.New("the metrics page is not made in time")
	}
	transport := &http.Transport{}            // without a proxy
	if dial := w.port.Dialer(); dial != nil { // the port may want a client's certificate
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }
	}
	return health.AskOver(ctx, transport, "http://"+loopbackAddress(w.Addr())+health.Path)
}

// probed returns a channel that is closed when a page was made. While one hangs no other is begun: they would pile up.
func (w *Worker) probed() <-chan struct{} {
	w.probeLock.Lock()
	defer w.probeLock.Unlock()
	select {
	case <-w.probe:
	default:
		if w.probe != nil {
			return w.probe
		}
	}
	made := make(chan struct{})
	w.probe = made
	go func() {
		defer close(made)
		w.exporter.Probe()
	}()
	return made
}

// loopbackAddress turns a listener's address into one that can be dialled from this machine.
func loopbackAddress(bound string) string {
	host, port, err := net.SplitHostPort(bound)
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() { // [::] takes IPv4, too
		return net.JoinHostPort("127.0.0.1", port)
	}
	return bound
}

// Summary says in one line where the worker's metrics are, how many instances it has, and whether it reports to a server.
func (w *Worker) Summary() string {
	var parts []string
	if w.port != nil {
		parts = append(parts, "metrics at "+w.metricsURL())
	}
	parts = append(parts, fmt.Sprintf("model instances: %d", len(w.instances.Instances())))
	if w.session == nil {
		return strings.Join(append(parts, "no server"), "; ")
	}
	joined, fault := w.session.State()
	switch server := w.client.URL(); {
	case joined && fault == "":
		parts = append(parts, "reports to "+server)
	case joined:
		parts = append(parts, "cannot report to "+server+": "+fault)
	case fault == "":
		parts = append(parts, "joins "+server)
	default:
		parts = append(parts, "cannot join "+server+": "+fault)
	}
	return strings.Join(parts, "; ")
}
