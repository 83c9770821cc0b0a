//go:build linux

package attack

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// agent starts `stackscope-worker` with a data directory, a metrics port and no engines.
func (s *server) agent(t *testing.T, dir string, port int, flags ...string) *programs.Program {
	t.Helper()
	cmd := exec.Command(programs.Path(t, "stackscope-worker"), append([]string{
		"--server-url", s.url, "--token-file", filepath.Join(s.dir, "worker-token"), "--data-dir", dir,
		"--worker-ip", "127.0.0.1", "--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(port), "--discover", "none",
	}, flags...)...)
	return programs.Start(t, cmd)
}

type listedWorker struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	MetricsPort int    `json:"metrics_port"`
	State       string `json:"state"`
}

func (s *server) workers() ([]listedWorker, error) {
	body, err := programs.Get(s.url + "/v2/workers")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []listedWorker `json:"items"`
	}
	return list.Items, json.Unmarshal([]byte(body), &list)
}

// wantWorkers waits until the server knows just these workers.
func (s *server) wantWorkers(t *testing.T, limit time.Duration, want ...listedWorker) {
	t.Helper()
	programs.Eventually(t, limit, fmt.Sprint(want), func() error {
		got, err := s.workers()
		if err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
			err = fmt.Errorf("there are %v", got)
		}
		return err
	})
}

const registered = `msg="worker is registered"`

// A copied data directory makes two workers of one identity. The second is refused with both addresses and what to do, and goes
// on exporting; the first does not notice.
func TestCopiedDataDirectory(t *testing.T) {
	s := serve(t)
	dir, copied := t.TempDir(), t.TempDir()
	port, other := programs.FreePort(t), programs.FreePort(t)
	first := s.agent(t, dir, port, "--worker-name", "node-1")
	s.wantWorkers(t, 20*time.Second, listedWorker{1, "node-1", port, "ready"})
	copyState(t, dir, copied)
	second := s.agent(t, copied, other, "--worker-name", "node-1")
	programs.Eventually(t, 20*time.Second, "the second is refused or taken", func() error {
		if !strings.Contains(second.Output(), "409 Conflict") && !strings.Contains(second.Output(), registered) {
			return fmt.Errorf("it logged %s", second.Output())
		}
		return nil
	})
	for _, want := range []string{"two live workers have one identity", fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", other), filepath.Join(copied, "worker.json")} {
		if !strings.Contains(second.Output(), want) {
			t.Errorf("the second one's log does not say %s", want)
		}
	}
	for begin := time.Now(); time.Since(begin) < seconds(45, 2); time.Sleep(50 * time.Millisecond) {
		got, err := s.workers()
		if want := fmt.Sprint([]listedWorker{{1, "node-1", port, "ready"}}); err != nil || fmt.Sprint(got) != want {
			t.Fatalf("%v, %v; want %s", got, err, want)
		}
	}
	if n := strings.Count(first.Output(), registered); n != 1 || strings.Contains(first.Output(), "does not know this worker") {
		t.Errorf("the first one registered %d times:\n%s", n, first.Output())
	}
	if n := strings.Count(second.Output(), "409 Conflict"); n != 1 || second.Ended() {
		t.Errorf("the second one says %d times that it is refused; ended: %v", n, second.Ended())
	}
	if _, err := programs.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", other)); err != nil {
		t.Errorf("the second one: %v", err)
	}

	// The way out.
	second.Stop(syscall.SIGTERM)
	if err := os.Remove(filepath.Join(copied, "worker.json")); err != nil {
		t.Fatal(err)
	}
	second = s.agent(t, copied, other, "--worker-name", "node-2")
	s.wantWorkers(t, 20*time.Second, listedWorker{1, "node-1", port, "ready"}, listedWorker{2, "node-2", other, "ready"})

	// One that ends without a word and comes back at its place is taken at once.
	first.Stop(syscall.SIGKILL)
	begin := time.Now()
	first = s.agent(t, dir, port, "--worker-name", "node-1")
	programs.Eventually(t, 20*time.Second, "the first is back", func() error {
		if !strings.Contains(first.Output(), registered) {
			return fmt.Errorf("it logged %s", first.Output())
		}
		return nil
	})
	t.Logf("back at its place %v after it was killed", time.Since(begin).Round(time.Millisecond))
	if strings.Contains(first.Output(), "409 Conflict") {
		t.Errorf("it was refused:\n%s", first.Output())
	}

	// One that said that it stops may come back elsewhere at once.
	first.Stop(syscall.SIGTERM)
	moved := programs.FreePort(t)
	first = s.agent(t, dir, moved, "--worker-name", "node-1")
	s.wantWorkers(t, 20*time.Second, listedWorker{1, "node-1", moved, "ready"}, listedWorker{2, "node-2", other, "ready"})
	if strings.Contains(first.Output(), "409 Conflict") {
		t.Errorf("it was refused:\n%s", first.Output())
	}

	// One that did not waits until the server thinks that the other one has ended.
	if count(1, 0) == 0 {
		return
	}
	first.Stop(syscall.SIGKILL)
	begin = time.Now()
	first = s.agent(t, dir, port, "--worker-name", "node-1")
	s.wantWorkers(t, 2*time.Minute, listedWorker{1, "node-1", port, "ready"}, listedWorker{2, "node-2", other, "ready"})
	t.Logf("elsewhere %v after it was killed", time.Since(begin).Round(time.Second))
}

// Two that have one address too, as behind one router, can't be told apart when the second comes: it has the place, and the
// first is refused when it comes back. Neither takes it from the other again.
func TestCopiesBehindOneAddress(t *testing.T) {
	s := serve(t)
	body := func(run string) map[string]any {
		return map[string]any{"uuid": "u", "name": "n", "address": "127.0.0.1", "metrics_port": 10151, "run": run}
	}
	if _, err := s.register("n", body("first")); err != nil {
		t.Fatal(err)
	}
	second, err := s.register("n", body("second"))
	if err != nil {
		t.Fatal(err)
	}
	for range count(2000, 100) {
		// 409 and, from the twentieth of a minute on, 429
		if _, err := s.register("n", body("first")); err == nil || !strings.Contains(err.Error(), "one identity") {
			t.Fatalf("the first one comes back: %v", err)
		}
		report := map[string]any{"applied_generation": 0, "instances": []any{}}
		if status, answer, err := s.send("PUT", fmt.Sprintf("/v2/workers/%d/report", second.ID), second.Credential, report); err != nil || status != 200 {
			t.Fatalf("the second one reports: %d %s %v", status, answer, err)
		}
	}
}

func copyState(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
