package compose_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

type scrapeConfig struct {
	Job           string `yaml:"job_name"`
	Interval      string `yaml:"scrape_interval"`
	StaticConfigs []struct {
		Targets []string `yaml:"targets"`
	} `yaml:"static_configs"`
	HTTPSDConfigs []struct {
		URL             string `yaml:"url"`
		RefreshInterval string `yaml:"refresh_interval"`
	} `yaml:"http_sd_configs"`
}

func readYAML[T any](t *testing.T, path string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, path))
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

type prometheusConfig struct {
	ScrapeConfigs []scrapeConfig `yaml:"scrape_configs"`
}

// The jobs are the specification's, with its intervals, and what they name is a service of the compose file with that port.
func TestScrapeTargetsAreServices(t *testing.T) {
	external := load(t, required[externalFile], externalFile)
	config := readYAML[prometheusConfig](t, "prometheus/prometheus.yml")
	jobs := map[string]scrapeConfig{}
	var addresses []string
	for _, sc := range config.ScrapeConfigs {
		jobs[sc.Job] = sc
		for _, static := range sc.StaticConfigs {
			addresses = append(addresses, static.Targets...)
		}
		for _, sd := range sc.HTTPSDConfigs {
			u, err := url.Parse(sd.URL)
			if err != nil || u.Path != "/metrics/targets" {
				t.Errorf("job %s discovers at %s", sc.Job, sd.URL)
			}
			addresses = append(addresses, u.Host)
		}
	}
	slices.Sort(addresses)
	if want := []string{"gpustack-server:10161", "gpustack-server:10161", "localhost:9090"}; !slices.Equal(addresses, want) {
		t.Errorf("addresses %v, want %v", addresses, want)
	}
	for job, interval := range map[string]string{"gpustack-worker-discovery": "5s", "gpustack-server": "10s"} {
		if jobs[job].Interval != interval {
			t.Errorf("job %s: interval %q, want %s", job, jobs[job].Interval, interval)
		}
	}
	for _, address := range addresses {
		host, number, _ := strings.Cut(address, ":")
		if host == "localhost" {
			host = "prometheus" // it scrapes itself
		}
		s, ok := external.Services[host]
		if !ok {
			t.Errorf("%s: there is no service %s", address, host)
			continue
		}
		if !slices.ContainsFunc(s.Ports, func(p port) bool { return p.Published == number }) {
			t.Errorf("%s: service %s has no port %s", address, host, number)
		}
		if _, ok := s.Networks["default"]; !ok {
			t.Errorf("%s: service %s is in another network", address, host)
		}
	}
}

var programs = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("../../hack/build-prometheus").Output()
	lines := strings.Fields(string(out))
	if err != nil || len(lines) == 0 {
		return "", err
	}
	return lines[len(lines)-1], nil
})

// A real Prometheus takes the configuration, and the command's flags.
func TestPrometheusStarts(t *testing.T) {
	dir, err := programs()
	if err != nil {
		t.Fatalf("hack/build-prometheus: %v", err)
	}
	config := filepath.Join(folder, "prometheus", "prometheus.yml")
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "promtool"), "check", "config", config).CombinedOutput()
	if err != nil {
		t.Fatalf("promtool check config: %v\n%s", err, out)
	}

	prometheus := load(t, required[externalFile], externalFile).Services["prometheus"]
	data := t.TempDir()
	args := []string{"--web.listen-address=127.0.0.1:0"}
	for _, arg := range prometheus.Command {
		for _, m := range prometheus.Volumes {
			source := m.Source
			if m.Type == "volume" {
				source = data
			}
			if flag, path, ok := strings.Cut(arg, "="); ok && (path == m.Target || strings.HasPrefix(path, m.Target+"/")) {
				arg = flag + "=" + source + strings.TrimPrefix(path, m.Target)
				break
			}
		}
		args = append(args, arg)
	}
	var log strings.Builder
	cmd := exec.Command(filepath.Join(dir, "prometheus"), args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(data, "data", "wal", "00000000")); err == nil {
			_ = cmd.Process.Signal(os.Interrupt)
			if err := <-ended; err != nil {
				t.Errorf("prometheus %v: %v\n%s", args, err, log.String())
			}
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("prometheus %v ended at once: %v\n%s", args, err, log.String())
		default:
		}
	}
	_ = cmd.Process.Kill()
	<-ended
	t.Fatalf("prometheus %v wrote nothing to its volume\n%s", args, log.String())
}

// Grafana finds its datasource and the dashboards where the compose file has them.
func TestGrafanaProvisioning(t *testing.T) {
	external := load(t, required[externalFile], externalFile)
	datasources := readYAML[struct {
		Datasources []struct {
			Type, UID, URL string
			IsDefault      bool `yaml:"isDefault"`
		}
	}](t, "grafana/grafana_provisioning/datasources/datasource.yaml").Datasources
	if len(datasources) != 1 {
		t.Fatalf("%d datasources", len(datasources))
	}
	ds := datasources[0]
	if ds.Type != "prometheus" || ds.UID != "prometheus" || !ds.IsDefault {
		t.Errorf("datasource %+v", ds)
	}
	u, err := url.Parse(ds.URL)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := external.Services[u.Hostname()]
	if !ok || !slices.ContainsFunc(s.Ports, func(p port) bool { return p.Published == u.Port() }) {
		t.Errorf("datasource at %s: there is no such service", ds.URL)
	}

	providers := readYAML[struct {
		Providers []struct {
			Options struct{ Path string }
		}
	}](t, "grafana/grafana_provisioning/dashboards/dashboards.yaml").Providers
	if len(providers) != 1 {
		t.Fatalf("%d providers", len(providers))
	}
	grafana := external.Services["grafana"]
	source := ""
	for _, m := range grafana.Volumes {
		if m.Target == providers[0].Options.Path {
			source = m.Source
		}
	}
	dashboards, err := filepath.Glob(filepath.Join(source, "*.json"))
	if err != nil || source == "" || len(dashboards) == 0 {
		t.Errorf("no dashboards are mounted at %s (%v)", providers[0].Options.Path, err)
	}
	home := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if _, err := os.Stat(filepath.Join(source, filepath.Base(home))); err != nil || filepath.Dir(home) != providers[0].Options.Path {
		t.Errorf("the home dashboard %s is not mounted: %v", home, err)
	}
}
