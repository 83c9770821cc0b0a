package docs_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
	"github.com/stackscope/stackscope/internal/simgrafana"
	"github.com/stackscope/stackscope/tests/programs"
)

// playEngine is the environment variable that turns this test's own binary into the engine of a job, on the port of its --port.
const playEngine = "STACKSCOPE_DOCS_PLAY_ENGINE"

func play() error {
	port := ""
	for i, arg := range os.Args {
		if arg == "--port" && i+1 < len(os.Args) {
			port = os.Args[i+1]
		}
	}
	e, err := simengine.New(simengine.Options{Profile: simengine.ProfileVLLM, Model: "Qwen/Qwen3-32B", Start: time.Now().Add(-time.Minute)})
	if err != nil {
		return err
	}
	srv := &http.Server{Addr: "127.0.0.1:" + port, Handler: e.Handler(), ReadHeaderTimeout: time.Minute}
	return srv.ListenAndServe()
}

// The page is followed by a user without root. Slurm's programs are stand-ins: srun starts what it is given, scontrol notes it.
func TestSlurmPage(t *testing.T) {
	needPrograms(t)
	g := newGuide(t, page("install/slurm.md"), simgrafana.Home(t))
	g.shim("srun", `exec "$@"`)
	copyProgram(t, os.Args[0], filepath.Join(g.shims, "vllm"))
	g.asUser()
	s := g.homeServer("cluster")
	s.more = append(s.more, "GPUSTACK_DISCOVER=process")
	local := t.TempDir()
	g.give(local)
	enginePort := strconv.Itoa(programs.FreePort(t))
	g.replace = strings.NewReplacer("/var/tmp/", local+"/", "--port 8000", "--port "+enginePort,
		"10152", strconv.Itoa(programs.FreePort(t)), "10153", strconv.Itoa(programs.FreePort(t)))
	g.parts = map[string]func(*testing.T, *block) error{
		"worker-config": func(t *testing.T, b *block) error { t.Helper(); return g.workerConfig(t, s, local, b) },
		"job": func(t *testing.T, b *block) error {
			t.Helper()
			env := append(append([]string{}, g.env...), "SLURM_JOB_ID=4711", playEngine+"=1")
			g.start(env, "bash", "-euo", "pipefail", "-c", b.text)
			return nil
		},
		"health-check": healthCheck,
	}
	g.follow()
}

// workerConfig starts a worker with the page's file, and leaves the token where the page's commands expect it.
func (g *guide) workerConfig(t *testing.T, s *server, local string, b *block) error {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(s.dir, "worker-token"))
	if err != nil {
		return err
	}
	copied := filepath.Join(g.dir, "worker-token")
	if err := os.WriteFile(copied, token, 0o644); err != nil {
		return err
	}
	text := strings.NewReplacer("/etc/stackscope/worker-token", copied, "/var/lib/stackscope-worker", filepath.Join(local, "from-file")).Replace(b.text)
	file := filepath.Join(g.dir, "worker.yaml")
	if err := os.WriteFile(file, []byte(s.replacer().Replace(text)), 0o644); err != nil {
		return err
	}
	env := append(append([]string{}, g.env...), s.env()...)
	port := strconv.Itoa(programs.FreePort(t))
	env = append(env, "GPUSTACK_WORKER_METRICS_PORT="+port)
	p := g.start(env, filepath.Join(g.bin, "stackscope-worker"), "--config-file", file, "--worker-name", "from-file")
	programs.Eventually(t, 30*time.Second, "the worker joins and expects 8 GPUs", func() error {
		if p.Ended() {
			t.Fatalf("it ended: %s", p.Output())
		}
		if !strings.Contains(p.Output(), "worker is registered") {
			return fmt.Errorf("not registered: %s", p.Output())
		}
		_, err := programs.Get("http://127.0.0.1:" + port + "/metrics")
		return err
	})
	return nil
}

// healthCheck runs the page's script against workers' pages, and without a worker.
func healthCheck(t *testing.T, b *block) error {
	t.Helper()
	const healthy = `gpustack:gpu_expected{worker_name="a",vendor="nvidia"} 8
gpustack:gpu_present{worker_name="a",vendor="nvidia"} 8
gpustack:gpu_driver_responsive{worker_name="a",vendor="nvidia"} 1
gpustack:gpu_driver_responsive{worker_name="a",vendor="amd"} 1
`
	for _, c := range []struct{ name, page, drained string }{
		{"healthy", healthy, ""},
		{"without GPUs", "gpustack:worker_node_uptime_seconds 7\n", ""},
		{"a GPU is missing", strings.Replace(healthy, `present{worker_name="a",vendor="nvidia"} 8`, `present{worker_name="a",vendor="nvidia"} 7`, 1), "stackscope: 7 of 8 GPUs"},
		{"all are missing", strings.Replace(healthy, "gpustack:gpu_present", "gpustack:another", 1), "stackscope:  of 8 GPUs"},
		{"one of two drivers hangs", strings.Replace(healthy, `vendor="nvidia"} 1`, `vendor="nvidia"} 0`, 1), "stackscope: the GPUs' driver hangs"},
		{"no worker", "-", ""},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(c.page)) }))
		if c.page == "-" {
			srv.Close()
		}
		bin, noted := t.TempDir(), filepath.Join(t.TempDir(), "noted")
		if err := os.WriteFile(filepath.Join(bin, "scontrol"), []byte("#!/bin/sh\nprintf '%s\\n' \"$*\" >> "+noted+"\n"), 0o755); err != nil {
			return err
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(b.text, "http://localhost:10151", srv.URL))
		cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		srv.Close()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v, it prints %s", c.name, err, out)
		}
		text, _ := os.ReadFile(noted)
		if c.drained == "" && len(text) > 0 || !strings.HasSuffix(strings.TrimSpace(string(text)), c.drained) || c.drained != "" && !strings.Contains(string(text), "State=DRAIN") {
			t.Errorf("%s: scontrol %s, want the reason %q", c.name, text, c.drained)
		}
	}
	return nil
}
