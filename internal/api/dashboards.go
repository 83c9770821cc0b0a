package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/base/origin"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Dashboards configures the redirects to dashboards.
type Dashboards struct {
	// GrafanaURL is an external Grafana's, without a slash at the end. Empty: the embedded one's.
	GrafanaURL string
	// Embedded is the path on this server that leads to the embedded Grafana, or without one to the console: /grafana.
	Embedded string
	// ServerURL is the address of this server for browsers, without a slash at the end. Empty: the address of the request.
	ServerURL string
	// WorkerUID and ModelUID name the dashboards of clusters and workers, of models and instances.
	WorkerUID, ModelUID string
	// PDUID names the dashboard of models whose prefill and decode are separate instances, CacheServiceUID that of cache services.
	PDUID, CacheServiceUID string
}

// Last parts of the dashboards' URLs, as in GPUStack. Grafana uses only the uid.
const (
	workerSlug = "gpustack-worker"
	modelSlug  = "gpustack-model"
	pdSlug     = "gpustack-pd"
)

// dashboardInput is the id of the dashboard's subject, and the address under which the client reached this server.
type dashboardInput struct {
	ID     int64 `path:"id" minimum:"1" doc:"Its id"`
	origin string
}

// Resolve reads the address.
func (in *dashboardInput) Resolve(ctx huma.Context) []error {
	r, _ := humago.Unwrap(ctx)
	in.origin = origin.Of(r)
	return nil
}

type redirectOutput struct {
	Status   int
	Location string `header:"Location" doc:"The dashboard, with its variables set"`
}

func (a *API) registerDashboards(h huma.API, tag string) {
	for _, r := range []struct {
		of, path string
		handler  func(context.Context, *dashboardInput) (*redirectOutput, error)
	}{
		{"cluster", "/v2/clusters/{id}/dashboard", a.clusterDashboard},
		{"worker", "/v2/workers/{id}/dashboard", a.workerDashboard},
		{"model", "/v2/models/{id}/dashboard", a.modelDashboard},
		{"model-instance", "/v2/model-instances/{id}/dashboard", a.instanceDashboard},
	} {
		register(a, h, route{
			id: "show-" + r.of + "-dashboard", method: "GET", path: r.path, access: viewer, tag: tag, status: http.StatusFound,
			summary:     "Lead to the dashboard of a " + strings.ReplaceAll(r.of, "-", " "),
			description: "In Grafana, or without one in the console of this server.",
			errors:      []int{http.StatusNotFound},
		}, r.handler)
	}
	// GPUStack's routes for what stackscope has not: its links get a reason instead of an unknown path.
	for _, r := range []struct {
		of, path string
		handler  func(context.Context, *dashboardInput) (*struct{}, error)
	}{
		{"benchmark", "/v2/benchmarks/{id}/dashboard", a.benchmarkDashboard},
		{"cache-service", "/v2/cache-services/{id}/dashboard", a.cacheServiceDashboard},
	} {
		register(a, h, route{
			id: "show-" + r.of + "-dashboard", method: "GET", path: r.path, access: viewer, tag: tag, status: http.StatusNotFound,
			summary: "Say that there is no " + strings.ReplaceAll(r.of, "-", " "), description: "GPUStack has this route. Always 404 with the reason.",
			errors: []int{http.StatusNotFound},
		}, r.handler)
	}
}

func (a *API) benchmarkDashboard(_ context.Context, in *dashboardInput) (*struct{}, error) {
	return nil, &Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("there is no benchmark with id %d: stackscope runs none; /v2/models/{id}/dashboard leads to the dashboard of a model", in.ID)}
}

func (a *API) cacheServiceDashboard(_ context.Context, in *dashboardInput) (*struct{}, error) {
	return nil, &Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf(
		"there is no cache service with id %d: stackscope's inventory has none; the dashboard of all cache services is %s/d/%s",
		in.ID, a.grafanaBase(in.origin), url.PathEscape(a.opts.Dashboards.CacheServiceUID))}
}

