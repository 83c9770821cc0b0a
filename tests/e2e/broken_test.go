package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/simengine"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// brokenEngine is a declared engine that gives no metrics, or whose model has no usable name.
type brokenEngine struct {
	url   string
	state fleet.InstanceState // empty: it may change while it is retried
	model string              // empty: it has none
	says  string              // part of the reason
}

// brokenEngines starts engines that are broken in as many ways, by their instances' names. mend makes the first one a good one.
func brokenEngines(t *testing.T) (engines map[string]brokenEngine, mend func()) {
	t.Helper()
	serve := func(h http.HandlerFunc) string {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.URL
	}
	answer := func(contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		}
	}
	// vllm has a page that names no model, and a list of models.
	vllm := func(list string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/metrics":
				_, _ = io.WriteString(w, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 1\n")
			case "/v1/models":
				_, _ = io.WriteString(w, list)
			default:
				http.NotFound(w, r)
			}
		}
	}
	healthy, err := simengine.New(simengine.Options{Profile: simengine.ProfileVLLM, Model: "qwen3-8b", Seed: 7, Start: time.Now().Add(-10 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	var mended atomic.Bool
	html := answer("text/html", "<!doctype html><title>Welcome</title>")
	encrypted := httptest.NewUnstartedServer(html)
	encrypted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	encrypted.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	release := make(chan struct{})
	hanging := serve(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	t.Cleanup(func() { close(release) }) // before its server waits for the requests

	return map[string]brokenEngine{
		"html": {serve(func(w http.ResponseWriter, r *http.Request) {
			if mended.Load() {
				healthy.Handler().ServeHTTP(w, r)
				return
			}
			html(w, r)
		}), fleet.InstanceError, "", "answered HTML, not a metrics page: is the URL the engine's?"},
		"refused": {fmt.Sprintf("http://127.0.0.1:%d", programs.FreePort(t)), "", "", "connection refused at 127.0.0.1:"},
		"password": {
			serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), fleet.InstanceError, "",
			"answered 401 Unauthorized: give credentials in the URL",
		},
		"hanging":  {hanging, "", "", "no complete answer before the scrape's deadline"},
		"bad-name": {serve(vllm(`{"data":[{"id":"` + strings.Repeat("m", 600) + `"}]}`)), fleet.InstanceRunning, "bad-name", "the model's name has 600 bytes): give model= with --engine"},
		"redirect": {
			serve(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"/x", http.StatusFound) }), fleet.InstanceError, "",
			"answered with a second redirect, which is not followed: declare the page's path with path=",
		},
		"endless": {serve(func(w http.ResponseWriter, _ *http.Request) {
			for line := []byte(strings.Repeat("vllm:x 1\n", 1000)); ; {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}), fleet.InstanceError, "", "answered with a page of more than"},
		"gzip": {serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "this is not gzip")
		}), fleet.InstanceError, "", "Content-Encoding gzip, but the body is not gzip"},
		"tls":         {strings.Replace(encrypted.URL, "https", "http", 1), fleet.InstanceError, "", "it speaks TLS: write https:// in the URL"},
		"path":        {serve(http.NotFound), fleet.InstanceError, "", "answered 404 Not Found: is the URL the engine's?"},
		"empty":       {serve(answer("text/plain", "")), fleet.InstanceRunning, "empty", "the model's name is not known"},
		"broken-list": {serve(vllm(`{"data":[{`)), fleet.InstanceRunning, "broken-list", "GET /v1/models: no usable answer): give model= with --engine"},
	}, func() { mended.Store(true) }
}

