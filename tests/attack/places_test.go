//go:build linux

package attack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/accesstable"
	"github.com/stackscope/stackscope/tests/programs"
)

// machine is where the programs run: directories and a host whose names can be told from everything else.
type machine struct {
	data, cwd, home, host string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	root := t.TempDir()
	m := machine{data: filepath.Join(root, "telling-data"), cwd: filepath.Join(root, "telling-cwd"), home: filepath.Join(root, "telling-home")}
	for _, dir := range []string{m.data, m.cwd, m.home} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	const named = "telling-host"
	if exec.CommandContext(t.Context(), "unshare", "-u", "hostname", named).Run() == nil {
		m.host = named
	}
	return m
}

// command returns a program that runs there.
func (m machine) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path := programs.Path(t, name)
	if m.host != "" {
		path, args = "unshare", append([]string{"-u", "sh", "-c", `hostname "$0" && exec "$@"`, m.host, path}, args...)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = m.cwd
	cmd.Env = append(os.Environ(), "HOME="+m.home, "PWD="+m.cwd, "GOMEMLIMIT=2GiB", "GF_PATHS_HOME=")
	return cmd
}

// serve starts a server with all of its ports and waits until it answers.
func (m machine) serve(t *testing.T, flags ...string) (s *server, prometheus string) {
	t.Helper()
	s = &server{dir: m.data}
	ports := []int{programs.FreePort(t), programs.FreePort(t), programs.FreePort(t), programs.FreePort(t)}
	at := func(i int) string { return fmt.Sprintf("http://127.0.0.1:%d", ports[i]) }
	s.url, s.metrics, prometheus = at(0), at(1), at(2)
	cmd := m.command(t, "stackscope", append([]string{
		"server", "--data-dir", m.data, "--host", "127.0.0.1", "--port", strconv.Itoa(ports[0]), "--metrics-port", strconv.Itoa(ports[1]),
		"--builtin-prometheus-port", strconv.Itoa(ports[2]), "--builtin-grafana-port", strconv.Itoa(ports[3]),
	}, flags...)...)
	s.Program = programs.Start(t, cmd)
	s.await(t, "/healthz")
	s.adminToken, s.joinToken = s.token(t, "admin-token"), s.token(t, "worker-token")
	return s, prometheus
}

// table returns the rows of the table of who may ask what that are about a port.
func accessRows(t *testing.T, pkg, port string) []accesstable.Row {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "internal", pkg, "testdata", "access.txt"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := accesstable.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var rows []accesstable.Row
	for _, r := range table.Rows {
		if r.Port == port && r.Mode == "default" {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		t.Fatalf("no route of the %s port", port)
	}
	return rows
}

// stranger sends a request as somebody on another machine would by way of a proxy, and returns the whole answer.
func stranger(t *testing.T, method, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", "192.0.2.7")
	r.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		t.Errorf("%s %s: %v", method, url, err)
		return ""
	}
	defer resp.Body.Close()
	var body []byte
	if resp.Header.Get("Content-Type") == "text/event-stream" { // which need not end
		body, err = bufio.NewReader(resp.Body).ReadBytes('\n')
	} else {
		body, err = io.ReadAll(resp.Body)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("%s %s: %v", method, url, err)
	}
	return fmt.Sprintf("%s %v\n%s", resp.Status, resp.Header, body)
}

// crawl asks for everything that is served at a port, and for what isn't. The answers tell nothing of the machine. The fleet's own
// data may tell hosts.
func (m machine) crawl(t *testing.T, state, base, pkg, port string, tellsHosts func(path string) bool) {
	t.Helper()
	requests := [][2]string{{"GET", "/nothing-is-here"}, {"GET", "/prometheus/nothing"}, {"GET", "/prometheus/api/v1/query?query=("}, {"GET", "/grafana/api/health"}}
	for _, r := range accessRows(t, pkg, port) {
		method, path, ok := strings.Cut(r.Route, " ")
		if !ok {
			method, path = "GET", r.Route
		}
		requests = append(requests, [2]string{method, accesstable.Fill(path, map[string]string{"id": "1", "name": "job"})})
	}
	for _, r := range requests {
		answer := stranger(t, r[0], base+r[1])
		for what, secret := range map[string]string{"the data directory": m.data, "the working directory": m.cwd, "the home directory": m.home, "the host's name": m.host} {
			if what == "the host's name" && (secret == "" || tellsHosts(r[1])) {
				continue
			}
			if at := strings.Index(answer, filepath.Base(secret)); at >= 0 {
				t.Errorf("%s: %s %s of the %s port tells %s: ...%s...", state, r[0], r[1], port, what, answer[max(0, at-80):min(len(answer), at+120)])
			}
		}
	}
}

