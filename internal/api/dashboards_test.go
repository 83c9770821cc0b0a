package api_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/fleet"
)

func dashboardFleet() fleet.Snapshot {
	return fleet.Snapshot{
		Clusters: []fleet.Cluster{{ID: 1, Name: "default"}, {ID: 2, Name: "Rack B/2 & café"}},
		Workers:  []fleet.Worker{{ID: 7, ClusterID: 2, Name: "gpu node+1"}, {ID: 8, ClusterID: 99, Name: "orphan"}},
		Models: []fleet.Model{
			{ID: 3, ClusterID: 1, Name: "Qwen/Qwen3-32B"},
			{ID: 4, ClusterID: 99, Name: "m"},
			{ID: 10, ClusterID: 2, Name: "deep seek", Roles: fleet.RoleCounts{Prefill: fleet.RoleCount{Desired: 2, Ready: 1}, Decode: fleet.RoleCount{Desired: 1}}},
			{ID: 11, ClusterID: 1, Name: "stopped", Roles: fleet.RoleCounts{Decode: fleet.RoleCount{Desired: 1}}},
			{ID: 12, ClusterID: 99, Name: "m", Roles: fleet.RoleCounts{Prefill: fleet.RoleCount{Desired: 1}, Router: fleet.RoleCount{Desired: 1}}},
			{ID: 13, ClusterID: 1, Name: "replicas", Roles: fleet.RoleCounts{Router: fleet.RoleCount{Desired: 1}}},
		},
		Instances: []fleet.Instance{{ID: 5, ModelID: 3, Name: "qwen3-32b-0~x"}, {ID: 6, ModelID: 99, Name: "i"}, {ID: 14, ModelID: 10, Name: "d", Role: fleet.RoleDecode}},
	}
}

func withDashboards(d api.Dashboards) func(*api.Options) {
	if d.WorkerUID == "" {
		d.WorkerUID, d.ModelUID, d.PDUID, d.CacheServiceUID = "gpustack-worker", "gpustack-model", "gpustack-pd", "gpustack-cache-service"
	}
	return func(o *api.Options) { o.Dashboards = d }
}

