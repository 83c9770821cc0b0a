//go:build linux

package attack

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/freespace"
	"github.com/stackscope/stackscope/tests/programs"
)

// block is the name of a directory that the TSDB takes for a block.
const block = "01J00000000000000000000000"

// damage returns what is done to the embedded Prometheus' data directory, each with what is damaged then.
func damage() map[string]func(t *testing.T, dir string) string {
	write := func(t *testing.T, path, text string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return map[string]func(t *testing.T, dir string) string{
		"block without chunks": func(t *testing.T, dir string) string {
			t.Helper()
			write(t, filepath.Join(dir, block, "index"), "index")
			meta := `{"ulid":"` + block + `","minTime":1700000000000,"maxTime":1700007200000,"stats":{},"compaction":{"level":1},"version":1}`
			return filepath.Dir(write(t, filepath.Join(dir, block, "meta.json"), meta))
		},
		"garbage in chunks_head": func(t *testing.T, dir string) string {
			t.Helper()
			return write(t, filepath.Join(dir, "chunks_head", "000001"), strings.Repeat("garbage ", 1000))
		},
		"gap in the log": func(t *testing.T, dir string) string {
			t.Helper()
			write(t, filepath.Join(dir, "wal", "00000000"), "")
			write(t, filepath.Join(dir, "wal", "00000002"), "")
			return filepath.Join(dir, "wal", "00000001")
		},
		"checkpoint is garbage": func(t *testing.T, dir string) string {
			t.Helper()
			write(t, filepath.Join(dir, "wal", "00000001"), "")
			return filepath.Dir(write(t, filepath.Join(dir, "wal", "checkpoint.00000000", "00000000"), strings.Repeat("garbage ", 8000)))
		},
		"log is a file": func(t *testing.T, dir string) string {
			t.Helper()
			return write(t, filepath.Join(dir, "wal"), "a file")
		},
	}
}

// everything returns all files below dir with their content; the lock and the list of queries come and go.
func everything(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "lock" || e.Name() == "queries.active" {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// outOfService holds that the embedded Prometheus says what is wrong, and that all else goes on.
func (s *server) outOfService(t *testing.T, says string) {
	t.Helper()
	programs.Eventually(t, 30*time.Second, "/readyz says what is wrong", func() error {
		status, body, err := s.send(http.MethodGet, "/readyz", "", nil)
		if err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(string(body), says)) {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
	for path, want := range map[string]int{
		"/healthz": 200, "/v2/workers": 200, "/v2/metrics/config": 200,
		"/prometheus/": 503, "/prometheus/-/ready": 503, "/prometheus/api/v1/query?query=up": 503, "/prometheus/federate?match[]=up": 503,
	} {
		status, body, err := s.send(http.MethodGet, path, s.adminToken, nil)
		if err != nil || status != want || status == 503 && !strings.Contains(string(body), says) {
			t.Errorf("%s: %d %.300s, %v", path, status, body, err)
		}
	}
	if _, err := s.join("worker", 10151); err != nil {
		t.Error(err)
	}
	programs.Eventually(t, 10*time.Second, "service discovery lists the worker", func() error {
		body, err := programs.Get(s.metrics + "/metrics/targets")
		if err == nil && !strings.Contains(body, "127.0.0.1:10151") {
			err = fmt.Errorf("%s", body)
		}
		return err
	})
	if body, err := programs.Get(s.metrics + "/metrics"); err != nil || !strings.Contains(body, `stackscope_prometheus_problem{problem="data"} 1`) {
		t.Errorf("the metrics don't say that Prometheus' data can't be opened: %v", err)
	}
}

func (s *server) endsWell(t *testing.T) {
	t.Helper()
	s.Stop(syscall.SIGTERM)
	if code := s.ExitCode(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
}

func TestDamagedPrometheusDataLeavesTheRest(t *testing.T) {
	t.Parallel()
	for name, do := range damage() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			data := filepath.Join(dir, "prometheus")
			damaged := do(t, data)
			before := everything(t, data)
			s := serveIn(t, dir, nil)
			s.outOfService(t, damaged)
			s.endsWell(t)
			after := everything(t, data)
			for path, content := range before {
				if after[path] != content {
					t.Errorf("%s was changed", path)
				}
			}
			if len(after) != len(before) {
				t.Errorf("%d files were there, %d are there now", len(before), len(after))
			}

			s = serveIn(t, dir, nil, "--builtin-prometheus-repair")
			s.queryable(t)
			s.await(t, "/readyz")
			s.endsWell(t)
			s = serveIn(t, dir, nil)
			s.queryable(t)
			s.endsWell(t)
		})
	}
}

func TestPrometheusDirectoryThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "prometheus")
	if err := os.WriteFile(data, []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveIn(t, dir, nil)
	s.outOfService(t, data)
	if err := os.Remove(data); err != nil {
		t.Fatal(err)
	}
	s.queryable(t) // without a restart
	s.await(t, "/readyz")
	s.endsWell(t)
}

// fill leaves so many bytes free below dir and returns the file that takes the rest.
func fill(t *testing.T, dir string, leave int64) string {
	t.Helper()
	free, ok := freespace.Of(dir)
	if !ok {
		t.Fatalf("the room under %s is not known", dir)
	}
	path := filepath.Join(dir, "fill")
	if err := os.WriteFile(path, make([]byte, int64(free)-leave), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFullDiskUnderPrometheus(t *testing.T) {
	t.Parallel()
	dir := onSmallDisk(t, 64<<20)
	if dir == "" {
		return
	}
	s := serveIn(t, dir, nil)
	s.queryable(t)
	full := fill(t, dir, 1<<20)
	notReady := func(says string) {
		t.Helper()
		programs.Eventually(t, time.Minute, "/readyz says that the disk is full", func() error {
			status, body, err := s.send(http.MethodGet, "/readyz", "", nil)
			if err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(string(body), says)) {
				err = fmt.Errorf("%d %s", status, body)
			}
			return err
		})
	}
	notReady("scraped samples are not stored")
	if body, err := programs.Get(s.metrics + "/metrics"); err != nil || !strings.Contains(body, `stackscope_prometheus_problem{problem="disk"} 1`) {
		t.Errorf("the metrics don't say that the disk is full: %v", err)
	}
	s.Stop(syscall.SIGKILL)

	s = serveIn(t, dir, nil) // on a full disk
	notReady("no space left on device")
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	s.queryable(t)
	s.await(t, "/readyz")
	s.endsWell(t)
}
