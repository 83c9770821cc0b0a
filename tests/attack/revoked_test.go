//go:build linux

package attack

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// workerItem is what these tests look at of GET /v2/workers.
type workerItem struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// named returns the worker of a name, if the server has it.
func (s *server) named(t *testing.T, name string) (workerItem, bool) {
	t.Helper()
	for _, w := range list[workerItem](t, s, "/v2/workers") {
		if w.Name == name {
			return w, true
		}
	}
	return workerItem{}, false
}

// joins waits until the worker of a name is ready.
func (s *server) joins(t *testing.T, name string, limit time.Duration) workerItem {
	t.Helper()
	var w workerItem
	programs.Eventually(t, limit, name+" is ready", func() error {
		if w, _ = s.named(t, name); w.State != "ready" {
			return fmt.Errorf("it is %+v", w)
		}
		return nil
	})
	return w
}

// staysOut fails the test if the worker of a name comes back.
func (s *server) staysOut(t *testing.T, name string) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < seconds(20, 1); time.Sleep(50 * time.Millisecond) {
		if w, ok := s.named(t, name); ok {
			t.Fatalf("the worker that was removed is back after %v: %+v", time.Since(begin).Round(time.Millisecond), w)
		}
	}
	if body, err := programs.Get(s.metrics + "/metrics/targets"); err != nil || strings.Contains(body, name) {
		t.Errorf("targets: %v: %s", err, body)
	}
}

