// Package e2e runs the programs as a user does: the real binaries, real HTTP, real signals, a separate real Prometheus.
// It runs when STACKSCOPE_E2E is set; `make e2e` sets it and builds the binaries first.
package e2e

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
	"github.com/stackscope/stackscope/internal/simgrafana"
	"github.com/stackscope/stackscope/tests/programs"
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

// start runs a program until the test ends, without a Grafana that this machine may have.
func start(t *testing.T, name string, args ...string) *programs.Program {
	t.Helper()
	return startWith(t, []string{"GPUSTACK_DISABLE_BUILTIN_GRAFANA=true"}, name, args...)
}

// startWith runs a program with additions to the environment.
func startWith(t *testing.T, env []string, name string, args ...string) *programs.Program {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(append(simgrafana.Environ(), "HOME="+t.TempDir()), env...)
	return programs.Start(t, cmd)
}

func contains(url, want string) func() error {
	return func() error {
		page, err := programs.Get(url)
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
	body, err := programs.Get(base + "/api/v1/query?query=" + urlEscape(expr))
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
