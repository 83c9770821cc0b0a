package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/bundle"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// secrets are planted wherever the API takes text.
const (
	canaryName   = "krillmaw"
	canaryPrompt = "zyrquon blimfarg"
	canaryKey    = "sk-Bq3nXw8Lf"
	canaryUser   = "zaphodqx"
)

func canariesIn(files map[string]string) (found []string) {
	for name, text := range files {
		for _, c := range []string{canaryName, canaryPrompt, canaryKey, canaryUser, adminToken, workerToken, "192.0.2.99"} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(c)) {
				found = append(found, name+": "+c)
			}
		}
	}
	return found
}

func bundleParts() api.BundleParts {
	all := strings.Join([]string{canaryName, canaryPrompt, canaryKey, canaryUser, adminToken, workerToken}, " ")
	return api.BundleParts{
		Metrics: func(send func([]byte)) {
			send([]byte("# HELP a b\n# TYPE a gauge\na{worker_name=\"" + canaryName + "\",worker_id=\"1\"} 1\n"))
		},
		Settings: []wire.Setting{{Flag: "--metrics-port", Value: "10161", Source: "default"}, {Flag: "--grafana-url", Value: "https://" + canaryUser + ":" + canaryKey + "@192.0.2.99/" + canaryName, Source: "flag"}, {Flag: "--grafana-admin-password", Value: canaryKey, Secret: true, Source: "file"}},
		Log: func() []wire.LogRecord {
			return []wire.LogRecord{{At: time.Unix(0, 0), Level: "WARN", Message: "worker reported nothing", Attrs: []wire.LogAttr{{Key: "worker", Value: canaryName, Kind: "text"}, {Key: "error", Value: "cannot read " + all, Kind: "text"}, {Key: "workers", Value: "3", Kind: "number"}}}}
		},
		Names:       []bundle.Name{{Kind: bundle.User, Text: canaryUser}},
		MetricNames: []string{"gpustack:x"},
	}
}

func document(description string) string {
	return `{"gpustack_metrics": {"gpustack:x": {"type": "gauge", "description": "` + description + `"}}, "runtime_mapping": {"vLLM": {"*": {"vllm:x": "gpustack:x"}}}}`
}

func canaryFleet(h harness, workers int) {
	s := fleet.Snapshot{Clusters: []fleet.Cluster{{ID: 1, Name: canaryName + "-cluster"}}, Models: []fleet.Model{{ID: 1, Name: canaryName + "/model", Runtime: "vLLM"}}}
	for i := range int64(workers) {
		s.Workers = append(s.Workers, fleet.Worker{ID: i + 1, ClusterID: 1, Name: canaryName, Address: "192.0.2.99", Version: "1.2.3", State: fleet.WorkerReady, StateMessage: canaryUser})
	}
	s.Instances = []fleet.Instance{
		{ID: 10, WorkerID: 1, ModelID: 1, Name: canaryName + "-0", State: fleet.InstanceError, StateMessage: `cannot read "` + canaryPrompt + `"`, URL: "http://" + canaryUser + ":" + canaryKey + "@192.0.2.99:8000", Runtime: "vLLM", RuntimeVersion: "0.11.0"},
		{ID: 11, WorkerID: 1, ModelID: 1, Name: canaryName + "-1", State: fleet.InstanceRunning, Runtime: "vLLM", RuntimeVersion: "0.11.0"},
		{ID: 12, WorkerID: 1, ModelID: 1, Name: canaryName + "-2", State: fleet.InstanceRunning, Runtime: "vLLM", RuntimeVersion: "0.11.0"},
	}
	h.inventory.snapshot = s
}

func TestBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t, func(o *api.Options) { o.Bundle = bundleParts() })
		canaryFleet(h, 2)
		change := asAdmin(request("POST", "/v2/metrics/config?author="+canaryUser+"&comment="+url.QueryEscape(canaryPrompt), document(canaryPrompt)))
		if w := h.do(change); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		one := openWatch(t, serve(t, h), "http://x", 1, 1)
		synctest.Wait()
		began := time.Now()
		var got *httptest.ResponseRecorder
		var wg sync.WaitGroup
		wg.Go(func() { got = h.do(asAdmin(request("GET", "/v2/doctor/bundle", ""))) })
		ev := one.checkEvent(t)
		if !ev.Log {
			t.Error("the worker's log is not asked for")
		}
		p := problemOf(t, h.do(asAdmin(request("GET", "/v2/doctor/bundle", ""))), 503)
		if !strings.Contains(p.Detail, "another bundle") {
			t.Errorf("a second bundle: %s", p.Detail)
		}
		check := someCheck()
		check.Own = "# HELP a " + canaryPrompt + "\ngpustack:x{model_instance_name=\"" + canaryName + "-0\",reason=\"" + canaryPrompt + "\"} 7\n"
		check.Settings = []wire.Setting{{Flag: "--engine", Value: "url=http://" + canaryUser + ":" + canaryKey + "@192.0.2.99:8000,model=" + canaryName, Source: "flag"}}
		check.Log = []wire.LogRecord{{Level: "INFO", Message: "engine answered", Attrs: []wire.LogAttr{{Key: "error", Value: `"` + canaryPrompt + `" of ` + canaryUser, Kind: "text"}}}}
		if w := h.answerCheck(1, ev.ID, "cred-1", encoded(t, check)); w.Code != 204 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		asked := map[string]bool{}
		for range 2 {
			page := somePage()
			ev := one.pageEvent(t)
			asked[ev.Instance] = true
			page.Native = "# HELP a " + canaryPrompt + "\n# " + canaryUser + "\nvllm:x{model_name=\"" + canaryName + "\",user=\"" + canaryUser + "\",prompt=\"" + canaryPrompt + "\",le=\"0.5\"} 1\n"
			page.Metrics[0].Why = canaryPrompt
			if w := h.answerPage(1, ev.ID, "cred-1", encoded(t, page)); w.Code != 204 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		wg.Wait()
		if got.Code != 200 || got.Header().Get("Content-Type") != "application/gzip" || !strings.Contains(got.Header().Get("Content-Disposition"), ".tar.gz") {
			t.Fatalf("%d %v", got.Code, got.Header())
		}
		if len(asked) != 2 || !asked[canaryName+"-0"] || time.Since(began) > time.Minute {
			t.Errorf("asked for %v, after %s", asked, time.Since(began))
		}
		files := programs.Unpack(t, got.Body)
		for name, want := range map[string][]string{
			"versions.txt":           {"server: ", "worker version: 1.2.3 (2)", "engine: vLLM 0.11.0 (3)"},
			"server/settings.txt":    {"--metrics-port=10161  (default)", "--grafana-url=https://...@host-", "--grafana-admin-password=(secret)  (file)"},
			"server/log.txt":         {"WARN worker reported nothing worker=worker-", "workers=3"},
			"server/metrics.prom":    {`a{worker_name="worker-`, `",worker_id="1"} 1`},
			"inventory.json":         {`"state": "ready"`, `"url": "http://...@host-`},
			"generations.json":       {`"generation": 1`, `"active": true`},
			"mapping.json":           {`"gpustack:x": {`, `"description": "text-`},
			"workers/1/check.txt":    {"page: 0.500 s, 9 bytes, 2 series"},
			"workers/1/settings.txt": {"--engine=url=http://...@host-", ":8000,model=worker-"},
			"workers/1/log.txt":      {"INFO engine answered error="},
			"workers/1/metrics.prom": {`gpustack:x{model_instance_name="instance-`, `reason="value-`},
			"pages/10.prom":          {`vllm:x{model_name="worker-`, `le="0.5"} 1`},
			"pages/10.txt":           {"coverage: 1 of 28 metrics", "vllm:x : 1 samples; gpustack:x: 1"},
			"manifest.txt":           {"versions.txt  ", "pages/10.prom", "workers: 1 are not connected", "doctor.json: ", "Hashed: "},
		} {
			for _, w := range want {
				if !strings.Contains(files[name], w) {
					t.Errorf("%s lacks %q:\n%s", name, w, files[name])
				}
			}
			if name != "manifest.txt" && !strings.Contains(files["manifest.txt"], fmt.Sprintf("%-28s %9d bytes", name, len(files[name]))) {
				t.Errorf("the manifest lacks %s with %d bytes:\n%s", name, len(files[name]), files["manifest.txt"])
			}
		}
		if found := canariesIn(files); len(found) > 0 {
			t.Errorf("%q are in the bundle", found)
		}
		if len(files) != len(strings.Split(strings.Split(files["manifest.txt"], "\n\n")[1], "\n"))+1 {
			t.Errorf("the manifest does not list every file: %s", files["manifest.txt"])
		}
	})
}

