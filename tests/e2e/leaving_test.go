package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/simengine"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

const workerStopped = "worker stopped"

func listed[T any](url string) ([]T, error) {
	body, err := programs.Get(url)
	if err != nil {
		return nil, err
	}
	var list wire.List[T]
	return list.Items, json.Unmarshal([]byte(body), &list)
}

// look is what a server says of one worker and of its instances. Instances that others on this machine run are left out.
type look struct {
	worker    wire.Worker
	instances map[string]wire.ModelInstance
}

func lookAt(base string, names ...string) (look, error) {
	l := look{instances: map[string]wire.ModelInstance{}}
	workers, err := listed[wire.Worker](base + "/v2/workers")
	if err != nil {
		return l, err
	}
	if len(workers) != 1 {
		return l, fmt.Errorf("%d workers", len(workers))
	}
	l.worker = workers[0]
	instances, err := listed[wire.ModelInstance](base + "/v2/model-instances")
	for _, in := range instances {
		for _, name := range names {
			if in.Name == name {
				l.instances[name] = in
			}
		}
	}
	return l, err
}

// states are the states with why, each once.
func (l look) states() string {
	seen := map[string]bool{}
	var all []string
	for _, s := range append([]string{string(l.worker.State) + ": " + l.worker.StateMessage}, l.inStates()...) {
		if !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	return strings.Join(all, ", ")
}

func (l look) inStates() []string {
	var all []string
	for _, in := range l.instances {
		all = append(all, string(in.State)+": "+in.StateMessage)
	}
	return all
}

func (l look) ids() map[string][3]int64 {
	ids := map[string][3]int64{}
	for name, in := range l.instances {
		ids[name] = [3]int64{in.ID, in.ModelID, in.WorkerID}
	}
	return ids
}

func (l look) allRunning(n int) error {
	if l.worker.State != "ready" || len(l.instances) != n {
		return fmt.Errorf("%s, of %d instances", l.states(), len(l.instances))
	}
	for _, in := range l.instances {
		if in.State != "running" {
			return fmt.Errorf("%s", l.states())
		}
	}
	return nil
}

// A worker is stopped and started again as the upgrade of its package does. From the end of the old process until the first
// report of the new one it is not ready, its instances are unreachable, and both say why; there is no other state between.
// Worker, models and instances have the ids of before, also the engine that was found, and no series of another id is made.
func TestWorkerThatIsUpgraded(t *testing.T) {
	port, metrics, workerMetrics := programs.FreePort(t), programs.FreePort(t), programs.FreePort(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	serverDir, workerDir := t.TempDir(), t.TempDir()
	start(t, programs.Path(t, "stackscope"), "server", "--data-dir", serverDir, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--metrics-port", strconv.Itoa(metrics))
	programs.Eventually(t, 20*time.Second, "the server is ready", contains(base+"/readyz", "ok"))
	found := programs.FreePort(t)
	engineProcess(t, simengine.ProfileVLLM, found, "vllm", "serve", "Qwen/Qwen3-8B", "--port", fmt.Sprint(found), "--served-model-name", "qwen3-8b")
	declared := engine(t, simengine.ProfileSGLang)
	docker := muteDaemon(t)
	names := []string{"declared-0", fmt.Sprintf("qwen3-8b-node-1-%d", found)}
	startWorker := func() *programs.Program {
		return start(t, programs.Path(t, "stackscope-worker"), "--server-url", base, "--token-file", filepath.Join(serverDir, "worker-token"),
			"--data-dir", workerDir, "--worker-name", "node-1", "--worker-ip", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(workerMetrics),
			"--engine", "url="+declared+",model=qwen3-8b,instance=declared-0", "--docker-host", "unix://"+docker)
	}
	worker := startWorker()
	var before look
	programs.Eventually(t, 40*time.Second, "both engines run", func() (err error) {
		if before, err = lookAt(base, names...); err == nil {
			err = before.allRunning(2)
		}
		return err
	})
	prometheus := base + "/prometheus"
	target := fmt.Sprintf("127.0.0.1:%d", workerMetrics)
	upIs := func(want string) func() error {
		return func() error {
			up, err := query(prometheus, fmt.Sprintf("up{instance=%q}", target))
			if err == nil && (len(up) != 1 || up[0].Value[1] != want) {
				err = fmt.Errorf("up is %v", up)
			}
			return err
		}
	}
	programs.Eventually(t, 60*time.Second, "the worker is scraped", upIs("1"))
	programs.Eventually(t, 60*time.Second, "the server is scraped", func() error {
		got, err := query(prometheus, `gpustack:model_instance_status{state="running",model_instance_name=~"`+strings.Join(names, "|")+`"}`)
		if err == nil && len(got) != 2 {
			err = fmt.Errorf("%v", got)
		}
		return err
	})

	watch := newSampling(base, names)
	for _, out := range []struct {
		name string
		away func() // what happens until the worker is there again
	}{
		{"at once", func() {}},
		{"until the next scrape", func() { programs.Eventually(t, 30*time.Second, "up is 0", upIs("0")) }},
	} {
		worker.Stop(syscall.SIGTERM)
		if code := worker.ExitCode(); code != 0 {
			t.Errorf("%s: ended with %d", out.name, code)
		}
		at, err := lookAt(base, names...)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := at.states(), "not_ready: "+workerStopped+", unreachable: "+workerStopped; got != want {
			t.Errorf("%s: when the worker has ended: %s, want %s", out.name, got, want)
		}
		if err := contains(fmt.Sprintf("http://127.0.0.1:%d/metrics/targets", metrics), target)(); err != nil {
			t.Errorf("%s: %v", out.name, err)
		}
		out.away()
		worker = startWorker()
		programs.Eventually(t, 40*time.Second, "both engines run again", func() error {
			l, err := lookAt(base, names...)
			if err == nil {
				err = l.allRunning(2)
			}
			return err
		})
		programs.Eventually(t, 30*time.Second, "the worker is scraped again", upIs("1"))
	}
	watch.stop()
	if diff := cmp.Diff(before.ids(), watch.ids); diff != "" {
		t.Errorf("ids (-before, +all that were seen):\n%s", diff)
	}
	t.Logf("%d looks saw %v", watch.looks, watch.states)
	for states := range watch.states {
		if !expected.MatchString(states) {
			t.Errorf("between the stop and the first report: %s", states)
		}
	}
	for what, expr := range map[string]string{
		"ids of instances": `count by (model_instance_name) (group by (model_instance_name, model_instance_id, model_id, worker_id) (last_over_time({__name__=~"gpustack:.+", model_instance_id!="", model_instance_name=~%q}[10m])))`,
		"no restarts":      `max by (model_instance_name) (max_over_time(gpustack:model_instance_restart_count{model_instance_name=~%q}[10m])) + 1`,
		"no resets":        `max by (model_instance_name) (resets(gpustack:generation_tokens_total{model_instance_name=~%q}[10m])) + 1`,
	} {
		got, err := query(prometheus, fmt.Sprintf(expr, strings.Join(names, "|")))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0].Value[1] != "1" || got[1].Value[1] != "1" {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// muteDaemon listens where a container's daemon would and never answers: the worker's first look takes as long as it may.
func muteDaemon(t *testing.T) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "mute") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "docker.sock")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return path
}

// expected are the states of which a look may have some: it asks for the workers and then for the instances, and one of the
// changes may come between.
var expected = regexp.MustCompile(`^((ready|running|not_ready: worker stopped|unreachable: worker stopped|(not_ready|unreachable): worker joined and has not reported yet)(: )?(, |$))+$`)

// sampling looks at a server again and again.
type sampling struct {
	ended  chan struct{}
	wg     sync.WaitGroup
	looks  int
	ids    map[string][3]int64 // of all looks, the latest that is another one than before
	states map[string]int
}

func newSampling(base string, names []string) *sampling {
	s := &sampling{ended: make(chan struct{}), ids: map[string][3]int64{}, states: map[string]int{}}
	s.wg.Go(func() {
		for {
			select {
			case <-s.ended:
				return
			case <-time.After(10 * time.Millisecond): // the server has other things to do, too
			}
			l, err := lookAt(base, names...)
			if err != nil {
				s.states[err.Error()]++
				continue
			}
			s.looks++
			s.states[l.states()]++
			if len(l.instances) != len(names) {
				s.states[fmt.Sprintf("%d instances", len(l.instances))]++
			}
			for name, ids := range l.ids() {
				if old, ok := s.ids[name]; ok && old != ids {
					s.ids[name+" again"] = ids
				} else {
					s.ids[name] = ids
				}
			}
		}
	})
	return s
}

func (s *sampling) stop() {
	close(s.ended)
	s.wg.Wait()
}

// Server and worker in one process: it is stored that the worker stops before the server closes, and all come back as they were.
func TestStartLeavesInOrder(t *testing.T) {
	dir, port := t.TempDir(), programs.FreePort(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	found := programs.FreePort(t)
	engineProcess(t, simengine.ProfileVLLM, found, "vllm", "serve", "Qwen/Qwen3-8B", "--port", fmt.Sprint(found), "--served-model-name", "qwen3-8b")
	name := fmt.Sprintf("qwen3-8b-node-1-%d", found)
	args := []string{
		"start", "--data-dir", dir, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--metrics-port", strconv.Itoa(programs.FreePort(t)),
		"--worker-metrics-port", strconv.Itoa(programs.FreePort(t)), "--worker-name", "node-1", "--worker-ip", "127.0.0.1",
	}
	var before look
	run := func() *programs.Program {
		p := start(t, programs.Path(t, "stackscope"), args...)
		programs.Eventually(t, 40*time.Second, "the engine runs", func() error {
			l, err := lookAt(base, name)
			if err != nil {
				return err
			}
			before = l
			return l.allRunning(1)
		})
		return p
	}
	p := run()
	first := before
	p.Stop(syscall.SIGTERM)
	if code := p.ExitCode(); code != 0 || strings.Contains(p.Output(), "level=ERROR") {
		t.Errorf("ended with %d:\n%s", code, p.Output())
	}

	// The same database without a worker says what is stored.
	alone := start(t, programs.Path(t, "stackscope"), "server", "--data-dir", dir, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--metrics-port", strconv.Itoa(programs.FreePort(t)))
	programs.Eventually(t, 20*time.Second, "the server is ready", contains(base+"/readyz", "ok"))
	l, err := lookAt(base, name)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.states(), "not_ready: "+workerStopped+", unreachable: "+workerStopped; got != want {
		t.Errorf("stored is %s, want %s", got, want)
	}
	alone.Stop(syscall.SIGTERM)

	run()
	if diff := cmp.Diff(first.ids(), before.ids()); diff != "" {
		t.Errorf("ids (-before +after):\n%s", diff)
	}
}

// An engine that was found and that is not there when the worker comes back keeps its ids as long as one that ends, and has
// them when it comes later.
func TestEngineThatComesBackLater(t *testing.T) {
	s := &setup{t: t, port: programs.FreePort(t), metricsPort: programs.FreePort(t), workerMetrics: programs.FreePort(t), serverDir: t.TempDir(), workerDir: t.TempDir()}
	s.startServer()
	port := programs.FreePort(t)
	play := func() func() {
		cmd := engineProcess(t, simengine.ProfileVLLM, port, "vllm", "serve", "Qwen/Qwen3-8B", "--port", fmt.Sprint(port), "--served-model-name", "qwen3-8b")
		return func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	name := fmt.Sprintf("qwen3-8b-node-1-%d", port)
	startWorker := func() *programs.Program {
		return start(t, programs.Path(t, "stackscope-worker"), "--server-url", s.api(""), "--token-file", filepath.Join(s.serverDir, "worker-token"),
			"--data-dir", s.workerDir, "--worker-name", "node-1", "--worker-ip", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(s.workerMetrics))
	}
	state := func(want string) (l look) {
		t.Helper()
		programs.Eventually(t, 40*time.Second, want, func() (err error) {
			if l, err = lookAt(s.api(""), name); err == nil && l.states() != want {
				err = fmt.Errorf("%s", l.states())
			}
			return err
		})
		return l
	}
	end := play()
	worker := startWorker()
	before := state("ready: , running: ")
	programs.Eventually(t, 20*time.Second, "ids are on disk", func() error {
		kept, err := os.ReadFile(filepath.Join(s.workerDir, "worker.json"))
		if err == nil && !strings.Contains(string(kept), `"instance_id"`) {
			err = fmt.Errorf("%s", kept)
		}
		return err
	})
	worker.Stop(syscall.SIGKILL) // without a word: what is on disk must do
	end()
	startWorker()
	state("ready: , unreachable: not found since the worker was started")
	play()
	after := state("ready: , running: ")
	if diff := cmp.Diff(before.ids(), after.ids()); diff != "" {
		t.Errorf("ids (-before +after):\n%s", diff)
	}
}
