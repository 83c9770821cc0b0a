package inventory

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"

	"github.com/stackscope/stackscope/internal/fleet"
)

// Register admits a worker and gives it a new credential once that is stored. A known UUID is the same worker again: it keeps
// its id and what it said is replaced. A known name with another UUID is a machine that was set up anew and takes over the
// worker of that name, unless that one is ready or has only just stopped (fleet.ErrNameTaken). A second live process with a
// known UUID is refused (fleet.ErrTwoWorkers), and so is a worker that an operator removed (fleet.ErrRevoked). Other errors are
// fleet.ErrInvalid and fleet.ErrNotStored. A registration that fails changes nothing.
func (i *Inventory) Register(ctx context.Context, r fleet.Registration) (fleet.Joined, error) {
	joined, err := i.register(ctx, r)
	if err != nil {
		i.refused.add(&r, err)
	}
	return joined, err
}

func (i *Inventory) register(ctx context.Context, r fleet.Registration) (fleet.Joined, error) {
	r, err := fleet.CheckRegistration(r)
	if err == nil {
		err = checkKeys(r.Labels)
	}
	if err != nil {
		return fleet.Joined{}, err
	}
	release, err := i.lockRows(ctx)
	if err != nil {
		return fleet.Joined{}, err
	}
	defer release()

	i.mu.Lock()
	want, err := i.admit(r)
	i.mu.Unlock()
	if err != nil {
		return fleet.Joined{}, err
	}
	first, err := i.newIDs(ctx, want)
	if err != nil {
		return fleet.Joined{}, err
	}
	credential, hash := newCredential()
	var joined fleet.Joined
	if err := i.commit(ctx, func() {
		w := i.upsertWorker(r, first)
		w.CredentialHash = hash
		joined = fleet.Joined{Worker: w.Worker, ClusterName: w.cluster.Name, Credential: credential}
	}); err != nil {
		return fleet.Joined{}, err
	}
	i.mu.Lock()
	i.tellVersion(r.Version, r.Name, 1)
	i.mu.Unlock()
	return joined, nil
}

// admit says which ids the registration needs, or why it is refused.
func (i *Inventory) admit(r fleet.Registration) (want fleet.IDs, err error) {
	if err := i.refuseRevoked(&r); err != nil {
		return want, err
	}
	var named *worker
	if c, ok := i.clusterNamed[r.Cluster]; ok {
		named = i.workerNamed[modelKey{c.ID, r.Name}]
	} else if len(i.clusterList) >= i.opts.MaxClusters {
		return want, fleet.Invalid("registration", "cluster %q is new, and there are %d clusters already, the limit", r.Cluster, len(i.clusterList))
	} else {
		want.Clusters = 1
	}
	known := i.workerUUID[r.UUID]
	sameAddress := known != nil && known.Loopback && known.Address == r.Address && known.MetricsPort == r.MetricsPort
	if fleet.IsLoopback(r.Address) && !r.Local && !sameAddress {
		return want, fleet.Invalid("registration", "address is %q, which is the server's own machine, and the registration is not taken for one from there: %s; or give the worker, with --worker-ip, an address other than loopback under which this server reaches it", r.Address, cmp.Or(r.Elsewhere, "it did not come straight from it"))
	}
	if err := i.checkSecondWorker(known, r); err != nil {
		return want, because(err, known)
	}
	if named != nil && named != known && i.keepsName(named, r) {
		return want, because(fmt.Errorf("%w: in cluster %q, worker %d of the name %q is another machine, at %s; choose another worker name with --worker-name, or stop that worker and remove it (stackscope worker remove)",
			fleet.ErrNameTaken, r.Cluster, named.ID, r.Name, named.Address), named)
	}
	if known == nil && named == nil {
		if len(i.workers) >= i.opts.MaxWorkers {
			return want, fleet.Invalid("registration", "worker %q is new, and there are %d workers already, the limit; remove those that are gone", r.Name, len(i.workers))
		}
		want.Workers = 1
	}
	return want, nil
}

