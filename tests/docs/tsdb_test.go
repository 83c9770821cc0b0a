package docs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simgrafana"
	"github.com/stackscope/stackscope/tests/programs"
)

// The series of the old data directory: one in blocks, one in the write-ahead log alone.
const (
	oldBlockSeries = `vllm:generation_tokens_total{job="vllm"}`
	oldLogSeries   = `up{job="old"}`
)

// oldPrometheusData returns a data directory as a real Prometheus left it: blocks of the last days, and a write-ahead log of what
// it has just scraped.
func oldPrometheusData(t *testing.T) string {
	t.Helper()
	tools := prometheusDir(t)
	dir := filepath.Join(t.TempDir(), "data")
	var page bytes.Buffer
	page.WriteString("# HELP vllm:generation_tokens Tokens.\n# TYPE vllm:generation_tokens counter\n")
	for i := range 36 {
		at := time.Now().Add(time.Duration(i-72) * time.Hour) // three days ago and on
		fmt.Fprintf(&page, "vllm:generation_tokens_total{job=\"vllm\"} %d %d\n", i, at.Unix())
	}
	page.WriteString("# EOF\n")
	file := filepath.Join(t.TempDir(), "page.txt")
	if err := os.WriteFile(file, page.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(tools, "promtool"), "tsdb", "create-blocks-from", "openmetrics", file, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("promtool tsdb create-blocks-from: %v\n%s", err, out)
	}
	base, stop := startPrometheus(t, dir)
	programs.Eventually(t, 20*time.Second, "the old Prometheus has scraped", func() error { return value(base, oldLogSeries, "1") })
	stop()
	return dir
}

// startPrometheus runs a separate Prometheus that scrapes itself as job old.
func startPrometheus(t *testing.T, dir string) (base string, stop func()) {
	t.Helper()
	tools := prometheusDir(t)
	version, err := exec.CommandContext(t.Context(), filepath.Join(tools, "prometheus"), "--version").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("with %s", strings.SplitN(string(version), "\n", 2)[0])
	address := "127.0.0.1:" + strconv.Itoa(programs.FreePort(t))
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: old, static_configs: [{targets: [%q]}]}]\n", address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, t.TempDir(), os.Environ(), filepath.Join(tools, "prometheus"), "--config.file", config, "--storage.tsdb.path", dir, "--web.listen-address", address)
	return "http://" + address, func() { p.Stop(syscall.SIGTERM) }
}

// value returns nil when the query has one answer, and that is want.
func value(base, query, want string) error {
	body, err := programs.Get(base + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	if result := answer.Data.Result; len(result) != 1 || result[0].Value[1] != want {
		return fmt.Errorf("%s: %v, want %s", query, result, want)
	}
	return nil
}

// A Prometheus' data directory is opened as it is, and by that Prometheus again afterwards.
func TestOldPrometheusData(t *testing.T) {
	needPrograms(t)
	data := oldPrometheusData(t)
	g := newGuide(t, "", simgrafana.Home(t))
	s := g.newServer()
	if err := os.Rename(data, filepath.Join(s.dir, "prometheus")); err != nil {
		t.Fatal(err)
	}
	data = filepath.Join(s.dir, "prometheus")
	s.program = start(t, g.dir, append(g.env, append(s.env(), "GPUSTACK_DISABLE_BUILTIN_GRAFANA=true")...), filepath.Join(g.bin, "stackscope"), "server")
	base := s.url() + "/prometheus"
	inBlocks, inLog := "last_over_time("+oldBlockSeries+"[15d])", "max_over_time("+oldLogSeries+"[1h])"
	const ours = `gpustack:cluster_info{cluster_name="default"}`
	programs.Eventually(t, 30*time.Second, "stackscope answers from the old blocks", func() error { return value(base, inBlocks, "35") })
	programs.Eventually(t, 30*time.Second, "stackscope answers from the old write-ahead log", func() error { return value(base, inLog, "1") })
	programs.Eventually(t, 30*time.Second, "stackscope adds its own samples", func() error { return value(base, ours, "1") })
	s.program.Stop(syscall.SIGTERM)

	back, stop := startPrometheus(t, data)
	programs.Eventually(t, 30*time.Second, "the old Prometheus finds its blocks again", func() error { return value(back, inBlocks, "35") })
	programs.Eventually(t, 30*time.Second, "and its write-ahead log", func() error { return value(back, inLog, "1") })
	programs.Eventually(t, 30*time.Second, "and what stackscope added", func() error {
		return value(back, "max_over_time("+ours+"[1h])", "1")
	})
	stop()
}
