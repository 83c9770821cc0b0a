package packages_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkServices looks whether what the units forbid leaves everything that the programs are for.
func (m *machine) checkServices(t *testing.T) {
	t.Helper()
	pid := m.mainPID(t, "stackscope-worker")

	// An engine of another user, on loopback.
	m.awaitSample(t, `count(gpustack:num_requests_running{model_name="qwen3-8b"})`, 1)
	var page string
	m.wait(t, "the worker's page", time.Minute, func() (err error) {
		page, err = m.try("curl", "-fsS", "http://localhost:10151/metrics")
		return err
	})
	if strings.Contains(page, `reason="unreadable"`) {
		t.Error("the worker cannot read all processes:", page)
	}
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "gpustack:collector_success{") && strings.HasSuffix(line, " 0") {
			t.Errorf("a collector fails: %s", line)
		}
	}
	m.checkAccess(t)
	if got := m.sh(t, "grep -E 'Cap(Eff|Bnd)' /proc/"+pid+"/status | sort -u -k2 | wc -l"); strings.TrimSpace(got) != "1" {
		t.Errorf("the worker may have capabilities that it has not: %s", m.sh(t, "grep Cap /proc/"+pid+"/status"))
	}

	// The mapping is changed by the server's own user without a token, by no other.
	change := []string{"curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-H", "Content-Type: application/yaml", "--data-binary", "@/var/tmp/mapping.yaml", "http://localhost/v2/metrics/config"}
	m.sh(t, "/usr/bin/stackscope mapping default > /var/tmp/mapping.yaml")
	for user, want := range map[string]string{"stackscope": "200", "models": "401"} {
		if got := m.run(t, append([]string{"runuser", "-u", user, "--"}, change...)...); got != want {
			t.Errorf("user %s changes the mapping: got %s, want %s", user, got, want)
		}
	}

	for _, unit := range units {
		if n := m.property(t, unit, "NRestarts"); n != "0" {
			t.Errorf("%s was restarted %s times", unit, n)
		}
		if files := m.sh(t, fmt.Sprintf("awk '/Max open files/ {print $4}' /proc/%s/limits", m.mainPID(t, unit))); strings.TrimSpace(files) == "1024" {
			t.Errorf("%s may open 1024 files only", unit)
		}
	}
}

var missingAccess = regexp.MustCompile(`(?m)^stackscope_missing_access\{.*access="([^"]*)"`)

// checkAccess looks whether the unit takes from the worker what it reads. That the machine is in namespaces it says, and says nothing else.
func (m *machine) checkAccess(t *testing.T) {
	t.Helper()
	want := []string{"host_root", "network_namespace", "pid_namespace"}
	var got []string
	m.wait(t, "what the worker cannot read", time.Minute, func() error {
		page, err := m.try("curl", "-fsS", "http://localhost:10151/metrics")
		if err != nil {
			return err
		}
		got = nil
		for _, found := range missingAccess.FindAllStringSubmatch(page, -1) {
			got = append(got, found[1])
		}
		if len(got) == 0 {
			return errors.New("it says nothing of its namespaces")
		}
		return nil
	})
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the worker lacks %q, want %q", got, want)
	}
}