// upsertWorker makes or changes the worker that an admitted registration is of.
func (i *Inventory) upsertWorker(r fleet.Registration, first fleet.IDs) *worker {
	c, ok := i.clusterNamed[r.Cluster]
	if !ok {
		c = i.addCluster(first.Clusters, r.Cluster)
		i.eventLog().Info("cluster made", "cluster", c.Name, "cluster_id", c.ID)
	}
	known, named := i.workerUUID[r.UUID], i.workerNamed[modelKey{c.ID, r.Name}]
	w := known
	switch {
	case known == nil && named == nil:
		w = &worker{cluster: c, instances: make(map[string]*instance)}
		w.ID, w.State, w.RegisteredAt = first.Workers, fleet.WorkerNotReady, i.now()
		w.Since = i.stateBegins()
		w.lastSeen.Store(never)
		w.savedSeen = never
		i.beginProcess(w, r)
		i.describeWorker(w, c, r)
		i.onUndo(func() {
			i.unindexWorker(w)
			delete(i.workers, w.ID)
			i.workerList = i.workerList[:len(i.workerList)-1]
		})
		i.insertWorker(w)
		i.eventLog().Info("worker joined", "worker", w.Name, "worker_id", w.ID, "cluster", c.Name, "address", w.Address)
		return w
	case known == nil:
		w = named
		i.eventLog().Info("another machine took over a worker that is not ready", "worker", w.Name, "worker_id", w.ID, "address", r.Address, "old_address", w.Address)
	case named != nil && named != known:
		i.eventLog().Info("a worker took over the name of one that is not ready", "worker", r.Name, "worker_id", known.ID, "removed_worker_id", named.ID)
		i.removeWorker(named)
	}
	if known != nil && known.State == fleet.WorkerReady && (known.Address != r.Address || known.Name != r.Name) {
		i.eventLog().Warn("a ready worker registers with another name or address: if these are two machines, one has a copy of the other's data directory and must get a new one",
			"worker_id", known.ID, "worker", r.Name, "address", r.Address, "old_worker", known.Name, "old_address", known.Address)
	}
	before, was, process := w.WorkerRecord, w.cluster, w.process
	i.onUndo(func() {
		i.unindexWorker(w)
		w.WorkerRecord, w.cluster, w.process = before, was, process
		i.indexWorker(w)
	})
	i.unindexWorker(w)
	if known == nil {
		w.RegisteredAt = i.now()
	}
	if known == nil || w.Version != r.Version {
		i.forgetGPUs(w)
	}
	if w.cluster != c { // its models were those of the other cluster
		i.removeInstances(w)
	}
	i.beginProcess(w, r)
	i.describeWorker(w, c, r)
	i.indexWorker(w)
	return w
}

func (i *Inventory) describeWorker(w *worker, c *cluster, r fleet.Registration) {
	w.cluster, w.ClusterID = c, c.ID
	w.UUID, w.Name, w.Address, w.MetricsPort = r.UUID, r.Name, r.Address, r.MetricsPort
	w.Loopback = fleet.IsLoopback(r.Address)
	w.MetricsScheme, w.ProxyMode, w.Labels, w.Version = r.MetricsScheme, r.ProxyMode, r.Labels, r.Version
	i.unsaved.workers[w.ID] = struct{}{}
	i.markChanged(staleAll)
}

// newCredential returns 256 random bits as text and their hash. A hash without salt is enough for them.
func newCredential() (string, [sha256.Size]byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	text := base64.RawURLEncoding.EncodeToString(b[:])
	return text, sha256.Sum256([]byte(text))
}

// Authenticate reports whether credential is the one that the worker was given last.
func (i *Inventory) Authenticate(workerID int64, credential string) bool {
	got := sha256.Sum256([]byte(credential))
	i.mu.Lock()
	var want [sha256.Size]byte
	w, ok := i.workers[workerID]
	if ok {
		want = w.CredentialHash
	}
	i.mu.Unlock()
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && ok
}

// Registered reports whether there is a worker of an id.
func (i *Inventory) Registered(workerID int64) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, ok := i.workers[workerID]
	return ok
}

// RemoveWorker forgets a worker, its instances, and the models that have no others, once that is stored. A worker that is
// still alive is revoked: the server refuses it until Allow. The error is fleet.ErrNoWorker if there is none,
// fleet.ErrRevokedFull, or fleet.ErrNotStored; the worker is still there then.
func (i *Inventory) RemoveWorker(ctx context.Context, id int64) error {
	release, err := i.lockRows(ctx)
	if err != nil {
		return err
	}
	defer release()
	i.mu.Lock()
	w, ok := i.workers[id]
	alive := ok && i.isAlive(w)
	if alive {
		err = i.checkRevokeLimit(w)
	}
	i.mu.Unlock()
	switch {
	case !ok:
		return noWorker(id)
	case err != nil:
		return err
	}
	return i.commit(ctx, func() {
		touched := make(map[*model]struct{})
		for _, in := range w.instances {
			if in.model != nil {
				touched[in.model] = struct{}{}
			}
		}
		i.removeWorker(w)
		for m := range touched {
			if len(m.instances) == 0 {
				i.removeModel(m)
			}
		}
		if alive {
			i.revoke(w)
		}
		i.eventLog().Info("worker removed", "worker", w.Name, "worker_id", id, "kept_out", alive)
	})
}

func noWorker(id int64) error {
	return fmt.Errorf("%w: worker %d is not registered here or was removed", fleet.ErrNoWorker, id)
}
