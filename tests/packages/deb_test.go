package packages_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var units = []string{"stackscope", "stackscope-worker"}

// install gives packages to apt, as a user does. Nothing is downloaded: the tree has what they depend on.
func (m *machine) install(t *testing.T, b built) string {
	t.Helper()
	args := []string{"apt-get", "install", "-y", "-q", "--no-install-recommends", "--allow-downgrades", "-o", "Dpkg::Options::=--force-confold"}
	return m.run(t, append(args, m.bring(t, b, "_*_amd64.deb")...)...)
}

// start configures the worker to join the server of its own machine, and starts both.
func (m *machine) start(t *testing.T) worker {
	t.Helper()
	m.edit(t, "/etc/stackscope/worker.yaml", "server_url: http://localhost\ntoken_file: /var/lib/stackscope/worker-token\n")
	m.run(t, "systemctl", "enable", "--now", "stackscope", "stackscope-worker")
	return m.joined(t)
}

func TestDeb(t *testing.T) {
	needs(t)
	before, after := older(t, "deb"), newer(t, "deb")
	m := boot(t)

	out := m.install(t, before)
	for _, want := range []string{"sudo systemctl enable --now stackscope\n", "sudo systemctl enable --now stackscope-worker\n", "token_file: /etc/stackscope/worker-token"} {
		if !strings.Contains(out, want) {
			t.Errorf("the first installation does not say %q:\n%s", want, out)
		}
	}
	for _, unit := range units {
		if state := m.property(t, unit, "ActiveState"); state != "inactive" {
			t.Errorf("%s is %s after the first installation, want inactive", unit, state)
		}
		if state := m.property(t, unit, "UnitFileState"); state != "disabled" {
			t.Errorf("%s is %s after the first installation, want disabled", unit, state)
		}
	}
	for file, want := range map[string]string{
		"/etc/stackscope": "755 root:root", "/etc/stackscope/server.yaml": "640 root:stackscope", "/etc/stackscope/worker.yaml": "600 root:root",
	} {
		if got := strings.TrimSpace(m.run(t, "stat", "-c", "%a %U:%G", file)); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}

	m.startEngine(t)
	fleet := m.start(t)
	m.checkServices(t)
	m.checkUnits(t)
	m.checkSandbox(t)
	// What is asked for later: samples of the first version.
	m.awaitSample(t, `gpustack:num_requests_running{model_name="qwen3-8b"}`, 3)
	sampled := time.Now()
	pids := map[string]string{}
	for _, unit := range units {
		pids[unit] = m.mainPID(t, unit)
	}

	m.edit(t, "/etc/stackscope/server.yaml", "log_level: debug\n")
	out = m.install(t, after)
	if strings.Contains(out, "enable --now") {
		t.Errorf("the upgrade says how to start what runs:\n%s", out)
	}
	for _, unit := range units {
		if pid := m.mainPID(t, unit); pid == pids[unit] {
			t.Errorf("the upgrade did not restart %s", unit)
		}
		if got := m.version(t, unit); got != after.version {
			t.Errorf("%s runs version %s after the upgrade, want %s", unit, got, after.version)
		}
	}
	m.sameFleet(t, fleet, sampled)
	m.sh(t, "grep -q '^log_level: debug' /etc/stackscope/server.yaml; grep -q '^server_url:' /etc/stackscope/worker.yaml")
	m.sh(t, "grep -q '^# of the next version' /etc/stackscope/server.yaml.dpkg-dist")
	if got := strings.TrimSpace(m.run(t, "stat", "-c", "%a %U:%G", "/etc/stackscope/server.yaml")); got != "640 root:stackscope" {
		t.Errorf("server.yaml is %s after the upgrade", got)
	}

	m.run(t, "apt-get", "remove", "-y", "-q", "stackscope", "stackscope-worker")
	for _, unit := range units {
		if state := m.property(t, unit, "ActiveState"); state != "inactive" {
			t.Errorf("%s is %s after its removal", unit, state)
		}
	}
	if out, err := m.try("pgrep", "-a", "stackscope"); err == nil {
		t.Errorf("after the removal there runs %s", out)
	}
	m.gone(t, "/usr/bin/stackscope", "/usr/bin/stackscope-worker", "/etc/systemd/system/multi-user.target.wants/stackscope.service")
	m.there(t, "/var/lib/stackscope/worker-token", "/var/lib/stackscope-worker/worker.json", "/etc/stackscope/server.yaml", "/etc/stackscope/worker.yaml")
	m.run(t, "getent", "passwd", "stackscope")

	m.install(t, after)
	m.run(t, "systemctl", "enable", "--now", "stackscope", "stackscope-worker")
	m.sameFleet(t, fleet, sampled)

	m.write(t, "/etc/stackscope/worker-token", "a copy", 0o600)
	m.run(t, "apt-get", "purge", "-y", "-q", "stackscope", "stackscope-worker")
	m.gone(t, "/etc/stackscope", "/var/lib/stackscope", "/var/lib/stackscope-worker", "/usr/share/doc/stackscope", "/usr/lib/systemd/system/stackscope.service")
	if out, err := m.try("getent", "passwd", "stackscope"); err == nil {
		t.Errorf("the user is left: %s", out)
	}
	if out := m.run(t, "systemctl", "--failed", "--no-legend", "--plain"); strings.Contains(out, "stackscope") {
		t.Errorf("systemd remembers %s", out)
	}

	m.install(t, before)
	if again := m.start(t); again.Name != fleet.Name {
		t.Errorf("after a purge and an installation the worker is %+v, before %+v", again, fleet)
	}
}

// sameFleet fails if the worker has another id, or samples of before are lost.
func (m *machine) sameFleet(t *testing.T, before worker, sampled time.Time) {
	t.Helper()
	if now := m.joined(t); now != before {
		t.Errorf("the worker is %+v now, was %+v", now, before)
	}
	m.wait(t, "a sample of before", time.Minute, func() error { // Prometheus is ready later than the server
		got, err := m.sample(`gpustack:num_requests_running{model_name="qwen3-8b"}`, sampled)
		if err == nil && got != 3 {
			err = fmt.Errorf("got %g, want 3", got)
		}
		return err
	})
}

// withChangedConfig lets a version have another server.yaml than the one before.
func withChangedConfig(t *testing.T) func(config map[string]any) {
	t.Helper()
	dir := t.TempDir()
	return func(config map[string]any) {
		for _, c := range config["contents"].([]any) {
			content := c.(map[string]any)
			if content["dst"] != "/etc/stackscope/server.yaml" {
				continue
			}
			text, err := os.ReadFile(content["src"].(string))
			if err != nil {
				t.Fatal(err)
			}
			changed := dir + "/server.yaml"
			if err := os.WriteFile(changed, append(text, "# of the next version\n"...), 0o600); err != nil {
				t.Fatal(err)
			}
			content["src"] = changed
		}
	}
}
