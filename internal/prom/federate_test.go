package prom

import (
	"net/http"
	"strings"
	"testing"
)

func TestFederation(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	worker := newTarget(t, workerPage)
	in.SetTargets(JobWorkers, worker.group(map[string]string{"cluster_name": "default"}))
	in.await(t, `gpustack:num_requests_running`, some)
	_, body := get(t, in.url+"/federate?match[]=gpustack:num_requests_running&match[]=%7Bruntime%3D%22vLLM%22%7D")
	if n := strings.Count(body, "# TYPE gpustack:num_requests_running untyped\n"); n != 1 {
		t.Errorf("%d families for the gauge, want 1:\n%s", n, body)
	}
	want := `gpustack:num_requests_running{cluster_name="default",instance="` + worker.Listener.Addr().String() +
		`",job="gpustack-worker-discovery",model_name="qwen",runtime="vLLM"} 3 1`
	if !strings.Contains(body, want) {
		t.Errorf("no line %s in\n%s", want, body)
	}
	if status, _ := get(t, in.url+"/federate?match[]=%7B"); status != http.StatusBadRequest {
		t.Errorf("a bad selector: %d, want 400", status)
	}
}

// Series that have ended, because a scrape failed or their target went, are not handed out as if they were still there.
func TestFederationLeavesOutWhatHasEnded(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	worker, other := newTarget(t, workerPage), newTarget(t, "other 1\n")
	in.SetTargets(JobWorkers, worker.group(nil))
	in.SetTargets(JobServer, other.group(nil))
	in.await(t, `gpustack:num_requests_running`, some)
	in.await(t, `other`, some)
	worker.Close()
	in.await(t, `gpustack:num_requests_running`, none)
	_, body := get(t, in.url+"/federate?match[]=%7Bjob!=''%7D")
	if strings.Contains(body, "gpustack:") || !strings.Contains(body, "other{") || !strings.Contains(body, "\nup{") {
		t.Errorf("after the worker went:\n%s", body)
	}
}
