package worker

import (
	"cmp"
	"context"
	"crypto/rand"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/instances"
	"github.com/stackscope/stackscope/internal/session"
	"github.com/stackscope/stackscope/internal/wire"
)

// LeaveTime is the longest time that a worker takes to tell its server that it stops.
const LeaveTime = session.LeaveTimeout

// Left returns a channel that is closed after Run has told the server that the worker stops, or has failed to. A server in the same process
// must not stop before.
func (w *Worker) Left() <-chan struct{} { return w.left }

func (w *Worker) openSession() {
	o := &w.opts
	if w.client == nil {
		return
	}
	so := session.Options{
		Server: session.OverHTTP(w.client), Identity: &registration{worker: w, run: rand.Text()}, Instances: w.instances, Mapping: w.follower,
		Token: o.Token, TokenFile: o.TokenFile, StateFile: w.store.Path(), Ready: w.instances.Ready(),
		GPUs: w.gpuList.current, Settings: o.Settings, Recent: o.Recent, ReportInterval: o.ReportInterval, Logger: o.Logger,
	}
	if w.exporter != nil {
		so.DryRun, so.Page, so.Check = w.exporter.DryRun, w.page, w.exporter.Check
	}
	w.session = session.New(so)
}

// registration implements session.Identity.
type registration struct {
	worker *Worker
	run    string // distinguishes this process from others with the same UUID
}

// Registration implements session.Identity.
func (r *registration) Registration(ctx context.Context) wire.RegisterRequest {
	w, o := r.worker, &r.worker.opts
	return wire.RegisterRequest{
		UUID: w.store.Identity().UUID, Name: o.Name, Cluster: o.Cluster, MetricsPort: w.metricsPort(), MetricsScheme: w.scheme(),
		Address: w.updateAddress(ctx), Labels: o.Labels, Version: buildinfo.Get().Version, Run: r.run,
	}
}

// Registered implements session.Identity.
func (r *registration) Registered(resp wire.RegisterResponse) {
	w := r.worker
	w.store.SetIdentity(instances.Identity{
		Server: w.opts.ServerURL, WorkerID: resp.WorkerID, WorkerName: resp.WorkerName,
		ClusterID: resp.ClusterID, ClusterName: resp.ClusterName, Credential: resp.Credential,
	})
	w.setLabels()
	w.instances.Save()
}

// setLabels makes the next scrape use the names and ids that the store holds.
func (w *Worker) setLabels() {
	id := w.store.Identity()
	w.labels.Store(new(exporter.Identity{
		WorkerID: instances.IDLabel(id.WorkerID), WorkerName: cmp.Or(id.WorkerName, w.opts.Name),
		ClusterID: instances.IDLabel(id.ClusterID), ClusterName: cmp.Or(id.ClusterName, w.opts.Cluster, fleet.DefaultClusterName),
	}))
}