// TestBundleWithoutAnswers: workers that do not answer cost a part and no more than a minute, and the place for the next bundle.
func TestBundleWithoutAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		canaryFleet(h, 30)
		var streams []*watchStream
		for id := range int64(2) {
			streams = append(streams, openWatch(t, serve(t, h), "http://x", id+1, 0))
		}
		synctest.Wait()
		for range 2 {
			began := time.Now()
			got := h.do(asAdmin(request("GET", "/v2/doctor/bundle", "")))
			took := time.Since(began)
			files := programs.Unpack(t, got.Body)
			if got.Code != 200 || took > time.Minute || !strings.Contains(files["manifest.txt"], "workers/1: worker worker-") || !strings.Contains(files["pages/10.txt"], "error: worker worker-") {
				t.Errorf("%d after %s: %s\n%s", got.Code, took, files["manifest.txt"], files["pages/10.txt"])
			}
		}
		problemOf(t, h.do(request("GET", "/v2/doctor/bundle", "")), http.StatusUnauthorized)
		for _, s := range streams {
			s.cancel()
		}
	})
}

// manySources have 25 workers; the last of them no longer reports.
type manySources struct{ slowSources }

func (*manySources) Connected() (ids []int64) {
	for id := range int64(25) {
		ids = append(ids, id+1)
	}
	return ids
}

func (*manySources) Snapshot() *fleet.Snapshot {
	s := &fleet.Snapshot{Clusters: []fleet.Cluster{{ID: 1, Name: "default"}}}
	for id := range int64(25) {
		now := time.Now()
		s.Workers = append(s.Workers, fleet.Worker{ID: id + 1, ClusterID: 1, Name: fmt.Sprint("w", id+1), Address: "192.0.2.1", MetricsPort: 10151, State: fleet.WorkerReady, RegisteredAt: now.Add(-time.Hour), LastReportAt: now})
	}
	s.Workers[24].State, s.Workers[24].LastReportAt = fleet.WorkerUnreachable, time.Now().Add(-time.Minute)
	return s
}

// TestBundleAsksWorkersWithFindings: of more workers than are asked, those come first of which the doctor has findings.
func TestBundleAsksWorkersWithFindings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := new(manySources)
		h := newAPI(t, func(o *api.Options) { o.Doctor = src })
		h.inventory.snapshot = *src.Snapshot()
		for id := range int64(25) {
			s := openWatch(t, serve(t, h), "http://x", id+1, 0)
			defer s.cancel()
		}
		synctest.Wait()
		manifest := programs.Unpack(t, h.do(asAdmin(request("GET", "/v2/doctor/bundle", ""))).Body)["manifest.txt"]
		time.Sleep(time.Minute) // checks that nobody waits for any more end
		for _, want := range []string{"workers: 5 more are connected", "workers/25: ", "workers/19: "} {
			if !strings.Contains(manifest, want) {
				t.Errorf("the manifest lacks %q:\n%s", want, manifest)
			}
		}
		if strings.Contains(manifest, "workers/20: ") {
			t.Errorf("a worker without findings took the place of one with:\n%s", manifest)
		}
	})
}
