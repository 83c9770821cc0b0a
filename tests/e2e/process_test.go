// Package e2e runs the programs as a user does: the real binaries, real HTTP, real signals, a separate real Prometheus.
// It runs when STACKSCOPE_E2E is set; `make e2e` sets it and builds the binaries first.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
	"github.com/stackscope/stackscope/internal/simgrafana"
)

func TestMain(m *testing.M) {
	simgrafana.Main()
	if what := os.Getenv(playEngine); what != "" {
		fmt.Fprintln(os.Stderr, play(what))
		os.Exit(1)
	}
	if os.Getenv("STACKSCOPE_E2E") == "" {
		fmt.Println("the end-to-end tests come after the others: `make e2e` builds the programs that they need")
		return
	}
	os.Exit(m.Run())
}

// binary returns the path of a program that `make build` made.
func binary(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("STACKSCOPE_BIN")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make build`", err)
	}
	return path
}

// process is a program under test.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	err  error

	mu  sync.Mutex
	log bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// start runs a program until the test ends, without a Grafana that this machine may have.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return startWith(t, []string{"GPUSTACK_DISABLE_BUILTIN_GRAFANA=true"}, name, args...)
}

// startWith runs a program with additions to the environment.
func startWith(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.Env = append(append(simgrafana.Environ(), "HOME="+t.TempDir()), env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("%s printed:\n%s", filepath.Base(name), p.output())
		}
	})
	return p
}

// stop sends a signal, waits for the end and returns how long that took.
func (p *process) stop(sig syscall.Signal) time.Duration {
	begin := time.Now()
	_ = p.cmd.Process.Signal(sig) // already gone is fine
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		p.t.Errorf("%s was still there 20 s after %v", p.cmd.Path, sig)
	}
	return time.Since(begin)
}

// freePort returns a port that nobody listened on a moment ago. It is below those that the system gives to listeners and
// connections that name none, of which a test opens many before its program listens.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 20000 + rand.IntN(10000)
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		ln.Close()
		return port
	}
	t.Fatal("no port is free")
	return 0
}

// eventually polls until check returns nil, and fails the test with its last error otherwise.
func eventually(t *testing.T, limit time.Duration, what string, check func() error) time.Duration {
	t.Helper()
	begin := time.Now()
	var err error
	for time.Since(begin) < limit {
		if err = check(); err == nil {
			return time.Since(begin)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: not within %v: %v", what, limit, err)
	return 0
}

func get(url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return string(body), fmt.Errorf("GET %s: %s: %.200s", url, resp.Status, body)
	}
	return string(body), nil
}

func contains(url, want string) func() error {
	return func() error {
		page, err := get(url)
		if err != nil {
			return err
		}
		if !strings.Contains(page, want) {
			return fmt.Errorf("%s has no %q", url, want)
		}
		return nil
	}
}

// engine serves a simulated engine and returns its base URL.
func engine(t *testing.T, profile string) string {
	t.Helper()
	e, err := simengine.New(simengine.Options{Profile: profile, Model: "qwen3-8b", Seed: 7, Start: time.Now().Add(-10 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(e.Handler())
	t.Cleanup(srv.Close)
	return srv.URL
}

type series struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

// query asks a Prometheus API; base ends before /api.
func query(base, expr string) ([]series, error) {
	body, err := get(base + "/api/v1/query?query=" + urlEscape(expr))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []series `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return nil, err
	}
	return answer.Data.Result, nil
}
