// Package targets turns an inventory snapshot into the target groups that Prometheus scrapes.
package targets

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/stackscope/stackscope/internal/fleet"
)

// Group is a target group as HTTP service discovery spells it.
type Group struct {
	Targets []string          `json:"targets"` // host:port, IPv6 in brackets
	Labels  map[string]string `json:"labels"`
}

// Labels of a group. The cluster's id and name are GPUStack's.
const (
	labelClusterID   = "cluster_id"
	labelClusterName = "cluster_name"
	// labelClusterLabels becomes the URL parameter cluster_labels of the scrape. It asks the worker to leave the cluster's
	// labels out of its samples, since the target carries them: Prometheus would rename a sample's own to exported_....
	labelClusterLabels = "__param_cluster_labels"
	fromTarget         = "target"
	// LabelScheme is on targets that are scraped over TLS alone: others are as GPUStack has them.
	LabelScheme = "__scheme__"
)

// Workers returns the workers that are scraped directly, one group for each cluster, and one more for those of it with TLS. A worker is listed as long as it is
// registered, whatever its state, because a target that disappears has no up series that could be 0. Without any worker
// the result is empty, never nil.
func Workers(s *fleet.Snapshot) []Group {
	return groups(s, func(w *fleet.Worker) bool { return w.ProxyMode != fleet.ProxyTunnel })
}

// ProxyWorkers returns, like Workers, the workers that are scraped through a proxy.
func ProxyWorkers(s *fleet.Snapshot) []Group {
	return groups(s, func(w *fleet.Worker) bool { return w.ProxyMode == fleet.ProxyTunnel })
}

func groups(s *fleet.Snapshot, want func(*fleet.Worker) bool) []Group {
	type key struct {
		cluster int64
		scheme  fleet.MetricsScheme
	}
	addresses := make(map[key][]string)
	for i := range s.Workers {
		w := &s.Workers[i]
		if w.MetricsPort <= 0 || w.Address == "" || !want(w) {
			continue
		}
		k := key{w.ClusterID, w.MetricsScheme}
		addresses[k] = append(addresses[k], net.JoinHostPort(w.Address, strconv.Itoa(w.MetricsPort)))
	}
	names := make(map[int64]string, len(s.Clusters))
	for _, c := range s.Clusters {
		names[c.ID] = c.Name
	}
	out := make([]Group, 0, len(addresses))
	inOrder := func(a, b key) int { return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.scheme, b.scheme)) }
	for _, k := range slices.SortedFunc(maps.Keys(addresses), inOrder) {
		slices.Sort(addresses[k])
		labels := map[string]string{labelClusterID: strconv.FormatInt(k.cluster, 10), labelClusterLabels: fromTarget}
		if name, ok := names[k.cluster]; ok {
			labels[labelClusterName] = name
		}
		if k.scheme != fleet.MetricsHTTP {
			labels[LabelScheme] = string(k.scheme)
		}
		out = append(out, Group{Targets: slices.Compact(addresses[k]), Labels: labels})
	}
	return out
}