// TestDashboardRedirects compares with GPUStack's, byte for byte: the order of variables, + for a space, none for no cluster.
func TestDashboardRedirects(t *testing.T) {
	builtin, external := api.Dashboards{Embedded: "/grafana"}, api.Dashboards{GrafanaURL: "https://obs.example.com/team/grafana"}
	for _, c := range []struct {
		name       string
		dashboards api.Dashboards
		path       string
		want       string
	}{
		{"cluster", builtin, "/v2/clusters/1/dashboard", "http://gpu-head/grafana/d/gpustack-worker/gpustack-worker?var-cluster_name=default"},
		{"cluster, quoted", builtin, "/v2/clusters/2/dashboard", "http://gpu-head/grafana/d/gpustack-worker/gpustack-worker?var-cluster_name=Rack+B%2F2+%26+caf%C3%A9"},
		{"worker", builtin, "/v2/workers/7/dashboard", "http://gpu-head/grafana/d/gpustack-worker/gpustack-worker?var-cluster_name=Rack+B%2F2+%26+caf%C3%A9&var-worker_name=gpu+node%2B1"},
		{"worker of no cluster", builtin, "/v2/workers/8/dashboard", "http://gpu-head/grafana/d/gpustack-worker/gpustack-worker?var-worker_name=orphan"},
		{"model", builtin, "/v2/models/3/dashboard", "http://gpu-head/grafana/d/gpustack-model/gpustack-model?var-cluster_name=default&var-model_name=Qwen%2FQwen3-32B"},
		{"model of no cluster", builtin, "/v2/models/4/dashboard", "http://gpu-head/grafana/d/gpustack-model/gpustack-model?var-model_name=m"},
		{"instance", builtin, "/v2/model-instances/5/dashboard", "http://gpu-head/grafana/d/gpustack-model/gpustack-model?var-cluster_name=default&var-model_name=Qwen%2FQwen3-32B&var-model_instance_name=qwen3-32b-0~x"},
		{"prefill and decode", builtin, "/v2/models/10/dashboard", "http://gpu-head/grafana/d/gpustack-pd/gpustack-pd?var-cluster_name=Rack+B%2F2+%26+caf%C3%A9&var-model_name=deep+seek&var-counted_role=decode"},
		{"one side of them, none runs", builtin, "/v2/models/11/dashboard", "http://gpu-head/grafana/d/gpustack-pd/gpustack-pd?var-cluster_name=default&var-model_name=stopped&var-counted_role=decode"},
		{"prefill and decode of no cluster", builtin, "/v2/models/12/dashboard", "http://gpu-head/grafana/d/gpustack-pd/gpustack-pd?var-model_name=m&var-counted_role=decode"},
		{"a router before whole engines", builtin, "/v2/models/13/dashboard", "http://gpu-head/grafana/d/gpustack-model/gpustack-model?var-cluster_name=default&var-model_name=replicas"},
		{"decode instance", builtin, "/v2/model-instances/14/dashboard", "http://gpu-head/grafana/d/gpustack-model/gpustack-model?var-cluster_name=Rack+B%2F2+%26+caf%C3%A9&var-model_name=deep+seek&var-model_instance_name=d"},
		{"external prefill and decode", external, "/v2/models/11/dashboard", "https://obs.example.com/team/grafana/d/gpustack-pd/gpustack-pd?var-cluster_name=default&var-model_name=stopped&var-counted_role=decode"},
		{"own uid of prefill and decode", api.Dashboards{Embedded: "/grafana", WorkerUID: "w", PDUID: "my pd"}, "/v2/models/11/dashboard", "http://gpu-head/grafana/d/my%20pd/gpustack-pd?var-cluster_name=default&var-model_name=stopped&var-counted_role=decode"},
		{"external cluster", external, "/v2/clusters/1/dashboard", "https://obs.example.com/team/grafana/d/gpustack-worker/gpustack-worker?var-cluster_name=default"},
		{"external worker", external, "/v2/workers/7/dashboard", "https://obs.example.com/team/grafana/d/gpustack-worker/gpustack-worker?var-cluster_name=Rack+B%2F2+%26+caf%C3%A9&var-worker_name=gpu+node%2B1"},
		{"external model", external, "/v2/models/3/dashboard", "https://obs.example.com/team/grafana/d/gpustack-model/gpustack-model?var-cluster_name=default&var-model_name=Qwen%2FQwen3-32B"},
		{"external instance", external, "/v2/model-instances/5/dashboard", "https://obs.example.com/team/grafana/d/gpustack-model/gpustack-model?var-cluster_name=default&var-model_name=Qwen%2FQwen3-32B&var-model_instance_name=qwen3-32b-0~x"},
		{"own uid", api.Dashboards{Embedded: "/grafana", WorkerUID: "my/uid", ModelUID: "m"}, "/v2/clusters/1/dashboard", "http://gpu-head/grafana/d/my%2Fuid/gpustack-worker?var-cluster_name=default"},
		{"server's external URL", api.Dashboards{Embedded: "/grafana", ServerURL: "https://ai.example.com/stack"}, "/v2/clusters/1/dashboard", "https://ai.example.com/stack/grafana/d/gpustack-worker/gpustack-worker?var-cluster_name=default"},
	} {
		h := newAPI(t, withDashboards(c.dashboards))
		h.inventory.snapshot = dashboardFleet()
		w := h.do(request("GET", c.path, ""))
		if got := w.Header().Get("Location"); w.Code != http.StatusFound || got != c.want {
			t.Errorf("%s: %d\ngot  %s\nwant %s", c.name, w.Code, got, c.want)
		}
	}
}

