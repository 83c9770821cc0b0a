package packages_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// worker is what the server says about a worker.
type worker struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// get reads an address in the machine. into, if not nil, receives the JSON.
func (m *machine) get(address string, into any) error {
	out, err := m.try("curl", "-fsS", "--max-time", "5", address)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}

// joined waits for the one worker and returns it.
func (m *machine) joined(t *testing.T) worker {
	t.Helper()
	var list struct {
		Items []worker `json:"items"`
	}
	m.wait(t, "a worker at /v2/workers", time.Minute, func() error {
		if err := m.get("http://localhost/healthz", nil); err != nil {
			return err
		}
		if err := m.get("http://localhost/v2/workers", &list); err != nil {
			return err
		}
		if len(list.Items) != 1 || list.Items[0].State != "ready" {
			return fmt.Errorf("got %+v, want one that is ready", list.Items)
		}
		return nil
	})
	return list.Items[0]
}

// sample returns the value of an expression in the server's Prometheus, at the second after a time, or now.
func (m *machine) sample(expression string, at time.Time) (float64, error) {
	query := url.Values{"query": {expression}}
	if !at.IsZero() {
		query.Set("time", strconv.FormatInt(at.Unix()+1, 10))
	}
	var reply struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := m.get("http://localhost/prometheus/api/v1/query?"+query.Encode(), &reply); err != nil {
		return 0, err
	}
	if len(reply.Data.Result) == 0 {
		return 0, errors.New(expression + " has no sample")
	}
	text, _ := reply.Data.Result[0].Value[1].(string)
	return strconv.ParseFloat(text, 64)
}

// awaitSample waits for a value of an expression.
func (m *machine) awaitSample(t *testing.T, expression string, want float64) {
	t.Helper()
	m.wait(t, expression, time.Minute, func() error {
		got, err := m.sample(expression, time.Time{})
		if err == nil && got != want {
			err = fmt.Errorf("got %g, want %g", got, want)
		}
		return err
	})
}

// startEngine runs an engine as a user of its own.
func (m *machine) startEngine(t *testing.T) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, "/usr/local/bin/engine", string(text), 0o755)
	m.run(t, "useradd", "--system", "models")
	m.run(t, "systemd-run", "--quiet", "--unit=engine", "--uid=models", "--setenv=PACKAGE_TEST_ENGINE=127.0.0.1:8000", "/bin/bash", "-c",
		"exec -a python3 /usr/local/bin/engine -m vllm.entrypoints.openai.api_server --model qwen3-8b --host 127.0.0.1 --port 8000")
}

// mainPID returns the id of a service's first process.
func (m *machine) mainPID(t *testing.T, unit string) string {
	t.Helper()
	pid := m.property(t, unit, "MainPID")
	if pid == "0" {
		t.Fatalf("%s does not run", unit)
	}
	return pid
}

// version returns the version of the program of a unit that runs now.
func (m *machine) version(t *testing.T, unit string) string {
	t.Helper()
	out := m.run(t, "/proc/"+m.mainPID(t, unit)+"/exe", "version")
	version, _, _ := strings.Cut(strings.TrimPrefix(out, unit+" "), " ")
	return version
}
