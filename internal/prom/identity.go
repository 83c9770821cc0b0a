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

// Worker is what a worker's samples may say that they come from.
type Worker struct{ ID, Name, ClusterID string }

// identity is who may speak at an address. Another one is made when that changes.
type identity struct {
	workers []Worker
	ids     map[string]Worker
	names   map[Worker]bool // with name and cluster, and with the name alone
}

// identities returns who may speak at which address. It keeps those of before that did not change.
func identities(workers map[string][]Worker, before map[string]*identity) map[string]*identity {
	out := make(map[string]*identity, len(workers))
	for address, at := range workers {
		if was := before[address]; was != nil && slices.Equal(was.workers, at) {
			out[address] = was
			continue
		}
		who := &identity{slices.Clone(at), map[string]Worker{}, map[Worker]bool{}}
		for _, w := range at {
			who.ids[w.ID] = w
			who.names[Worker{Name: w.Name}], who.names[Worker{Name: w.Name, ClusterID: w.ClusterID}] = true, true
		}
		out[address] = who
	}
	return out
}

// is reports whether one worker at the address has all of these that are given.
func (i *identity) is(id, name, cluster string) bool {
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

// source is where the samples of a scrape come from.
type source struct {
	anyone                 bool // nobody has said yet who the workers are
	who                    *identity
	clusterID, clusterName string // of the target
	looked                 *looked
}

// looked is what is known of a target from one scrape to the next. A target is scraped by one goroutine.
type looked struct {
	at      *identity // for whom each series that the scraper remembers was looked at
	done    bool      // under at
	refused map[storage.SeriesRef]bool
}

func (a *sampleAdmission) source(t *scrape.Target) source {
	s := source{clusterID: t.GetValue(labelClusterID), clusterName: t.GetValue(labelClusterName)}
	workers := a.workers.Load()
	if workers == nil {
		s.anyone = true
		return s
	}
	s.who = (*workers)[t.GetValue(model.AddressLabel)]
	key := weak.Make(t)
	known, ok := a.looked.Load(key)
	if !ok {
		known, ok = a.looked.LoadOrStore(key, &looked{})
		if !ok {
			runtime.AddCleanup(t, func(key weak.Pointer[scrape.Target]) { a.looked.Delete(key) }, key)
		}
	}
	s.looked, _ = known.(*looked)
	return s
}

// settled reports whether each series that the scraper remembers was looked at since who may speak has changed.
func (s source) settled() bool {
	return s.anyone || s.looked != nil && s.looked.done && s.looked.at == s.who
}

// has reports whether a series may come from there.
func (s source) has(ls labels.Labels) bool {
	if s.anyone {
		return true
	}
	id, name := ls.Get(labelClusterID), ls.Get(labelClusterName)
	if s.clusterID != "" && (id != "" && id != s.clusterID || name != "" && name != s.clusterName) {
		return false
	}
	return s.who.is(ls.Get(labelWorkerID), ls.Get(labelWorkerName), cmp.Or(s.clusterID, id))
}

// lookOut counts the samples of a scrape while not all of the remembered series have been looked at.
type lookOut struct {
	samples, scraped int
	refused          map[storage.SeriesRef]bool
}

// stop ends a series that the scraper remembers and that may not come from there any more.
func (a *guardedAppender) stop(ref storage.SeriesRef, ls labels.Labels, t int64) {
	a.around.admission.foreign.Inc()
	if a.out.refused == nil {
		a.out.refused = map[storage.SeriesRef]bool{}
	}
	if l := a.from.looked; l == nil || !l.refused[ref] && !a.out.refused[ref] {
		// An error says that a later sample is there: it may be left as it is.
		_, _ = a.AppenderV2.Append(ref, ls, 0, t, math.Float64frombits(value.StaleNaN), nil, nil, storage.AppendV2Options{RejectOutOfOrder: true})
	}
	a.out.refused[ref] = true
}

// conclude keeps what was found. The scraper forgets series that a page has not, unless the scrape failed. Not each sample of a page
// comes here, as the scraper itself refuses some: only when all came, all that it remembers were looked at.
func (a *guardedAppender) conclude() {
	l := a.from.looked
	if l == nil || a.settled {
		return
	}
	if l.at != a.from.who {
		l.at, l.refused = a.from.who, nil
	}
	if a.out.refused != nil {
		if l.refused == nil {
			l.refused = map[storage.SeriesRef]bool{}
		}
		maps.Copy(l.refused, a.out.refused)
	}
	if a.out.samples > 0 && a.out.samples == a.out.scraped {
		l.refused = a.out.refused
		l.done = len(a.out.refused) == 0
	} else {
		l.done = false
	}
}