// Engines that are broken are in the inventory with what is wrong with each, and cost a good one nothing.
func TestBrokenEnginesAreShown(t *testing.T) {
	if testing.Short() {
		t.Skip("starts programs")
	}
	broken, mend := brokenEngines(t)
	port, metricsPort, workerPort, dir := programs.FreePort(t), programs.FreePort(t), programs.FreePort(t), t.TempDir()
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	start(t, programs.Path(t, "stackscope"), "server", "--data-dir", dir, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--metrics-port", strconv.Itoa(metricsPort),
		"--disable-builtin-observability")
	programs.Eventually(t, time.Minute, "the server is ready", contains(base+"/readyz", "ok"))
	token, err := os.ReadFile(filepath.Join(dir, "worker-token"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"--server-url", base, "--token", strings.TrimSpace(string(token)), "--data-dir", t.TempDir(), "--worker-name", "node-1", "--discover", "none",
		"--worker-ip", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(workerPort), "--engine", "url=" + engine(t, simengine.ProfileVLLM) + ",instance=good",
	}
	for name, e := range broken {
		args = append(args, "--engine", "url="+e.url+",instance="+name)
	}
	began := time.Now()
	start(t, programs.Path(t, "stackscope-worker"), args...)

	ids := map[string]int64{}
	programs.Eventually(t, time.Minute, "all are shown with a reason", func() error {
		instances, err := listed[wire.ModelInstance](base + "/v2/model-instances")
		if err != nil {
			return err
		}
		models, err := listed[wire.Model](base + "/v2/models")
		if err != nil {
			return err
		}
		named := map[int64]string{}
		for _, m := range models {
			if m.Name == "" {
				return fmt.Errorf("a model has no name: %+v", m)
			}
			named[m.ID] = m.Name
		}
		if len(instances) != len(broken)+1 {
			return fmt.Errorf("%d instances, want %d", len(instances), len(broken)+1)
		}
		for _, in := range instances {
			ids[in.Name] = in.ID
			want, isBroken := broken[in.Name]
			switch {
			case !isBroken && (in.State != fleet.InstanceRunning || named[in.ModelID] != "qwen3-8b" || in.StateMessage != ""):
				return fmt.Errorf("the good one is %+v", in)
			case !isBroken:
			case named[in.ModelID] != want.model || want.state != "" && in.State != want.state || !strings.Contains(in.StateMessage, want.says) || in.Since == nil:
				return fmt.Errorf("got %+v of model %q, want %+v", in, named[in.ModelID], want)
			}
		}
		return nil
	})
	t.Logf("after %s", time.Since(began).Round(100*time.Millisecond))

	out, err := exec.Command(programs.Path(t, "stackscope"), "status", "--server-url", base).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	shown := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			shown[fields[0]] = strings.Join(fields[1:], " ")
		}
	}
	for name, want := range broken {
		model := want.model
		if model == "" {
			model = "-"
		}
		if !strings.HasPrefix(shown[name], model+" node-1 ") || !strings.Contains(shown[name], want.says) {
			t.Errorf("status says of %s %q, want %q and %q", name, shown[name], model, want.says)
		}
	}
	page, err := programs.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", metricsPort))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range broken {
		line := grep(page, "gpustack:model_instance_status{")
		for s := range strings.Lines(line) {
			if strings.Contains(s, `model_instance_name="`+name+`"`) {
				line = s
			}
		}
		if !strings.Contains(line, `model_instance_name="`+name+`",state="`+string(want.state)) || strings.Contains(line, "model_name=") != (want.model != "") {
			t.Errorf("the server's metrics of %s: %s", name, line)
		}
	}
	programs.Eventually(t, time.Minute, "the good engine's samples", contains(fmt.Sprintf("http://127.0.0.1:%d/metrics", workerPort), `model_instance_name="good",runtime="vLLM"`))

	mend()
	programs.Eventually(t, time.Minute, "the one that is mended", func() error {
		instances, err := listed[wire.ModelInstance](base + "/v2/model-instances")
		if err != nil {
			return err
		}
		for _, in := range instances {
			if in.Name != "html" {
				continue
			}
			if in.State != fleet.InstanceRunning || in.ModelID == 0 || in.ID != ids["html"] || in.RestartCount != 0 || in.StateMessage != "" {
				return fmt.Errorf("got %+v, which was instance %d", in, ids["html"])
			}
			return nil
		}
		return fmt.Errorf("it is not there")
	})
}
