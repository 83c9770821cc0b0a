package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
)

const (
	agentGPUs    = 8
	agentEngines = 8
	agentEvery   = 5 * time.Second
	// agentRounds is how many scrapes are measured, after two that are not.
	agentRounds = 24
	// agentPeer bounds the agent's processor time by that of a node exporter, which reads the host alone.
	agentPeer = 1.5
)

// TestAgent runs the worker as on a node with eight GPUs and eight engines, beside Debian's node exporter. Both are scraped every
// five seconds.
func TestAgent(t *testing.T) {
	if os.Getenv("STACKSCOPE_BENCH") == "" {
		t.Skip("measures processes for two minutes: set STACKSCOPE_BENCH=1 or run make bench")
	}
	bin := os.Getenv("STACKSCOPE_BIN")
	if bin == "" {
		bin = filepath.Join("..", "bin")
	}
	args := []string{"--fake-gpus", strconv.Itoa(agentGPUs), "--data-dir", t.TempDir(), "--worker-metrics-host", "127.0.0.1", "--log-level", "error"}
	for i := range agentEngines {
		profiles := []string{simengine.ProfileVLLM, simengine.ProfileSGLang}
		e, err := simengine.New(simengine.Options{Profile: profiles[i%2], Model: "qwen3-8b", Seed: uint64(i), Start: time.Now().Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(e.Handler())
		defer srv.Close()
		args = append(args, "--engine", fmt.Sprintf("url=%s,instance=engine-%d", srv.URL, i))
	}
	agentAddress := freeAddress(t)
	agent := startMeasured(t, "stackscope-worker", agentAddress, filepath.Join(bin, "stackscope-worker"),
		append(args, "--worker-metrics-port", agentAddress[strings.LastIndexByte(agentAddress, ':')+1:])...)
	others := []*measuredProcess{agent}
	program, err := exec.Command("../hack/node-exporter").Output()
	if err != nil {
		t.Logf("without a node exporter beside it: %v", err)
	} else {
		address := freeAddress(t)
		others = append(others, startMeasured(t, "prometheus-node-exporter", address, strings.TrimSpace(string(program)), "--web.listen-address="+address))
	}
	ticker := time.NewTicker(agentEvery)
	defer ticker.Stop()
	for round := range agentRounds + 2 {
		for _, p := range others {
			if round == 2 {
				p.begin(t)
			}
			p.scrape(t)
		}
		<-ticker.C
	}
	for _, p := range others {
		p.end(t)
		t.Logf("%-26s %5.3f %% of a core, %4.1f MB resident, page of %d KB in %s", p.name, 100*p.share, p.resident, p.size>>10, p.took.Round(100*time.Microsecond))
	}
	if agent.resident > 60 {
		t.Errorf("the agent has %.1f MB resident, 60 are allowed", agent.resident)
	}
	if len(others) > 1 && agent.share > agentPeer*others[1].share {
		t.Errorf("the agent uses %.2f times the processor time of a node exporter, %v are allowed", agent.share/others[1].share, agentPeer)
	}
}

// measuredProcess is a program that is measured.
type measuredProcess struct {
	name, url string
	pid       int

	start    time.Time
	cpu      time.Duration
	share    float64       // of one core
	resident float64       // MB, the most that was seen after a scrape
	size     int           // bytes of its page
	took     time.Duration // mean of a scrape
}

// startMeasured starts a program and waits until it answers.
func startMeasured(t *testing.T, name, address, program string, args ...string) *measuredProcess {
	t.Helper()
	cmd := exec.Command(program, args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, log.String())
		}
	})
	p := &measuredProcess{name: name, url: "http://" + address + "/metrics", pid: cmd.Process.Pid}
	for range 100 {
		if _, err := fetch(t, p.url); err == nil {
			return p
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s does not answer:\n%s", name, log.String())
	return nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func fetch(t *testing.T, url string) (int, error) {
	t.Helper()
	return fetchAs(t, url, "")
}

// fetchAs gets a page in an encoding, by default compressed on the way, and returns its size.
func fetchAs(t *testing.T, url, encoding string) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), agentEvery)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	if encoding != "" {
		req.Header.Set("Accept-Encoding", encoding)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return int(n), err
}

func (p *measuredProcess) begin(t *testing.T) {
	t.Helper()
	p.start, p.cpu, p.took = time.Now(), p.used(t), 0
}

func (p *measuredProcess) scrape(t *testing.T) {
	t.Helper()
	begin := time.Now()
	n, err := fetch(t, p.url)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	p.size = n
	p.took += time.Since(begin) / agentRounds
	p.resident = max(p.resident, p.memory(t))
}

func (p *measuredProcess) end(t *testing.T) {
	t.Helper()
	p.share = (p.used(t) - p.cpu).Seconds() / time.Since(p.start).Seconds()
}

// used returns the processor time of all threads. The kernel counts it in nanoseconds for each thread only.
func (p *measuredProcess) used(t *testing.T) time.Duration {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("%s: no threads: %v", p.name, err)
	}
	var sum time.Duration
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

func (p *measuredProcess) memory(t *testing.T) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}
