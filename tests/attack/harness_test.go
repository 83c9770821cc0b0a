//go:build linux

package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

const wholeAttack = "1"

func TestMain(m *testing.M) {
	if what := os.Getenv(playPart); what != "" {
		if err := play(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv("STACKSCOPE_ATTACK") == "" {
		fmt.Println("the attacks come after the other tests: `make attack` builds the programs that they need")
		return
	}
	os.Exit(m.Run())
}

// count is how often a thing is done: whole with STACKSCOPE_ATTACK=1, else reduced.
func count(whole, reduced int) int {
	if os.Getenv("STACKSCOPE_ATTACK") == wholeAttack {
		return whole
	}
	return reduced
}

// seconds is how long a thing is done.
func seconds(whole, reduced int) time.Duration {
	return time.Duration(count(whole, reduced)) * time.Second
}

// memory returns how much of a process lies in memory, now and at its peak since resetPeak, in bytes.
func memory(p *programs.Program) (now, peak int64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			now = kib << 10
		case "VmHWM":
			peak = kib << 10
		}
	}
	return now, peak
}

func resetPeak(t *testing.T, p *programs.Program) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0); err != nil {
		t.Fatalf("the peak of memory cannot be reset: %v", err)
	}
}

// tail returns the last n bytes of s.
func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// server is `stackscope server` under attack.
type server struct {
	*programs.Program
	dir                   string
	url, metrics          string // of the API and of the metrics listener
	adminToken, joinToken string
}

// serve starts a server on loopback with 2 GiB of memory and further flags, and waits until it answers.
func serve(t *testing.T, flags ...string) *server {
	t.Helper()
	return serveIn(t, t.TempDir(), []string{"GOMEMLIMIT=2GiB"}, flags...)
}

// serveIn does so in a given data directory and environment.
func serveIn(t *testing.T, dir string, env []string, flags ...string) *server {
	t.Helper()
	return serveAs(t, nil, dir, env, flags...)
}

// serveAs does so as another user; nil is the test's own.
func serveAs(t *testing.T, user *syscall.Credential, dir string, env []string, flags ...string) *server {
	t.Helper()
	s := &server{dir: dir}
	port, metricsPort := programs.FreePort(t), programs.FreePort(t)
	s.url, s.metrics = fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://127.0.0.1:%d", metricsPort)
	program := programs.Path(t, "stackscope")
	if user != nil {
		program = publicCopy(t, program)
	}
	cmd := exec.Command(program, append([]string{
		"server", "--data-dir", dir, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--metrics-port", strconv.Itoa(metricsPort),
		"--disable-builtin-grafana",
	}, flags...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	s.Program = programs.Start(t, cmd)
	s.await(t, "/healthz")
	s.adminToken, s.joinToken = s.token(t, "admin-token"), s.token(t, "worker-token")
	return s
}

// queryable waits until the embedded Prometheus answers queries.
func (s *server) queryable(t *testing.T) {
	t.Helper()
	programs.Eventually(t, time.Minute, "queries are answered", func() error {
		body, err := programs.Get(s.url + "/prometheus/api/v1/query?query=up")
		if err == nil && !strings.Contains(body, `"success"`) {
			err = fmt.Errorf("answered %s", body)
		}
		return err
	})
}

// await waits until GET path is answered with 200.
func (s *server) await(t *testing.T, path string) {
	t.Helper()
	s.AwaitURL(time.Minute, s.url+path)
}

func (s *server) token(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// send sends a JSON body and returns the status and the answer.
func (s *server) send(method, path, token string, body any) (int, []byte, error) {
	var r io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		r = bytes.NewReader(data)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, r)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

type joined struct {
	ID         int64  `json:"worker_id"`
	Credential string `json:"credential"`
}

// join registers a worker whose metrics are at 127.0.0.1:port; 0 is none.
func (s *server) join(name string, port int) (joined, error) {
	return s.register(name, map[string]any{"uuid": "uuid-" + name, "name": name, "address": "127.0.0.1", "metrics_port": port})
}

func (s *server) register(name string, body map[string]any) (joined, error) {
	var w joined
	status, answer, err := s.send(http.MethodPost, "/v2/workers/register", s.joinToken, body)
	if err != nil {
		return w, err
	}
	if status != http.StatusOK {
		return w, fmt.Errorf("registering %s: %d %s", name, status, answer)
	}
	return w, json.Unmarshal(answer, &w)
}

// others ask for /healthz and for a query while an attack runs.
type others struct {
	stop func()
	done chan struct{}

	mu     sync.Mutex
	asked  int
	worst  map[string]time.Duration
	failed []string
}

// watch makes others ask ten times a second, until rest is called.
func (s *server) watch(t *testing.T) *others {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	o := &others{stop: cancel, done: make(chan struct{}), worst: map[string]time.Duration{}}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	var all sync.WaitGroup
	for _, path := range []string{"/healthz", "/prometheus/api/v1/query?query=up"} {
		all.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				o.ask(client, s.url, path)
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() { all.Wait(); close(o.done) }()
	t.Cleanup(func() { cancel(); <-o.done })
	return o
}

func (o *others) ask(client *http.Client, base, path string) {
	begin := time.Now()
	resp, err := client.Get(base + path)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", resp.Status)
		}
	}
	took := time.Since(begin)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	o.worst[path] = max(o.worst[path], took)
	if err != nil {
		o.failed = append(o.failed, fmt.Sprintf("%s after %v: %v", path, took.Round(time.Millisecond), err))
	}
}

// attack runs what is done to the server, says what it cost, and fails the test when others got no answer, when memory rose by
// more than 512 MiB above rest, or, in the whole attack, when others waited for half a second.
func (s *server) attack(t *testing.T, do func()) {
	t.Helper()
	rest, _ := memory(s.Program)
	resetPeak(t, s.Program)
	o := s.watch(t)
	begin := time.Now()
	do()
	took := time.Since(begin)
	_, peak := memory(s.Program)
	o.stop()
	<-o.done

	var worst time.Duration
	for _, d := range o.worst {
		worst = max(worst, d)
	}
	t.Logf("| %s | %d MiB at rest | +%d MiB | %.1f s | others: %d asked, %d failed, slowest %d ms |",
		t.Name(), rest>>20, (peak-rest)>>20, took.Seconds(), o.asked, len(o.failed), worst.Milliseconds())
	if s.Ended() {
		t.Fatalf("the server has ended: %v", s.Err())
	}
	if rise := peak - rest; rise > 512<<20 {
		t.Errorf("memory rose by %d MiB, at most 512 are allowed", rise>>20)
	}
	if len(o.failed) > 0 {
		t.Errorf("%d of %d requests of others failed, the first: %s", len(o.failed), o.asked, o.failed[0])
	}
	if count(1, 0) == 1 && worst > 500*time.Millisecond {
		t.Errorf("others waited for up to %v, at most 500 ms are allowed: %v", worst, o.worst)
	}
}