func (a *API) clusterDashboard(_ context.Context, in *dashboardInput) (*redirectOutput, error) {
	c, ok := find(a.opts.Inventory.Snapshot().Clusters, in.ID, func(c *fleet.Cluster) int64 { return c.ID })
	if !ok {
		return nil, notFound("cluster", in.ID)
	}
	return a.redirect(in.origin, a.opts.Dashboards.WorkerUID, workerSlug, "cluster_name", c.Name)
}

func (a *API) workerDashboard(_ context.Context, in *dashboardInput) (*redirectOutput, error) {
	s := a.opts.Inventory.Snapshot()
	w, ok := find(s.Workers, in.ID, func(w *fleet.Worker) int64 { return w.ID })
	if !ok {
		return nil, notFound("worker", in.ID)
	}
	return a.redirect(in.origin, a.opts.Dashboards.WorkerUID, workerSlug, "cluster_name", clusterName(s, w.ClusterID), "worker_name", w.Name)
}

func (a *API) modelDashboard(_ context.Context, in *dashboardInput) (*redirectOutput, error) {
	s := a.opts.Inventory.Snapshot()
	m, ok := find(s.Models, in.ID, func(m *fleet.Model) int64 { return m.ID })
	if !ok {
		return nil, notFound("model", in.ID)
	}
	if m.Disaggregated() {
		return a.redirect(in.origin, a.opts.Dashboards.PDUID, pdSlug,
			"cluster_name", clusterName(s, m.ClusterID), "model_name", m.Name, "counted_role", string(fleet.KVCountedRole))
	}
	return a.redirect(in.origin, a.opts.Dashboards.ModelUID, modelSlug, "cluster_name", clusterName(s, m.ClusterID), "model_name", m.Name)
}

func (a *API) instanceDashboard(_ context.Context, in *dashboardInput) (*redirectOutput, error) {
	s := a.opts.Inventory.Snapshot()
	i, ok := find(s.Instances, in.ID, func(i *fleet.Instance) int64 { return i.ID })
	if !ok {
		return nil, notFound("model instance", in.ID)
	}
	m, ok := find(s.Models, i.ModelID, func(m *fleet.Model) int64 { return m.ID })
	if !ok {
		return nil, notFound("model of the instance (a gateway has none)", in.ID)
	}
	return a.redirect(in.origin, a.opts.Dashboards.ModelUID, modelSlug,
		"cluster_name", clusterName(s, m.ClusterID), "model_name", m.Name, "model_instance_name", i.Name)
}

// redirect returns a redirect to a dashboard with variables, in the given order. Empty ones are omitted.
func (a *API) redirect(address, uid, slug string, variables ...string) (*redirectOutput, error) {
	var query []string
	for i := 0; i+1 < len(variables); i += 2 {
		if variables[i+1] != "" {
			query = append(query, "var-"+variables[i]+"="+url.QueryEscape(variables[i+1]))
		}
	}
	return &redirectOutput{Status: http.StatusFound, Location: a.grafanaBase(address) + "/d/" + url.PathEscape(uid) + "/" + slug + "?" + strings.Join(query, "&")}, nil
}

// grafanaBase returns the address for the browser that leads to Grafana or the console, without a slash at the end.
func (a *API) grafanaBase(address string) string {
	d := a.opts.Dashboards
	switch {
	case d.GrafanaURL != "":
		return d.GrafanaURL
	case d.ServerURL != "":
		return d.ServerURL + d.Embedded
	}
	return address + d.Embedded
}

func find[T any](list []T, id int64, of func(*T) int64) (*T, bool) {
	for i := range list {
		if of(&list[i]) == id {
			return &list[i], true
		}
	}
	return nil, false
}

func clusterName(s *fleet.Snapshot, id int64) string {
	if c, ok := find(s.Clusters, id, func(c *fleet.Cluster) int64 { return c.ID }); ok {
		return c.Name
	}
	return ""
}

func notFound(what string, id int64) error {
	return &Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("there is no %s with id %d", what, id)}
}
