package inventory

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// never is the lastSeen of a worker that has not reported.
const never = math.MinInt64

type cluster struct {
	fleet.Cluster
	labels exposition.Labels
}

type worker struct {
	fleet.WorkerRecord
	process
	cluster   *cluster
	instances map[string]*instance // by name
	// lastSeen is when the worker last reported, in nanoseconds after the inventory's epoch.
	lastSeen                atomic.Int64
	savedSeen, savedApplied int64
	changed                 int64               // saved.clock at its last change
	gpus                    []fleet.ReportedGPU // nil: it has not said which it has
	gpuIDs                  []string            // of gpus
	labels, info            exposition.Labels
}

type model struct {
	fleet.ModelRecord
	cluster      *cluster
	instances    map[int64]*instance
	removed      bool
	labels, info exposition.Labels
}

type instance struct {
	fleet.InstanceRecord
	worker  *worker
	model   *model
	removed bool
	labels  exposition.Labels // empty until it is needed
}

// state is the instance's state as it is known here: what a silent worker said last is not known to hold.
func (in *instance) state() fleet.InstanceState {
	if in.worker.State != fleet.WorkerReady {
		return fleet.InstanceUnreachable
	}
	return in.Reported.State
}

// since is when that state began; zero: not known.
func (in *instance) since() time.Time {
	if in.worker.State != fleet.WorkerReady {
		return in.worker.Since
	}
	return in.Reported.Since
}

type modelKey struct {
	cluster int64
	name    string
}

// rows holds the inventory's objects with their indexes. The lists are in the order of ids, which only grow.
type rows struct {
	clusters     map[int64]*cluster
	clusterNamed map[string]*cluster
	clusterList  []*cluster

	workers     map[int64]*worker
	workerUUID  map[string]*worker
	workerNamed map[modelKey]*worker
	workerList  []*worker

	models     map[int64]*model
	modelNamed map[modelKey]*model
	modelList  []*model

	instanceList []*instance

	swept bool // no model or instance in the lists is gone
}

func newRows() rows {
	return rows{
		clusters:     make(map[int64]*cluster),
		clusterNamed: make(map[string]*cluster),
		workers:      make(map[int64]*worker),
		workerUUID:   make(map[string]*worker),
		workerNamed:  make(map[modelKey]*worker),
		models:       make(map[int64]*model),
		modelNamed:   make(map[modelKey]*model),
	}
}

// sweep takes what is gone out of the lists.
func (r *rows) sweep() {
	if !r.swept {
		r.modelList = slices.DeleteFunc(r.modelList, func(m *model) bool { return m.removed })
		r.instanceList = slices.DeleteFunc(r.instanceList, func(in *instance) bool { return in.removed })
		r.swept = true
	}
}

func (r *rows) insertCluster(c *cluster) {
	c.labels = clusterLabels(&c.Cluster)
	r.clusters[c.ID] = c
	r.clusterNamed[c.Name] = c
	r.clusterList = append(r.clusterList, c)
}

func (r *rows) insertWorker(w *worker) {
	r.workers[w.ID] = w
	r.workerList = append(r.workerList, w)
	r.indexWorker(w)
}

// indexWorker enters a worker under its present names.
func (r *rows) indexWorker(w *worker) {
	w.labels, w.info = workerLabels(w)
	for _, in := range w.instances {
		in.labels = ""
	}
	r.workerUUID[w.UUID] = w
	r.workerNamed[modelKey{w.ClusterID, w.Name}] = w
}

// unindexWorker takes a worker out before its names change.
func (r *rows) unindexWorker(w *worker) {
	delete(r.workerUUID, w.UUID)
	delete(r.workerNamed, modelKey{w.ClusterID, w.Name})
}

func (r *rows) insertModel(m *model) {
	m.labels, m.info = modelLabels(m)
	r.models[m.ID] = m
	r.modelNamed[modelKey{m.ClusterID, m.Name}] = m
	r.modelList = append(r.modelList, m)
}

func (r *rows) insertInstance(in *instance) {
	in.worker.instances[in.Reported.Name] = in
	in.attach(in.model)
	r.instanceList = append(r.instanceList, in)
}

