//go:build linux

package attack

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
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

	"github.com/stackscope/stackscope/tests/programs"
)

const database = "stackscope.db"

// refusedIn starts a server in a data directory, waits until it ends by itself and returns what it printed.
func refusedIn(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.Command(programs.Path(t, "stackscope"), "server", "--data-dir", dir, "--host", "127.0.0.1", "--port", strconv.Itoa(programs.FreePort(t)),
		"--disable-metrics", "--disable-builtin-observability")
	p := programs.Start(t, cmd)
	select {
	case <-p.Done():
	case <-time.After(10 * time.Second):
		t.Fatalf("the server runs in %s", dir)
	}
	if p.Err() == nil {
		t.Errorf("the server ended as if all were well")
	}
	return p.Output()
}

func bareServer(t *testing.T, dir string) *server {
	t.Helper()
	return serveIn(t, dir, nil, "--disable-builtin-observability")
}

// contents returns the files in dir with what is in them.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func lacks(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, tail(text, 500))
		}
	}
}

// workerNames asks the server for its workers.
func (s *server) workerNames(t *testing.T) []string {
	t.Helper()
	body, err := programs.Get(s.url + "/v2/workers")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Items []struct {
			ID   int64  `json:"id"`
			Name string `json:"name"`
		} `json:"items"`
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, w := range list.Items {
		names = append(names, fmt.Sprintf("%d=%s", w.ID, w.Name))
	}
	return names
}

// TestTwoWorkersOnOneDirectory starts a second worker on the directory of one that runs, and a worker and a server on one.
func TestTwoWorkersOnOneDirectory(t *testing.T) {
	s := bareServer(t, t.TempDir())
	join := filepath.Join(s.dir, "worker-token")
	flags := []string{"--data-dir", s.dir, "--server-url", s.url, "--token-file", join, "--worker-name", "w", "--worker-ip", "127.0.0.1"}
	first := work(t, nil, flags...)
	programs.Eventually(t, 20*time.Second, "the worker joins", func() error {
		if !strings.Contains(first.Output(), registered) { // worker.json is written before that
			return fmt.Errorf("it logged %s", first.Output())
		}
		return nil
	})
	identity, err := os.ReadFile(filepath.Join(s.dir, "worker.json"))
	if err != nil {
		t.Fatal(err)
	}
	second := programs.Start(t, exec.Command(programs.Path(t, "stackscope-worker"), append([]string{
		"--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(programs.FreePort(t)), "--discover", "none", "--gpu-vendors", "none",
	}, flags...)...))
	select {
	case <-second.Done():
		lacks(t, "what the second one says", second.Output(), s.dir, "locked by another process", fmt.Sprintf("(pid %d)", first.PID()), "--data-dir")
	case <-time.After(5 * time.Second):
		t.Error("two workers run on one data directory")
	}
	if after, err := os.ReadFile(filepath.Join(s.dir, "worker.json")); err != nil || !bytes.Equal(after, identity) {
		t.Errorf("the second one changed who the first one is: %v", err)
	}
	if first.Ended() || s.Ended() {
		t.Error("the first one has ended, or the server")
	}
	first.Stop(syscall.SIGKILL)
	work(t, nil, flags...) // one that was killed leaves no lock behind
}

