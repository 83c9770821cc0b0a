package console

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/console/browser"
	"github.com/stackscope/stackscope/tests/programs"
)

// TestWithoutPrometheus: a machine's server without a Prometheus shows its lists, with what is wrong with each engine, and says in each
// panel which flag is missing.
func TestWithoutPrometheus(t *testing.T) {
	skipShort(t)
	serve := func(h http.HandlerFunc) string {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.URL
	}
	release := make(chan struct{})
	hanging := serve(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	t.Cleanup(func() { close(release) })
	engines := map[string]string{ // by the instance's name
		"page": serve(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<!doctype html><b>Welcome</b>")
		}),
		"refused":  fmt.Sprintf("http://127.0.0.1:%d", programs.FreePort(t)),
		"password": serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }),
		"hanging":  hanging,
		"named": serve(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/metrics" {
				_, _ = io.WriteString(w, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name=\""+strings.Repeat("m", 600)+"\"} 1\n")
				return
			}
			http.NotFound(w, r)
		}),
	}
	port := programs.FreePort(t)
	origin := fmt.Sprintf("http://127.0.0.1:%d", port)
	args := []string{
		"start", "--data-dir", t.TempDir(), "--port", strconv.Itoa(port), "--metrics-port", strconv.Itoa(programs.FreePort(t)),
		"--worker-metrics-port", strconv.Itoa(programs.FreePort(t)), "--disable-builtin-observability", "--discover", "none",
	}
	for name, url := range engines {
		args = append(args, "--engine", "url="+url+",instance="+name)
	}
	p := programs.Start(t, exec.Command(programs.Path(t, "stackscope"), args...))
	wants := map[string]string{"page": "HTML", "refused": "refused", "password": "401", "hanging": "deadline", "named": "600 bytes"}
	p.Await(30*time.Second, "all five engines with their reasons", func() error {
		body, err := programs.Get(origin + "/v2/model-instances")
		for name, reason := range wants {
			if err == nil && (!strings.Contains(body, `"name":"`+name+`"`) || !strings.Contains(body, reason)) {
				err = fmt.Errorf("%s with %q is missing in %s", name, reason, body)
			}
		}
		return err
	})

	seen := browser.Open(t, origin, []browser.Visit{
		{Name: "broken-instances", Path: "/instances", Theme: "light", Width: 1440, Height: 900, Axe: true},
		{Name: "broken-fleet", Path: "/", Theme: "dark", Width: 1440, Height: 900, Axe: true},
	})
	list := seen["broken-instances"]
	list.Check(t)
	for name, reason := range wants {
		if !strings.Contains(list.Text, name) || !strings.Contains(list.Text, reason) {
			t.Errorf("%s with %q is not on the page:\n%s", name, reason, list.Text)
		}
	}
	fleet := seen["broken-fleet"]
	fleet.Errors, fleet.Refused = nil, nil // the first queries leave before the page knows that they are in vain
	fleet.Check(t)
	large := 0
	for _, p := range fleet.Panels {
		if p.State != "unavailable" {
			t.Errorf("panel %q is %q", p.Title, p.State)
		}
		if p.Kind != "stat" { // which has no room for a sentence, and says it in its tooltip
			large++
		}
	}
	if named := strings.Count(fleet.Text, "--prometheus-url"); large == 0 || named < large {
		t.Errorf("%d large panels, and %d times --prometheus-url:\n%s", large, named, fleet.Text)
	}
}

// redirects has the redirects of the specification to dashboards, with where each leads a browser on the demo.
func redirects(worker, model string) map[string]string {
	return map[string]string{
		"/v2/clusters/1/dashboard":        "/d/gpustack-worker/gpustack-worker?var-cluster_name=default",
		"/v2/workers/1/dashboard":         "/d/gpustack-worker/gpustack-worker?var-cluster_name=default&var-worker_name=" + worker,
		"/v2/models/1/dashboard":          "/d/gpustack-model/gpustack-model?var-cluster_name=default&var-model_name=" + model,
		"/v2/model-instances/1/dashboard": "/d/gpustack-model/gpustack-model?var-cluster_name=default&var-model_name=" + model + "&var-model_instance_name=",
	}
}
