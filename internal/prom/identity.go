package prom

import (
	"cmp"
	"maps"
	"math"
	"runtime"
	"slices"
	"weak"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
)

const (
	labelWorkerID    = "worker_id"
	labelWorkerName  = "worker_name"
	labelClusterID   = "cluster_id"
	labelClusterName = "cluster_name"

	samplesScraped = "scrape_samples_scraped\xff" // as the scraper marks it
)

// Worker is the identity that a worker's samples may have in their labels.
type Worker struct{ ID, Name, ClusterID string }

// identity holds the workers whose samples may come from one address. It is replaced when the workers change.
type identity struct {
	workers []Worker
	ids     map[string]Worker
	names   map[Worker]bool // with name and cluster, and with the name alone
}

// identities returns the identity of each address. Unchanged ones are kept, so that pointers can be compared.
func identities(workers map[string][]Worker, previous map[string]*identity) map[string]*identity {
	out := make(map[string]*identity, len(workers))
	for address, at := range workers {
		if old := previous[address]; old != nil && slices.Equal(old.workers, at) {
			out[address] = old
			continue
		}
		identified := &identity{slices.Clone(at), map[string]Worker{}, map[Worker]bool{}}
		for _, w := range at {
			identified.ids[w.ID] = w
			identified.names[Worker{Name: w.Name}], identified.names[Worker{Name: w.Name, ClusterID: w.ClusterID}] = true, true
		}
		out[address] = identified
	}
	return out
}

// matches reports whether one worker at the address has all of the given values. An empty value is not compared.
func (i *identity) matches(id, name, cluster string) bool {
	switch {
	case id == "" && name == "":
		return true
	case i == nil:
		return false
	case id == "":
		return i.names[Worker{Name: name, ClusterID: cluster}]
	}
	w, ok := i.ids[id]
	return ok && (name == "" || name == w.Name) && (cluster == "" || cluster == w.ClusterID)
}

// source is the target of a scrape with the identity that its samples may have.
type source struct {
	unrestricted           bool // before the first SetWorkers
	identity               *identity
	clusterID, clusterName string // of the target
	check                  *targetCheck
}

// targetCheck is the state of a target between scrapes. Only the target's scrape goroutine uses it.
type targetCheck struct {
	identity *identity // for which the series in the scrape cache were checked
	complete bool      // all cached series were checked for identity
	refused  map[storage.SeriesRef]bool
}

func (f *sampleFilter) source(t *scrape.Target) source {
	s := source{clusterID: t.GetValue(labelClusterID), clusterName: t.GetValue(labelClusterName)}
	workers := f.workers.Load()
	if workers == nil {
		s.unrestricted = true
		return s
	}
	s.identity = (*workers)[t.GetValue(model.AddressLabel)]
	key := weak.Make(t)
	known, ok := f.checks.Load(key)
	if !ok {
		known, ok = f.checks.LoadOrStore(key, &targetCheck{})
		if !ok {
			runtime.AddCleanup(t, func(key weak.Pointer[scrape.Target]) { f.checks.Delete(key) }, key)
		}
	}
	s.check, _ = known.(*targetCheck)
	return s
}

// verified reports whether all series in the scrape cache have been checked for the current identity.
func (s source) verified() bool {
	return s.unrestricted || s.check != nil && s.check.complete && s.check.identity == s.identity
}

// allows reports whether a series may come from this source.
func (s source) allows(ls labels.Labels) bool {
	if s.unrestricted {
		return true
	}
	id, name := ls.Get(labelClusterID), ls.Get(labelClusterName)
	if s.clusterID != "" && (id != "" && id != s.clusterID || name != "" && name != s.clusterName) {
		return false
	}
	return s.identity.matches(ls.Get(labelWorkerID), ls.Get(labelWorkerName), cmp.Or(s.clusterID, id))
}

// scrapeCheck counts the samples of one scrape while the target's series are not all verified.
type scrapeCheck struct {
	samples, reported int
	refused           map[storage.SeriesRef]bool
}

// endSeries ends a cached series that its source no longer allows, with a staleness marker.
func (a *guardedAppender) endSeries(ref storage.SeriesRef, ls labels.Labels, t int64) {
	a.shared.filter.wrongWorker.Inc()
	if a.check.refused == nil {
		a.check.refused = map[storage.SeriesRef]bool{}
	}
	if l := a.source.check; l == nil || !l.refused[ref] && !a.check.refused[ref] {
		// An error means that the series has a later sample, which needs no marker.
		_, _ = a.AppenderV2.Append(ref, ls, 0, t, math.Float64frombits(value.StaleNaN), nil, nil, storage.AppendV2Options{RejectOutOfOrder: true})
	}
	a.check.refused[ref] = true
}

// saveCheck stores the result of a scrape's checks. After a successful scrape the scrape cache holds only the series of that page. The
// scraper itself refuses some samples before Append. The check is complete only if as many samples were appended as were scraped.
func (a *guardedAppender) saveCheck() {
	l := a.source.check
	if l == nil || a.verified {
		return
	}
	if l.identity != a.source.identity {
		l.identity, l.refused = a.source.identity, nil
	}
	if a.check.refused != nil {
		if l.refused == nil {
			l.refused = map[storage.SeriesRef]bool{}
		}
		maps.Copy(l.refused, a.check.refused)
	}
	if a.check.samples > 0 && a.check.samples == a.check.reported {
		l.refused = a.check.refused
		l.complete = len(a.check.refused) == 0
	} else {
		l.complete = false
	}
}
