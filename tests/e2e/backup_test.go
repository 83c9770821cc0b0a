package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/backup"
	"github.com/stackscope/stackscope/tests/programs"
)

// stackscopeRun runs a command and returns what it prints.
func stackscopeRun(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), programs.Path(t, "stackscope"), args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("stackscope %v: %w: %s", args, err, &stderr)
	}
	return string(out), err
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, err := stackscopeRun(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// history returns all samples of workers and engines from the beginning until a time, as text.
func history(t *testing.T, base string, until time.Time) []string {
	t.Helper()
	body, err := programs.Get(base + "/api/v1/query?time=" + strconv.FormatInt(until.Unix(), 10) + "&query=" + urlEscape(`{__name__=~"gpustack:.+"}[1h]`))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Values json.RawMessage   `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range answer.Data.Result {
		labels, err := json.Marshal(s.Metric) // sorted
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(labels)+" "+string(s.Values))
	}
	slices.Sort(lines)
	return lines
}

// state is what a restored server must know.
func (s *setup) state(t *testing.T, port int) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, path := range []string{"/v2/workers", "/v2/models", "/v2/model-instances", "/v2/metrics/config", "/v2/metrics/config/generations"} {
		body, err := programs.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
		if err != nil {
			t.Fatal(err)
		}
		found[path] = body
	}
	for _, list := range []string{"/v2/workers", "/v2/models", "/v2/model-instances"} {
		var answer struct {
			Items []map[string]any `json:"items"`
		}
		if err := json.Unmarshal([]byte(found[list]), &answer); err != nil {
			t.Fatal(err)
		}
		var kept []map[string]any
		for _, item := range answer.Items { // the rest changes with every report
			kept = append(kept, map[string]any{"id": item["id"], "name": item["name"], "worker_id": item["worker_id"], "model_id": item["model_id"]})
		}
		text, err := json.Marshal(kept)
		if err != nil {
			t.Fatal(err)
		}
		found[list] = string(text)
	}
	return found
}

// A fleet with history comes back on another data directory, and its worker goes on under its id.
func TestBackupAndRestore(t *testing.T) {
	s := newSetup(t)
	url, promURL := s.api(""), s.api("/prometheus")
	programs.Eventually(t, 60*time.Second, "samples of the engine", func() error {
		found, err := query(promURL, `count_over_time(gpustack:num_requests_running[1h]) >= 3`)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("fewer than three samples")
		}
		return err
	})
	file := filepath.Join(t.TempDir(), "custom.json")
	if err := os.WriteFile(file, []byte(customMapping), 0o600); err != nil {
		t.Fatal(err)
	}
	post := func() {
		if body, status := curl(t, "-X", "POST", s.api("/v2/metrics/config"), "-H", "Content-Type: application/json", "--data-binary", "@"+file); status != 200 {
			t.Errorf("POST config: %d %s", status, body)
		}
	}
	post()
	before := s.state(t, s.port)
	posted, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(posted)
		for {
			select {
			case <-stop:
				return
			default:
				post()
			}
		}
	}()
	kept := filepath.Join(t.TempDir(), "backups")
	if err := os.Mkdir(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the last one is restored
		time.Sleep(time.Second) // files are named by the second
		mustRun(t, "backup", "--server-url", url, "--keep", "2", kept)
	}
	close(stop)
	<-posted
	made, err := os.ReadDir(kept)
	if err != nil || len(made) != 2 {
		t.Fatalf("%v, %v", made, err)
	}
	archive := filepath.Join(kept, made[1].Name())
	if info, err := made[1].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	var checked struct {
		backup.Manifest
		Bytes int64 `json:"bytes"`
	}
	if err := json.Unmarshal([]byte(mustRun(t, "restore", "--check", "--json", archive)), &checked); err != nil {
		t.Fatal(err)
	}
	if !checked.Samples.Included || checked.Samples.To == nil || checked.Inventory.Workers != 1 || checked.Inventory.Instances != 1 || checked.Inventory.Generation < 1 {
		t.Fatalf("%+v", checked)
	}
	until := checked.CreatedAt.Add(-12 * time.Second) // scrapes under way are not in the snapshot
	want := history(t, promURL, until)
	if len(want) < 50 {
		t.Errorf("%d series before the backup", len(want))
	}
	if left, _ := filepath.Glob(filepath.Join(s.serverDir, "*", "backup.partial")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}

	dir := filepath.Join(t.TempDir(), "restored")
	mustRun(t, "restore", archive, "--data-dir", dir)
	port := programs.FreePort(t)
	restored := start(t, programs.Path(t, "stackscope"), "server", "--data-dir", dir, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--metrics-port", strconv.Itoa(programs.FreePort(t)))
	programs.Eventually(t, 30*time.Second, "the restored server is ready", contains(fmt.Sprintf("http://127.0.0.1:%d/prometheus/-/ready", port), "Ready"))
	if diff := cmp.Diff(want, history(t, fmt.Sprintf("http://127.0.0.1:%d/prometheus", port), until)); diff != "" {
		t.Errorf("samples before and after: %s", diff)
	}
	after := s.state(t, port)
	for _, path := range []string{"/v2/workers", "/v2/models", "/v2/model-instances", "/v2/metrics/config"} {
		if after[path] != before[path] {
			t.Errorf("%s: %s, before %s", path, after[path], before[path])
		}
	}
	for _, token := range []string{"admin-token", "worker-token"} {
		old, err1 := os.ReadFile(filepath.Join(s.serverDir, token))
		now, err2 := os.ReadFile(filepath.Join(dir, token))
		if err1 != nil || err2 != nil || string(old) != string(now) {
			t.Errorf("%s differs: %v %v", token, err1, err2)
		}
	}

	t.Log("the restored server in the place of the old one")
	if _, err := stackscopeRun(t, "restore", archive, "--data-dir", s.serverDir, "--move-aside"); err == nil || !strings.Contains(err.Error(), "stop that server") {
		t.Errorf("a directory in use: %v", err)
	}
	restored.Stop(syscall.SIGTERM)
	s.server.Stop(syscall.SIGTERM)
	if _, err := stackscopeRun(t, "restore", archive, "--data-dir", s.serverDir); err == nil || !strings.Contains(err.Error(), "--move-aside") {
		t.Errorf("a directory with data: %v", err)
	}
	mustRun(t, "restore", archive, "--data-dir", s.serverDir, "--move-aside")
	registered := strings.Count(s.worker.Output(), "registered")
	s.startServer()
	programs.Eventually(t, 60*time.Second, "the worker is ready", contains(s.api("/v2/workers"), `"state":"ready"`))
	if now := s.state(t, s.port); now["/v2/workers"] != before["/v2/workers"] {
		t.Errorf("the worker is %s, before %s", now["/v2/workers"], before["/v2/workers"])
	}
	if n := strings.Count(s.worker.Output(), "registered"); n != registered {
		t.Errorf("the worker registered again: its log has the word %d times, before %d", n, registered)
	}
	programs.Eventually(t, 60*time.Second, "its series go on", func() error {
		found, err := query(promURL, `count by (worker_id) (changes(gpustack:worker_info[1h]) >= 0) == 1`)
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("%v", found)
		}
		return err
	})
}

// Whoever ends in the middle, nothing half is taken for whole, and the server is as before.
func TestBackupIsCut(t *testing.T) {
	s := newSetup(t)
	programs.Eventually(t, 60*time.Second, "Prometheus", contains(s.api("/prometheus/-/ready"), "Ready"))
	if err := os.WriteFile(filepath.Join(s.serverDir, "mapping.json"), make([]byte, 60<<20), 0o600); err != nil { // more than sockets hold
		t.Fatal(err)
	}
	work := []string{filepath.Join(s.serverDir, "backup.partial"), filepath.Join(s.serverDir, "prometheus", "backup.partial")}
	working := func(want bool) func() error {
		return func() error {
			for _, dir := range work {
				if _, err := os.Stat(dir); (err == nil) != want {
					return fmt.Errorf("%s is there: %t, and it should be: %t", dir, err == nil, want)
				}
			}
			return nil
		}
	}

	t.Log("a client that does not read")
	resp, err := http.Post(s.api("/v2/backup"), "", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.ContentLength < 60<<20 {
		t.Fatalf("%s, %d bytes", resp.Status, resp.ContentLength)
	}
	if err := working(true)(); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "b.tar")
	if _, err := stackscopeRun(t, "backup", "--server-url", s.api(""), file); err == nil || !strings.Contains(err.Error(), "409") || !strings.Contains(err.Error(), "is being made since") {
		t.Errorf("a second backup: %v", err)
	}
	_ = resp.Body.Close()
	programs.Eventually(t, 30*time.Second, "the server clears up behind a client that has gone", working(false))

	t.Log("the command is killed")
	command := start(t, programs.Path(t, "stackscope"), "backup", "--server-url", s.api(""), "--limit-rate", "4MB", file)
	programs.Eventually(t, 30*time.Second, "a part of the file", func() error { return sized(file+".partial", 1<<20) })
	command.Stop(syscall.SIGKILL)
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 || entries[0].Name() != "b.tar.partial" {
		t.Errorf("left: %v", entries)
	}
	programs.Eventually(t, 30*time.Second, "the server clears up", working(false))
	if _, err := stackscopeRun(t, "restore", "--check", file+".partial"); err == nil || !strings.Contains(err.Error(), "ends early") {
		t.Errorf("a part counts as whole: %v", err)
	}

	t.Log("the server is killed")
	if err := os.Remove(file + ".partial"); err != nil {
		t.Fatal(err)
	}
	command = start(t, programs.Path(t, "stackscope"), "backup", "--server-url", s.api(""), "--limit-rate", "4MB", file)
	programs.Eventually(t, 30*time.Second, "a part of the file", func() error { return sized(file+".partial", 1<<20) })
	s.server.Stop(syscall.SIGKILL)
	<-command.Done()
	if command.ExitCode() != 1 || !strings.Contains(command.Output(), "there is no backup") {
		t.Errorf("exit code %d: %s", command.ExitCode(), command.Output())
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}
	if err := working(true)(); err != nil {
		t.Error(err)
	}
	s.startServer()
	programs.Eventually(t, 30*time.Second, "the next start clears up", working(false))

	t.Log("to standard output")
	cmd := exec.CommandContext(t.Context(), programs.Path(t, "stackscope"), "backup", "--server-url", s.api(""), "--no-samples", "-")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m, err := backup.Verify(out)
	if err != nil || m.Samples.Included || m.Samples.Reason == "" || !m.Has("mapping.json") {
		t.Errorf("%+v, %v", m, err)
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func sized(path string, bytes int64) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() < bytes {
		err = fmt.Errorf("%d bytes", info.Size())
	}
	return err
}