func (i *Inventory) addCluster(id int64, name string) *cluster {
	c := &cluster{Cluster: fleet.Cluster{ID: id, Name: name, Provider: fleet.ProviderDocker, State: fleet.ClusterReady}}
	i.onUndo(func() {
		delete(i.clusters, id)
		delete(i.clusterNamed, name)
		i.clusterList = i.clusterList[:len(i.clusterList)-1]
	})
	i.insertCluster(c)
	i.unsaved.clusters[id] = struct{}{}
	i.markChanged(staleAll)
	return c
}

func (i *Inventory) addModel(id int64, c *cluster, name string) *model {
	m := &model{
		ModelRecord: fleet.ModelRecord{Model: fleet.Model{ID: id, ClusterID: c.ID, Name: name}},
		cluster:     c,
		instances:   make(map[int64]*instance),
	}
	i.insertModel(m)
	i.unsaved.models[id] = struct{}{}
	return m
}

func (i *Inventory) removeModel(m *model) {
	i.onUndo(func() {
		i.models[m.ID], i.modelNamed[modelKey{m.ClusterID, m.Name}] = m, m
		m.removed = false
	})
	delete(i.models, m.ID)
	delete(i.modelNamed, modelKey{m.ClusterID, m.Name})
	m.removed = true
	i.swept = false
	i.unsaved.models[m.ID] = struct{}{}
	i.markChanged(staleAll)
}

func (i *Inventory) addInstance(id int64, w *worker, m *model, reported fleet.ReportedInstance) *instance {
	in := &instance{
		InstanceRecord: fleet.InstanceRecord{ID: id, WorkerID: w.ID, Reported: reported},
		worker:         w,
		model:          m,
	}
	i.insertInstance(in)
	i.unsaved.instances[id] = struct{}{}
	i.instanceAdded(m)
	i.markChanged(staleAll)
	return in
}

func (i *Inventory) removeInstance(in *instance) {
	if m := in.model; m != nil {
		before, labels, info := m.ModelRecord, m.labels, m.info
		i.onUndo(func() {
			m.ModelRecord, m.labels, m.info = before, labels, info
			m.instances[in.ID] = in
		})
	}
	i.onUndo(func() {
		in.removed = false
		in.worker.instances[in.Reported.Name] = in
	})
	in.removed = true
	i.swept = false
	delete(in.worker.instances, in.Reported.Name)
	in.detach()
	i.unsaved.instances[in.ID] = struct{}{}
	i.instanceRemoved(in.model)
	i.markChanged(staleAll)
}

// attach makes the instance one of m, or of none if m is nil: it is a gateway, or its model is not known.
func (in *instance) attach(m *model) {
	in.model, in.ModelID, in.labels = m, 0, ""
	if m != nil {
		in.ModelID = m.ID
		m.instances[in.ID] = in
	}
}

// detach takes the instance from its model, which it remembers.
func (in *instance) detach() {
	if in.model != nil {
		delete(in.model.instances, in.ID)
	}
}

// instanceAdded is called after an instance was added to a model; nil: it has none.
func (i *Inventory) instanceAdded(m *model) {
	if m != nil && !m.EmptySince.IsZero() {
		m.EmptySince = time.Time{}
		i.unsaved.models[m.ID] = struct{}{}
	}
}

// instanceRemoved is called after an instance was taken from a model; nil: it had none.
func (i *Inventory) instanceRemoved(m *model) {
	if m == nil {
		return
	}
	if len(m.instances) == 0 {
		m.EmptySince = i.now()
		i.unsaved.models[m.ID] = struct{}{}
		return
	}
	i.refreshModel(m)
}

func (i *Inventory) removeWorker(w *worker) {
	i.removeInstances(w)
	at := slices.Index(i.workerList, w)
	i.onUndo(func() {
		i.workers[w.ID] = w
		i.workerList = slices.Insert(i.workerList, at, w)
		i.indexWorker(w)
	})
	i.unindexWorker(w)
	delete(i.workers, w.ID)
	i.workerList = slices.Delete(i.workerList, at, at+1)
	i.unsaved.workers[w.ID] = struct{}{}
	i.markChanged(staleAll)
}

// removeInstances removes all of a worker's instances, always in the same order: what a model is then may depend on it.
func (i *Inventory) removeInstances(w *worker) {
	for _, in := range slices.SortedFunc(maps.Values(w.instances), func(a, b *instance) int { return cmp.Compare(a.ID, b.ID) }) {
		i.removeInstance(in)
	}
}