func TestDashboardRedirectsBehindProxies(t *testing.T) {
	h := newAPI(t, withDashboards(api.Dashboards{Embedded: "/grafana"}))
	h.inventory.snapshot = dashboardFleet()
	for _, c := range []struct {
		headers []string
		tls     bool
		want    string
	}{
		{nil, true, "https://gpu-head/"},
		{[]string{"X-Forwarded-Proto", "https"}, false, "https://gpu-head/"},
		{[]string{"X-Forwarded-Proto", "http, https", "X-Forwarded-Host", "ai.example.com:8443, inner"}, true, "http://ai.example.com:8443/"},
		{[]string{"X-Forwarded-Proto", "javascript", "X-Forwarded-Host", "evil.example/x?"}, false, "http://gpu-head/"},
		{[]string{"X-Forwarded-Host", "user@evil.example"}, false, "http://gpu-head/"},
	} {
		r := request("GET", "/v2/clusters/1/dashboard", "", c.headers...)
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if got := h.do(r).Header().Get("Location"); !strings.HasPrefix(got, c.want+"grafana/d/") {
			t.Errorf("%v: %s, want %s...", c.headers, got, c.want)
		}
	}
}

func TestDashboardRedirectsThatCannotBe(t *testing.T) {
	h := newAPI(t, withDashboards(api.Dashboards{Embedded: "/grafana"}))
	h.inventory.snapshot = dashboardFleet()
	for _, path := range []string{"/v2/clusters/9/dashboard", "/v2/workers/9/dashboard", "/v2/models/9/dashboard", "/v2/model-instances/9/dashboard", "/v2/model-instances/6/dashboard"} {
		problemOf(t, h.do(request("GET", path, "")), http.StatusNotFound)
	}
	problemOf(t, h.do(request("GET", "/v2/clusters/x/dashboard", "")), http.StatusUnprocessableEntity)
}

// TestDashboardsOfWhatGPUStackHasAlone: its links get a reason.
func TestDashboardsOfWhatGPUStackHasAlone(t *testing.T) {
	for name, c := range map[string]struct {
		dashboards         api.Dashboards
		benchmark, service string
	}{
		"embedded": {
			api.Dashboards{Embedded: "/grafana"},
			"there is no benchmark with id 7: stackscope runs none; /v2/models/{id}/dashboard leads to the dashboard of a model",
			"there is no cache service with id 7: stackscope's inventory has none; the dashboard of all cache services is http://gpu-head/grafana/d/gpustack-cache-service",
		},
		"outside, own uid": {
			api.Dashboards{GrafanaURL: "https://obs.example.com", WorkerUID: "w", CacheServiceUID: "cache/1"},
			"there is no benchmark with id 7: stackscope runs none; /v2/models/{id}/dashboard leads to the dashboard of a model",
			"there is no cache service with id 7: stackscope's inventory has none; the dashboard of all cache services is https://obs.example.com/d/cache%2F1",
		},
	} {
		h := newAPI(t, withDashboards(c.dashboards))
		for path, want := range map[string]string{"/v2/benchmarks/7/dashboard": c.benchmark, "/v2/cache-services/7/dashboard": c.service} {
			if p := problemOf(t, h.do(request("GET", path, "")), http.StatusNotFound); p.Detail != want {
				t.Errorf("%s: %s\ngot  %s\nwant %s", name, path, p.Detail, want)
			}
		}
		problemOf(t, h.do(request("GET", "/v2/benchmarks/x/dashboard", "")), http.StatusUnprocessableEntity)
	}
}

// TestReadToken: the embedded Grafana reads where anonymous viewers may not, and changes nothing.
func TestReadToken(t *testing.T) {
	h := newAPI(t, withDashboards(api.Dashboards{Embedded: "/grafana"}), func(o *api.Options) {
		o.DisableAnonymousViewer, o.NoTrustLoopback, o.ReadToken = true, true, "reader"
	})
	for _, c := range []struct {
		method, token string
		want          int
	}{{"GET", "", 401}, {"GET", "wrong", 401}, {"GET", "reader", 200}, {"DELETE", "reader", 401}, {"GET", adminToken, 200}} {
		r := request(c.method, "/v2/metrics/config", "")
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		if w := h.do(r); w.Code != c.want {
			t.Errorf("%s with %q: %d, want %d", c.method, c.token, w.Code, c.want)
		}
	}
	none := newAPI(t, func(o *api.Options) { o.DisableAnonymousViewer = true })
	r := request("GET", "/v2/workers", "")
	r.Header.Set("Authorization", "Bearer ")
	problemOf(t, none.do(r), http.StatusUnauthorized)
}
