package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

type registerInput struct {
	Body  wire.RegisterRequest
	local bool // made on this machine
}

// Resolve makes huma say where the request comes from.
func (in *registerInput) Resolve(ctx huma.Context) []error {
	r, _ := humago.Unwrap(ctx)
	in.local = isLocal(r)
	return nil
}

type registerOutput struct{ Body wire.RegisterResponse }

func (a *API) register(ctx context.Context, in *registerInput) (*registerOutput, error) {
	b := in.Body
	joined, err := a.opts.Inventory.Register(ctx, fleet.Registration{
		UUID: b.UUID, Name: b.Name, Cluster: b.Cluster, Address: b.Address, MetricsPort: b.MetricsPort,
		ProxyMode: b.ProxyMode, Labels: b.Labels, Version: b.Version, Local: in.local,
	})
	if err != nil {
		return nil, a.problem(ctx, join, "register worker", err)
	}
	return &registerOutput{Body: wire.RegisterResponse{
		WorkerID: joined.Worker.ID, WorkerName: joined.Worker.Name,
		ClusterID: joined.Worker.ClusterID, ClusterName: joined.ClusterName,
		Credential: joined.Credential, ReportIntervalSeconds: max(1, int(a.opts.ReportInterval.Seconds())),
	}}, nil
}

type workerInput struct {
	ID int64 `path:"id" minimum:"1" doc:"Worker id"`
}

type reportInput struct {
	ID   int64 `path:"id" minimum:"1" doc:"Worker id"`
	Body wire.ReportRequest
}

type reportOutput struct{ Body wire.ReportResponse }

func (a *API) report(ctx context.Context, in *reportInput) (*reportOutput, error) {
	r := fleet.Report{AppliedGeneration: in.Body.AppliedGeneration, Instances: make([]fleet.ReportedInstance, len(in.Body.Instances))}
	for i, b := range in.Body.Instances {
		r.Instances[i] = fleet.ReportedInstance{
			Name: b.Name, Model: b.Model, URL: b.URL, Runtime: b.Runtime, RuntimeVersion: b.RuntimeVersion,
			State: b.State, StateMessage: b.StateMessage, Source: b.Source, SourceKey: b.SourceKey, Category: b.Category,
			RestartCount: b.RestartCount,
		}
		if b.LastRestartAt > 0 {
			r.Instances[i].LastRestartAt = time.Unix(b.LastRestartAt, 0).UTC()
		}
	}
	ids, err := a.opts.Inventory.Report(ctx, in.ID, r)
	if err != nil {
		return nil, a.problem(ctx, self, "report", err)
	}
	out := &reportOutput{Body: wire.ReportResponse{Instances: make([]wire.InstanceIDs, len(ids))}}
	for i, id := range ids {
		out.Body.Instances[i] = wire.InstanceIDs{Name: id.Name, InstanceID: id.InstanceID, ModelID: id.ModelID}
	}
	return out, nil
}

func (a *API) removeWorker(ctx context.Context, in *workerInput) (*struct{}, error) {
	if err := a.opts.Inventory.RemoveWorker(ctx, in.ID); err != nil {
		return nil, a.problem(ctx, admin, "remove worker", err)
	}
	a.streams.end(in.ID)
	return nil, nil
}

type listOutput[T any] struct{ Body wire.List[T] }

func list[F, T any](from []F, convert func(*F) T) *listOutput[T] {
	out := &listOutput[T]{Body: wire.List[T]{Items: make([]T, len(from))}}
	for i := range from {
		out.Body.Items[i] = convert(&from[i])
	}
	return out
}

func (a *API) clusters(context.Context, *none) (*listOutput[wire.Cluster], error) {
	return list(a.opts.Inventory.Snapshot().Clusters, func(c *fleet.Cluster) wire.Cluster {
		return wire.Cluster{ID: c.ID, Name: c.Name, Provider: c.Provider, State: c.State}
	}), nil
}

func (a *API) workers(context.Context, *none) (*listOutput[wire.Worker], error) {
	return list(a.opts.Inventory.Snapshot().Workers, func(w *fleet.Worker) wire.Worker {
		return wire.Worker{
			ID: w.ID, ClusterID: w.ClusterID, Name: w.Name, Address: w.Address, MetricsPort: w.MetricsPort, ProxyMode: w.ProxyMode,
			State: w.State, Labels: orEmpty(w.Labels), Version: w.Version, AppliedGeneration: w.AppliedGeneration,
			RegisteredAt: w.RegisteredAt, LastReportAt: optional(w.LastReportAt),
		}
	}), nil
}

func (a *API) models(context.Context, *none) (*listOutput[wire.Model], error) {
	return list(a.opts.Inventory.Snapshot().Models, func(m *fleet.Model) wire.Model {
		return wire.Model{
			ID: m.ID, ClusterID: m.ClusterID, Name: m.Name, Runtime: m.Runtime, RuntimeVersion: m.RuntimeVersion,
			Source: m.Source, SourceKey: m.SourceKey, Category: m.Category, DesiredInstances: m.DesiredInstances,
		}
	}), nil
}

func (a *API) instances(context.Context, *none) (*listOutput[wire.ModelInstance], error) {
	return list(a.opts.Inventory.Snapshot().Instances, func(i *fleet.Instance) wire.ModelInstance {
		return wire.ModelInstance{
			ID: i.ID, ModelID: i.ModelID, WorkerID: i.WorkerID, Name: i.Name, State: i.State, StateMessage: i.StateMessage, URL: i.URL,
			Runtime: i.Runtime, RuntimeVersion: i.RuntimeVersion, RestartCount: i.RestartCount, LastRestartAt: optional(i.LastRestartAt),
		}
	}), nil
}

// orEmpty makes a missing map an empty JSON object instead of null.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// optional leaves out a time that never was.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
