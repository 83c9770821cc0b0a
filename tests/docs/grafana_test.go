package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/grafana/install"
	"github.com/stackscope/stackscope/internal/simgrafana"
	"github.com/stackscope/stackscope/tests/programs"
)

// mirror returns settings with which `stackscope grafana install` finds its release in place: what it fetches, and from where,
// is the install package's own test.
func mirror(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	home := filepath.Join(dir, "grafana-home", "grafana-"+install.Version)
	for _, file := range []string{"bin/grafana", "conf/defaults.ini", "public/index.html"} {
		path := filepath.Join(home, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"GPUSTACK_DATA_DIR=" + dir}
}

// ownGrafana is a Grafana that isn't stackscope's.
type ownGrafana struct{ url string }

// startGrafana runs a Grafana with the given settings and provisioning.
func startGrafana(t *testing.T, home, provisioning string, env []string) *ownGrafana {
	t.Helper()
	port := programs.FreePort(t)
	g := &ownGrafana{url: "http://127.0.0.1:" + strconv.Itoa(port)}
	data := t.TempDir()
	env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	env = append(env, "GF_SERVER_HTTP_ADDR=127.0.0.1", "GF_SERVER_HTTP_PORT="+strconv.Itoa(port), "GF_PATHS_DATA="+data, "GF_PATHS_LOGS="+data,
		"GF_PATHS_PLUGINS="+data, "GF_PATHS_PROVISIONING="+provisioning, "GF_ANALYTICS_REPORTING_ENABLED=false", "GF_ANALYTICS_CHECK_FOR_UPDATES=false",
		"GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES=false")
	p := start(t, home, env, filepath.Join(home, "bin", "grafana"), "server", "--homepath", home)
	programs.Eventually(t, 60*time.Second, "Grafana answers", func() error {
		if p.Ended() {
			t.Fatalf("Grafana ended: %s", p.Output())
		}
		_, err := programs.Get(g.url + "/api/health")
		return err
	})
	return g
}

// startOwnGrafana runs a Grafana as somebody has who knows nothing of stackscope: a datasource with a name of its own.
func startOwnGrafana(t *testing.T, home string, s *server) *ownGrafana {
	t.Helper()
	provisioning := t.TempDir()
	for _, dir := range []string{"datasources", "dashboards", "plugins", "notifiers", "alerting"} {
		if err := os.Mkdir(filepath.Join(provisioning, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	datasource := fmt.Sprintf("apiVersion: 1\ndatasources:\n  - {name: Metrics of ours, uid: ours, type: prometheus, access: proxy, url: %s/prometheus}\n", s.url())
	if err := os.WriteFile(filepath.Join(provisioning, "datasources", "ours.yaml"), []byte(datasource), 0o600); err != nil {
		t.Fatal(err)
	}
	return startGrafana(t, home, provisioning, []string{"GF_SECURITY_ADMIN_PASSWORD=secret"})
}

// A Grafana with the compose file's settings and provisioning shows the dashboards to a visitor.
func TestComposeGrafana(t *testing.T) {
	needPrograms(t)
	simgrafana.Each(t, testComposeGrafana)
}

func testComposeGrafana(t *testing.T, home string) { //nolint:thelper // the body of a test: its own lines are wanted
	demo := newGuide(t, "", home).server("demo")
	dashboards, err := filepath.Abs(filepath.Join("..", "..", "docker-compose", "grafana", "grafana_dashboards"))
	if err != nil {
		t.Fatal(err)
	}
	provisioning := t.TempDir()
	if err := os.CopyFS(provisioning, os.DirFS(filepath.Join("..", "..", "docker-compose", "grafana", "grafana_provisioning"))); err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(provisioning, "dashboards", "dashboards.yaml"), "path: /etc/dashboards", "path: "+dashboards)
	replace(t, filepath.Join(provisioning, "datasources", "datasource.yaml"), "http://prometheus:9090", demo.url()+"/prometheus")
	var env []string
	for name, value := range composeEnvironment(t, "grafana") {
		env = append(env, name+"="+strings.ReplaceAll(value, "/etc/dashboards", dashboards))
	}
	grafana := startGrafana(t, home, provisioning, env)

	files, err := filepath.Glob(filepath.Join(dashboards, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	programs.Eventually(t, 20*time.Second, "every dashboard is there", func() error {
		for _, file := range files {
			if _, err := programs.Get(grafana.url + "/api/dashboards/uid/" + strings.TrimSuffix(filepath.Base(file), ".json")); err != nil {
				return err
			}
		}
		return nil
	})
	first, err := programs.Get(grafana.url + "/api/dashboards/home")
	if err != nil || !strings.Contains(first, `"uid":"stackscope-fleet"`) {
		t.Errorf("the fleet overview is not the home dashboard: %v %.200s", err, first)
	}
	answer, err := programs.Get(grafana.url + "/api/datasources/proxy/uid/prometheus/api/v1/query?query=count(up)")
	if err != nil || !strings.Contains(answer, `"success"`) {
		t.Errorf("an anonymous viewer asks the datasource: %v %.200s", err, answer)
	}
}

func replace(t *testing.T, path, old, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), old) {
		t.Fatalf("%s has no %q", path, old)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), old, text)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// composeEnvironment returns the variables of a service of docker-compose.external-observability.yaml.
func composeEnvironment(t *testing.T, service string) map[string]string {
	t.Helper()
	plugin, err := exec.CommandContext(t.Context(), filepath.Join("..", "compose", "build-plugin")).Output()
	if err != nil {
		t.Fatalf("tests/compose/build-plugin: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), strings.TrimSpace(string(plugin)), "-f", "docker-compose.external-observability.yaml", "config", "--format", "json")
	cmd.Dir = filepath.Join("..", "..", "docker-compose")
	cmd.Env = append(os.Environ(), "GPUSTACK_GRAFANA_URL=http://192.0.2.10:3000")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker compose config: %v", err)
	}
	var project struct {
		Services map[string]struct{ Environment map[string]string }
	}
	if err := json.Unmarshal(out, &project); err != nil {
		t.Fatal(err)
	}
	return project.Services[service].Environment
}
