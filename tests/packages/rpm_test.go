package packages_test

import (
	"strings"
	"testing"
	"time"
)

// rpm gives packages to rpm. Debian's rpm knows nothing of the machine's own packages, so that dependencies are not looked at; what
// they are is compared with a list.
func (m *machine) rpm(t *testing.T, action string, b built) string {
	t.Helper()
	args := []string{"rpm", "--force-debian", "--nodeps", action}
	return m.run(t, append(args, m.bring(t, b, "-[0-9]*.x86_64.rpm")...)...)
}

func TestRPM(t *testing.T) {
	needs(t)
	before, after := older(t, "rpm"), newer(t, "rpm")
	m := boot(t)

	out := m.rpm(t, "-i", before)
	if !strings.Contains(out, "sudo systemctl enable --now stackscope\n") || !strings.Contains(out, "sudo systemctl enable --now stackscope-worker\n") {
		t.Errorf("the first installation does not say how to start:\n%s", out)
	}
	for _, unit := range units {
		if state := m.property(t, unit, "ActiveState") + " " + m.property(t, unit, "UnitFileState"); state != "inactive disabled" {
			t.Errorf("%s is %s after the first installation", unit, state)
		}
		requires := m.run(t, "rpm", "-q", "--requires", unit)
		for line := range strings.Lines(requires) {
			switch line = strings.TrimSpace(line); {
			case strings.HasPrefix(line, "rpmlib("), strings.HasPrefix(line, "config("), line == "glibc >= 2.17", line == "(shadow-utils or shadow)", line == "/bin/sh":
			default:
				t.Errorf("%s requires %q", unit, line)
			}
		}
		if out := m.run(t, "rpm", "--nodeps", "-V", unit); strings.TrimSpace(out) != "" {
			t.Errorf("what is installed differs from the package %s:\n%s", unit, out)
		}
	}

	m.startEngine(t)
	fleet := m.start(t)
	m.checkServices(t)
	m.awaitSample(t, `gpustack:num_requests_running{model_name="qwen3-8b"}`, 3)
	sampled := time.Now()
	pids := map[string]string{}
	for _, unit := range units {
		pids[unit] = m.mainPID(t, unit)
	}

	m.edit(t, "/etc/stackscope/server.yaml", "log_level: debug\n")
	m.rpm(t, "-U", after)
	for _, unit := range units {
		if pid := m.mainPID(t, unit); pid == pids[unit] {
			t.Errorf("the upgrade did not restart %s", unit)
		}
		if got := m.version(t, unit); got != after.version {
			t.Errorf("%s runs version %s after the upgrade, want %s", unit, got, after.version)
		}
		if state := m.property(t, unit, "UnitFileState"); state != "enabled" {
			t.Errorf("%s is %s after the upgrade", unit, state)
		}
	}
	m.sameFleet(t, fleet, sampled)
	m.sh(t, "grep -q '^log_level: debug' /etc/stackscope/server.yaml; grep -q '^# of the next version' /etc/stackscope/server.yaml.rpmnew")

	out = m.run(t, "rpm", "--force-debian", "--nodeps", "-e", "stackscope", "stackscope-worker")
	for _, want := range []string{"sudo rm -rf /var/lib/stackscope\n", "sudo userdel stackscope\n", "/var/lib/stackscope-worker /etc/stackscope/worker-token"} {
		if !strings.Contains(out, want) {
			t.Errorf("the removal does not say %q:\n%s", want, out)
		}
	}
	for _, unit := range units {
		if state := m.property(t, unit, "ActiveState"); state != "inactive" {
			t.Errorf("%s is %s after its removal", unit, state)
		}
	}
	m.gone(t, "/usr/bin/stackscope", "/usr/bin/stackscope-worker", "/etc/systemd/system/multi-user.target.wants/stackscope.service")
	m.there(t, "/var/lib/stackscope/worker-token", "/var/lib/stackscope-worker/worker.json", "/etc/stackscope/server.yaml.rpmsave")

	m.rpm(t, "-i", after)
	m.sh(t, "cp /etc/stackscope/worker.yaml.rpmsave /etc/stackscope/worker.yaml; systemctl enable --now stackscope stackscope-worker")
	m.sameFleet(t, fleet, sampled)
}
