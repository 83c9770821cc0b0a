package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

type registerInput struct {
	Body    wire.RegisterRequest
	request *http.Request
}

// Resolve makes huma say where the request comes from.
func (in *registerInput) Resolve(ctx huma.Context) []error {
	in.request, _ = humago.Unwrap(ctx)
	return nil
}

type registerOutput struct{ Body wire.RegisterResponse }

func (a *API) register(ctx context.Context, in *registerInput) (*registerOutput, error) {
	b := in.Body
	if err := a.authorizer.failures.tooManyRegistrations(b.UUID); err != nil {
		return nil, err
	}
	notLocal := a.authorizer.loopback.workerRefusalReason(in.request)
	joined, err := a.opts.Inventory.Register(ctx, fleet.Registration{
		UUID: b.UUID, Name: b.Name, Cluster: b.Cluster, Address: b.Address, MetricsPort: b.MetricsPort,
		MetricsScheme: b.MetricsScheme, ProxyMode: b.ProxyMode, Labels: b.Labels, Version: b.Version, Run: b.Run,
		Local: notLocal == "", Elsewhere: notLocal,
	})
	if err != nil {
		return nil, a.problem(ctx, join, "register worker", err)
	}
	a.authorizer.failures.countRegistration(b.UUID)
	return &registerOutput{Body: wire.RegisterResponse{
		WorkerID: joined.Worker.ID, WorkerName: joined.Worker.Name,
		ClusterID: joined.Worker.ClusterID, ClusterName: joined.ClusterName,
		Credential: joined.Credential, ReportIntervalSeconds: max(1, int(a.opts.ReportInterval.Seconds())),
		ServerVersion: a.opts.Version,
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
	r := fleet.Report{AppliedGeneration: in.Body.AppliedGeneration, Stopping: in.Body.Stopping, Instances: make([]fleet.ReportedInstance, len(in.Body.Instances))}
	for i, b := range in.Body.Instances {
		r.Instances[i] = fleet.ReportedInstance{
			Name: b.Name, Model: b.Model, URL: b.URL, Runtime: b.Runtime, RuntimeVersion: b.RuntimeVersion,
			State: b.State, StateMessage: b.StateMessage, Source: b.Source, SourceKey: b.SourceKey, Category: b.Category,
			Role: b.Role, Group: b.Group, Connector: b.Connector, Upstreams: b.Upstreams, RestartCount: b.RestartCount,
		}
		if b.LastRestartAt > 0 {
			r.Instances[i].LastRestartAt = time.Unix(b.LastRestartAt, 0).UTC()
		}
		if b.Since > 0 {
			r.Instances[i].Since = time.Unix(b.Since, 0).UTC()
		}
	}
	r.GPUs = reportedGPUs(in.Body.GPUs)
	ids, err := a.opts.Inventory.Report(ctx, in.ID, r)
	if err != nil {
		return nil, a.problem(ctx, self, "report", err)
	}
	out := &reportOutput{Body: wire.ReportResponse{Instances: make([]wire.InstanceIDs, len(ids)), ServerVersion: a.opts.Version}}
	for i, id := range ids {
		out.Body.Instances[i] = wire.InstanceIDs{Name: id.Name, InstanceID: id.InstanceID, ModelID: id.ModelID, Model: id.Model}
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