// TestLostDatabase takes the database away from beside the tokens, in several ways, and starts the server again.
func TestLostDatabase(t *testing.T) {
	for name, lose := range map[string]func(dir string) error{
		"missing": func(dir string) error { return os.Remove(filepath.Join(dir, database)) },
		"emptied": func(dir string) error { return os.Truncate(filepath.Join(dir, database), 0) },
		"missing, with its log there": func(dir string) error {
			return os.Rename(filepath.Join(dir, database), filepath.Join(dir, database+"-wal"))
		},
		"copied by hand, emptied": func(dir string) error { // what an older version had run on
			for _, name := range []string{database, database + ".expected"} {
				if err := os.Remove(filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
					return err
				}
			}
			return os.WriteFile(filepath.Join(dir, database), nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := bareServer(t, dir)
			if _, err := s.join("a", 0); err != nil {
				t.Fatal(err)
			}
			token := s.adminToken
			s.Stop(syscall.SIGTERM)
			saved, err := os.ReadFile(filepath.Join(dir, database))
			if err != nil {
				t.Fatal(err)
			}
			if err := lose(dir); err != nil {
				t.Fatal(err)
			}
			before := contents(t, dir)
			text := refusedIn(t, dir)
			const lock = "/stackscope.lock" // it says who asked last
			lacks(t, "what it says", text, filepath.Join(dir, database), "ut a backup in its place", "begin with an empty inventory", "the tokens stay")
			after := contents(t, dir)
			before[lock], after[lock] = "", ""
			if !maps.Equal(before, after) {
				t.Errorf("it changed the directory: %v, before %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
			}
			// One way out is a backup, the other to begin anew.
			if before, _, ok := strings.Cut(text, ", then put a backup in its place"); ok {
				_, list, _ := strings.Cut(before, "Move away ")
				for name := range strings.SplitSeq(list, ", ") {
					if err := os.Remove(filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := os.WriteFile(filepath.Join(dir, database), saved, 0o600); err != nil {
				t.Fatal(err)
			}
			s = bareServer(t, dir)
			if names := s.workerNames(t); len(names) != 1 {
				t.Errorf("with the backup: %v", names)
			}
			s.Stop(syscall.SIGTERM)
			for _, name := range []string{database, database + ".expected"} {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			s = bareServer(t, dir)
			if names := s.workerNames(t); len(names) != 0 || s.adminToken != token {
				t.Errorf("begun anew: %v, another token: %v", names, s.adminToken != token)
			}
		})
	}
	// Tokens that an operator wrote before the first start are no sign of a lost database.
	dir := t.TempDir()
	for _, name := range []string{"admin-token", "worker-token"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name+"-given-beforehand"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s := bareServer(t, dir); s.adminToken != "admin-token-given-beforehand" {
		t.Errorf("the admin token is %s", s.adminToken)
	}
}

// TestCutLog kills the server, cuts the end of the database's log off and starts it again.
func TestCutLog(t *testing.T) {
	for name, c := range map[string]struct {
		cut, index bool
		want       string
	}{
		"whole":                 {false, true, ""},
		"cut":                   {true, true, "the end of the database's log is missing or damaged"},
		"cut, without an index": {true, false, "the database's log does not end with a whole transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			bareServer(t, dir).Stop(syscall.SIGTERM)
			s := bareServer(t, dir)
			for _, name := range []string{"a", "b"} {
				if _, err := s.join(name, 0); err != nil {
					t.Fatal(err)
				}
			}
			s.Stop(syscall.SIGKILL)
			log := filepath.Join(dir, database+"-wal")
			info, err := os.Stat(log)
			if err != nil || info.Size() == 0 {
				t.Fatalf("the log: %v, %v", info, err)
			}
			if c.cut {
				if err := os.Truncate(log, info.Size()-1000); err != nil {
					t.Fatal(err)
				}
			}
			if !c.index {
				if err := os.Remove(log[:len(log)-len("-wal")] + "-shm"); err != nil {
					t.Fatal(err)
				}
			}
			s = bareServer(t, dir)
			names, text := s.workerNames(t), s.Output()
			t.Logf("| %s | of two workers there are %v | %v |", t.Name(), names, strings.Contains(text, "level=WARN"))
			lacks(t, "the log", text, c.want)
			if warned := strings.Contains(text, "level=WARN"); warned != c.cut || !c.cut && len(names) != 2 {
				t.Errorf("warned: %v, workers %v:\n%s", warned, names, text)
			}
		})
	}
}

// TestCopyOfTheDatabaseAlone copies the file and not its log: after a start, and while a server runs.
func TestCopyOfTheDatabaseAlone(t *testing.T) {
	dir := t.TempDir()
	s := bareServer(t, dir)
	want := []string{"1=a", "2=b"}
	for _, name := range []string{"a", "b"} {
		if _, err := s.join(name, 0); err != nil {
			t.Fatal(err)
		}
	}
	if count(1, 0) == 1 {
		time.Sleep(65 * time.Second)
	} else {
		s.Stop(syscall.SIGKILL)
		bareServer(t, dir)
	}
	data, err := os.ReadFile(filepath.Join(dir, database))
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.WriteFile(filepath.Join(copied, database), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if names := bareServer(t, copied).workerNames(t); !slices.Equal(names, want) {
		t.Errorf("the copy has the workers %v, want %v", names, want)
	}
}

// overwrite puts other bytes in the place of those that are in the database once.
func overwrite(t *testing.T, dir, old, text string) {
	t.Helper()
	path := filepath.Join(dir, database)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) || len(old) != len(text) {
		t.Fatalf("%q is not in the database, or %q is no longer", old, text)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(data, []byte(old), []byte(text)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedGeneration damages the mapping in force in the database. A worker holds it under its number.
func TestDamagedGeneration(t *testing.T) {
	dir := t.TempDir()
	s := bareServer(t, dir)
	w, err := s.join("a", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first_", "second_"} {
		if status, answer, err := s.send(http.MethodPost, "/v2/metrics/config", s.adminToken, mappingNamed(name)); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s %v", status, answer, err)
		}
	}
	good, err := programs.Get(s.url + "/v2/metrics/config")
	if err != nil || !strings.Contains(good, "second_") {
		t.Fatal(good, err)
	}
	s.Stop(syscall.SIGTERM)
	overwrite(t, dir, `"gpustack:second_`, "\x00gpustack:second_")

	s = bareServer(t, dir)
	resp, err := http.Get(s.url + "/v2/metrics/config")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil || !bytes.Contains(doc, []byte("first_")) || resp.Header.Get("ETag") != `"1"` {
		t.Errorf("the mapping in force: ETag %s, %v, %.200s", resp.Header.Get("ETag"), err, doc)
	}
	lacks(t, "the log", s.Output(), "level=ERROR", "generation=2")
	if page, err := programs.Get(s.metrics + "/metrics"); err != nil {
		t.Error(err)
	} else {
		lacks(t, "the metrics page", page, "gpustack:metrics_config_generation 1\n", "stackscope_metrics_config_passed_over_generations 1\n")
	}
	// The worker that has generation 2 gets what is in force.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/v2/workers/%d/watch?generation=2", s.url, w.ID), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.Credential)
	stream, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 1<<20)
	event := ""
	for lines.Scan() && (event == "" || lines.Text() != "") {
		event += lines.Text() + "\n"
	}
	lacks(t, "the worker's event", event, "id: 1\n", "event: mapping\n", "first_")

	status, answer, err := s.send(http.MethodPost, "/v2/metrics/config", s.adminToken, mappingNamed("first_"))
	if err != nil || status != http.StatusOK || !strings.Contains(string(answer), `"generation":3`) {
		t.Errorf("posted again: %d %s, %v", status, answer, err)
	}
	s.Stop(syscall.SIGTERM)
	if text := bareServer(t, dir).Output(); strings.Contains(text, "level=ERROR") {
		t.Errorf("after it was posted again:\n%s", text)
	}
}

// TestDamagedRow damages the row of one of two workers.
func TestDamagedRow(t *testing.T) {
	dir := t.TempDir()
	s := bareServer(t, dir)
	for _, name := range []string{"a", "b"} {
		if _, err := s.register(name, map[string]any{
			"uuid": "uuid-" + name, "name": name, "address": "127.0.0.1", "metrics_port": 0, "labels": map[string]string{"zone": "of-" + name},
		}); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop(syscall.SIGTERM)
	overwrite(t, dir, `{"zone":"of-a"}`, `{"zone":"of-a"[`)
	s = bareServer(t, dir)
	if names := s.workerNames(t); !slices.Equal(names, []string{"1=a", "2=b"}) {
		t.Errorf("workers %v", names)
	}
	lacks(t, "the log", s.Output(), "level=ERROR", "row=worker id=1", "labels")
}
