package server

import (
	"strings"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

const (
	// maxAPIConnections bounds those to the API: each of the inventory's 20,000 workers has two, one of them its watch stream.
	maxAPIConnections = 2*20_000 + 2_000
	// reservedConnections are left for short answers when watch streams hold all others.
	reservedConnections = 64
	// sendBuffer is what the system takes of an answer before the client does. It wakes a writer when a third is free: by default, of
	// megabytes, which a slow client doesn't read within the deadline.
	sendBuffer = 512 << 10
	// Where the process may open only few files, a listener's connections are that percentage of them.
	apiFiles   = 60
	otherFiles = 5
	// enoughFiles is how many files 2,000 workers need, each for its reports, its watch stream and its scrape.
	enoughFiles = 8192
)

// writeConnections writes the families of the listeners' connections.
func (s *Server) writeConnections(w *exposition.Writer) {
	listeners := s.listeners()
	stats := make([]inbound.Stats, len(listeners))
	labels := make([]exposition.Labels, len(listeners))
	for i, l := range listeners {
		stats[i], labels[i] = l.srv.Stats(), exposition.RenderLabels("listener", strings.ToLower(l.name))
	}
	head := func(m catalog.Metric) { w.Family(m.WireName(), string(m.Type), m.Help) }
	head(catalog.Connections)
	for i, st := range stats {
		w.Sample(catalog.Connections.WireName(), float64(st.Open), labels[i])
	}
	head(catalog.ConnectionsMax)
	for i, st := range stats {
		w.Sample(catalog.ConnectionsMax.WireName(), float64(st.Max), labels[i])
	}
	head(catalog.ConnectionsClosed)
	for i, st := range stats {
		w.Sample(catalog.ConnectionsClosed.WireName(), float64(st.Evicted), labels[i], exposition.RenderLabels("reason", "evicted"))
		w.Sample(catalog.ConnectionsClosed.WireName(), float64(st.Refused), labels[i], exposition.RenderLabels("reason", "refused"))
	}
}