// TestRemovedWorkerStaysOut removes a worker that runs. It does not come back, also not when it or the server starts again; it goes
// on exporting; and it is back once it is allowed.
func TestRemovedWorkerStaysOut(t *testing.T) {
	dir := t.TempDir()
	s := serveIn(t, dir, nil, "--disable-builtin-observability")
	const name = "removed-node"
	data, port := t.TempDir(), programs.FreePort(t)
	runWorker := func() *programs.Program {
		return programs.Start(t, exec.Command(programs.Path(t, "stackscope-worker"), "--server-url", s.url, "--token-file", filepath.Join(dir, "worker-token"),
			"--data-dir", data, "--worker-name", name, "--worker-ip", "127.0.0.1", "--worker-metrics-host", "127.0.0.1",
			"--worker-metrics-port", strconv.Itoa(port), "--discover", "none", "--gpu-vendors", "none"))
	}
	exports := func(p *programs.Program) {
		t.Helper()
		p.AwaitURL(10*time.Second, fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
	}
	told := func(p *programs.Program, id int64) {
		t.Helper()
		const sentence = "worker " + name + " was removed by an operator at "
		programs.Eventually(t, 10*time.Second, "the worker is told", func() error {
			if log := p.Output(); strings.Count(log, sentence) != 1 || !strings.Contains(log, fmt.Sprintf("allow it again with stackscope worker allow %d, on the server", id)) {
				return fmt.Errorf("its log: %s", log)
			}
			return nil
		})
	}
	w := runWorker()
	before := s.joins(t, name, 20*time.Second)
	remove := func(id int64) (int, string) {
		t.Helper()
		status, answer, err := s.send(http.MethodDelete, fmt.Sprint("/v2/workers/", id), s.adminToken, nil)
		if err != nil {
			t.Fatal(err)
		}
		return status, string(answer)
	}
	if status, answer := remove(before.ID); status != http.StatusNoContent {
		t.Fatalf("DELETE: %d %s", status, answer)
	}
	s.staysOut(t, name)
	told(w, before.ID)
	exports(w)

	w.Stop(syscall.SIGTERM)
	s.Stop(syscall.SIGKILL)
	s = serveIn(t, dir, nil, "--disable-builtin-observability")
	w = runWorker()
	told(w, before.ID)
	exports(w)
	s.staysOut(t, name)
	status, answer, err := s.send(http.MethodGet, "/v2/revoked-workers", s.adminToken, nil)
	if want := fmt.Sprintf(`{"items":[{"id":%d,"name":%q,"cluster_name":"default","address":"127.0.0.1","revoked_at":"`, before.ID, name); err != nil || status != http.StatusOK || !strings.HasPrefix(string(answer), want) {
		t.Errorf("%d %s %v, want %s", status, answer, err, want)
	}

	// A machine that was set up anew may have the name. Once it said that it stops, it is forgotten.
	anew, err := s.register(name, map[string]any{"uuid": "anew", "name": name, "address": "127.0.0.1", "metrics_port": 1})
	if err != nil {
		t.Fatal(err)
	}
	if status, answer, err := s.report(anew, map[string]any{"applied_generation": 0, "instances": []any{}, "stopping": true}); err != nil || status != http.StatusOK {
		t.Fatalf("leaving: %d %s %v", status, answer, err)
	}
	if status, answer := remove(anew.ID); status != http.StatusNoContent {
		t.Fatalf("DELETE: %d %s", status, answer)
	}
	if anew, err = s.register(name, map[string]any{"uuid": "anew", "name": name, "address": "127.0.0.1", "metrics_port": 1}); err != nil {
		t.Errorf("one that was forgotten: %v", err)
	}
	// One that has joined a moment ago would come back, too.
	if status, answer := remove(anew.ID); status != http.StatusNoContent {
		t.Fatalf("DELETE: %d %s", status, answer)
	}
	if status, answer, err := s.send(http.MethodPost, "/v2/workers/register", s.joinToken, map[string]any{"uuid": "anew", "name": name, "address": "127.0.0.1", "metrics_port": 1}); err != nil || status != http.StatusForbidden {
		t.Errorf("one that was removed before it reported: %d %s %v", status, answer, err)
	}

	for _, want := range []int{http.StatusNoContent, http.StatusNotFound} {
		if status, answer, err := s.send(http.MethodDelete, fmt.Sprint("/v2/revoked-workers/", before.ID), s.adminToken, nil); err != nil || status != want {
			t.Fatalf("letting it in: %d %s %v, want %d", status, answer, err, want)
		}
	}
	if count(1, 0) == 0 { // else it asks by itself
		w.Stop(syscall.SIGTERM)
		w = runWorker()
	}
	if after := s.joins(t, name, 40*time.Second); after.ID <= before.ID {
		t.Errorf("it is %d, and was %d", after.ID, before.ID)
	}
	exports(w)
}

// TestNewWorkerToken replaces the worker token as docs/hardening.md says: who has the old one can't join as another any more, and
// workers go on.
func TestNewWorkerToken(t *testing.T) {
	dir := t.TempDir()
	s := serveIn(t, dir, nil, "--disable-builtin-observability")
	trusted, err := s.join("trusted", 1)
	if err != nil {
		t.Fatal(err)
	}
	evil, err := s.join("evil", 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []joined{trusted, evil} {
		if status, answer, err := s.report(w, reportOf(1, "")); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s %v", status, answer, err)
		}
	}
	if status, answer, err := s.send(http.MethodDelete, fmt.Sprint("/v2/workers/", evil.ID), s.adminToken, nil); err != nil || status != http.StatusNoContent {
		t.Fatalf("%d %s %v", status, answer, err)
	}
	if status, answer, err := s.report(evil, reportOf(2, "")); err != nil || status != http.StatusUnauthorized {
		t.Errorf("its credential: %d %s %v", status, answer, err)
	}
	const name = "running-node"
	file := filepath.Join(t.TempDir(), "token")
	give := func() {
		t.Helper()
		if err := os.WriteFile(file, []byte(s.joinToken), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	give()
	// The server starts on another port again; the worker has one address for it.
	var now atomic.Pointer[url.URL]
	point := func() {
		t.Helper()
		at, err := url.Parse(s.url)
		if err != nil {
			t.Fatal(err)
		}
		now.Store(at)
	}
	point()
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(now.Load()) }, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)})
	t.Cleanup(front.Close)
	w := programs.Start(t, exec.Command(programs.Path(t, "stackscope-worker"), "--server-url", front.URL, "--token-file", file, "--data-dir", t.TempDir(),
		"--worker-name", name, "--worker-ip", "127.0.0.1", "--disable-worker-metrics", "--discover", "none", "--gpu-vendors", "none"))
	s.joins(t, name, 20*time.Second)
	known := s.joinToken
	s.Stop(syscall.SIGTERM)
	if err := os.Remove(filepath.Join(dir, "worker-token")); err != nil {
		t.Fatal(err)
	}
	s = serveIn(t, dir, nil, "--disable-builtin-observability")
	point()
	status, answer, err := s.send(http.MethodPost, "/v2/workers/register", known, map[string]any{"uuid": "of-its-own-making", "name": "evil-2", "address": "127.0.0.1", "metrics_port": 1})
	if err != nil || status != http.StatusUnauthorized || known == s.joinToken {
		t.Errorf("the old token: %d %s %v", status, answer, err)
	}
	if status, answer, err := s.report(trusted, reportOf(2, "")); err != nil || status != http.StatusOK {
		t.Errorf("a worker that was there: %d %s %v", status, answer, err)
	}
	if _, err := s.join("trusted", 1); err != nil {
		t.Errorf("a worker with the new token: %v", err)
	}

	// One that runs with the old one is back once its file has the new one.
	before := s.joins(t, name, 40*time.Second)
	for _, path := range []string{"/v2/workers/", "/v2/revoked-workers/"} {
		if status, answer, err := s.send(http.MethodDelete, fmt.Sprint(path, before.ID), s.adminToken, nil); err != nil || status != http.StatusNoContent {
			t.Fatalf("%s: %d %s %v", path, status, answer, err)
		}
	}
	programs.Eventually(t, 40*time.Second, "the old token is refused", func() error {
		if said := w.Output(); !strings.Contains(said, "the token file, which is read again at each attempt") {
			return fmt.Errorf("its log: %s", said)
		}
		return nil
	})
	give()
	if after := s.joins(t, name, 60*time.Second); after.ID <= before.ID || w.Ended() {
		t.Errorf("it is %d, and was %d; its process ended: %v", after.ID, before.ID, w.Ended())
	}
}
