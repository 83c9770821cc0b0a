package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/stackscope/stackscope/internal/base/health"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Alive requests /healthz at the server's own port, over a new connection, and returns nil if the server answers. Before Run it waits.
func (s *Server) Alive(ctx context.Context) error {
	// The transport is new each time, too: it holds nothing between two requests.
	transport := &http.Transport{} // without a proxy
	if client := s.Client(); client != nil {
		transport = client.Transport.(*http.Transport)
	}
	return health.AskOver(ctx, transport, s.URL()+health.Path)
}

// Summary says in one line where the server answers, how many workers and instances it knows, and what is wrong.
func (s *Server) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "serves %s", s.URL())
	sn := s.inventory.Snapshot()
	ready := 0
	for i := range sn.Workers {
		if sn.Workers[i].State == fleet.WorkerReady {
			ready++
		}
	}
	fmt.Fprintf(&b, "; workers: %d, ready: %d; model instances: %d", len(sn.Workers), ready, len(sn.Instances))
	if s.prom != nil {
		select {
		case <-s.prom.Ready():
		default:
			b.WriteString("; Prometheus opens its data")
		}
	}
	if err := s.problems(); err != nil {
		fmt.Fprintf(&b, "; problem: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return b.String()
}
