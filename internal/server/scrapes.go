package server

import (
	"errors"
	"net"
	"slices"
	"strconv"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/prom"
)

// workersByAddress returns whose samples come from which target. Several workers may have registered with one address.
func workersByAddress(s *fleet.Snapshot) map[string][]prom.Worker {
	at := make(map[string][]prom.Worker, len(s.Workers))
	for _, w := range s.Workers {
		address := net.JoinHostPort(w.Address, strconv.Itoa(w.MetricsPort))
		at[address] = append(at[address], prom.Worker{
			ID: strconv.FormatInt(w.ID, 10), Name: w.Name, ClusterID: strconv.FormatInt(w.ClusterID, 10),
		})
	}
	return at
}

// serverFamilies returns the names of families that only the server has, and of their samples.
func serverFamilies() []string {
	workers := map[string]bool{}
	for _, m := range slices.Concat(catalog.Runtime, catalog.RuntimeExtra, catalog.Gateway, catalog.WorkerNode, catalog.GPU, catalog.Instance, catalog.WorkerOwn) {
		workers[m.WireName()] = true
	}
	var names []string
	for _, m := range slices.Concat(catalog.Server, catalog.ServerOwn, catalog.EmbeddedPrometheus) {
		if !workers[m.WireName()] {
			names = append(append(names, m.WireName()), m.SampleNames()...)
		}
	}
	return names
}

// problems returns all that keeps the server from being ready, beside its start and its end.
func (s *Server) problems() error {
	err := s.inventory.Err()
	if s.prom != nil {
		err = errors.Join(err, s.prom.Err())
	}
	return err
}