func noHosts(string) bool { return false }

// TestStrangersLearnNothingOfTheMachine: whoever asks, on any port and in any trouble, isn't told where the server's files lie, where
// it was started and what its host is called.
func TestStrangersLearnNothingOfTheMachine(t *testing.T) {
	for _, state := range []struct {
		name    string
		prepare func(*testing.T, machine) (flags []string)
		trouble func(*testing.T, machine, *server) // while it runs
		ready   bool
	}{
		{name: "in good health", ready: true},
		{name: "a damaged block", prepare: func(t *testing.T, m machine) []string {
			t.Helper()
			if err := os.MkdirAll(filepath.Join(m.data, "prometheus", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "chunks"), 0o700); err != nil {
				t.Fatal(err)
			}
			return nil
		}},
		{name: "no directory for Prometheus", prepare: func(t *testing.T, m machine) []string {
			t.Helper()
			if err := os.WriteFile(filepath.Join(m.data, "prometheus"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return nil
		}},
		{name: "a Grafana that fails", ready: true, prepare: failingGrafana},
		{name: "a database that is overwritten", trouble: overwriteDatabase},
	} {
		t.Run(strings.ReplaceAll(state.name, " ", "-"), func(t *testing.T) {
			m := newMachine(t)
			var flags []string
			if state.prepare != nil {
				flags = state.prepare(t, m)
			}
			s, prometheus := m.serve(t, flags...)
			if state.trouble != nil {
				state.trouble(t, m, s)
			}
			programs.Eventually(t, time.Minute, "the state", func() error {
				_, err := programs.Get(s.url + "/readyz")
				switch {
				case !state.ready && err == nil:
					return errors.New("it is ready")
				case state.ready && err == nil:
					_, err = programs.Get(s.url + "/prometheus/-/ready")
					return err
				case state.ready:
					return err
				}
				return nil
			})
			if !state.ready {
				// The server's own user is told where to look.
				if _, err := programs.Get(s.url + "/readyz"); err == nil || !strings.Contains(err.Error(), m.data) {
					t.Errorf("the server's user isn't told which directory it is: %v", err)
				}
			}
			m.crawl(t, state.name, s.url, "server", "API", noHosts)
			m.crawl(t, state.name, s.metrics, "server", "metrics", noHosts)
			m.crawl(t, state.name, prometheus, "server", "Prometheus", noHosts)
		})
	}
}

// failingGrafana makes a home whose program says where it is and ends.
func failingGrafana(t *testing.T, m machine) []string {
	t.Helper()
	home := filepath.Join(m.home, "grafana")
	for _, dir := range []string{"conf", "public", "bin"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(home, "conf", "defaults.ini"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const program = "#!/bin/sh\necho \"Error: failed to read $0 and $GF_PATHS_DATA: permission denied\" >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(home, "bin", "grafana"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	return []string{"--grafana-home", home}
}

// overwriteDatabase makes the server's next change fail.
func overwriteDatabase(t *testing.T, m machine, s *server) {
	t.Helper()
	for _, name := range []string{"stackscope.db", "stackscope.db-wal", "stackscope.db-shm"} {
		path := filepath.Join(m.data, name)
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("garbage ", int(info.Size())/8)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.join("node-1", 0); err == nil {
		t.Fatal("a worker was registered in an overwritten database")
	} else if strings.Contains(err.Error(), m.data) {
		t.Errorf("who registers a worker is told where the database is: %v", err)
	}
}

// TestStrangersLearnNothingOfAWorkersMachine: but for what the machine's own metrics say, its host's name among it.
func TestStrangersLearnNothingOfAWorkersMachine(t *testing.T) {
	m := newMachine(t)
	port := programs.FreePort(t)
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	w := programs.Start(t, m.command(t, "stackscope-worker", "--data-dir", m.data, "--worker-name", "node-1", "--worker-metrics-host", "127.0.0.1",
		"--worker-metrics-port", strconv.Itoa(port), "--discover", "none", "--gpu-vendors", "none"))
	w.AwaitURL(time.Minute, url+"/healthz")
	m.crawl(t, "a worker", url, "worker", "worker's metrics", func(path string) bool { return path == "/metrics" || path == "/metrics/" })
}
