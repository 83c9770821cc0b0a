package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/stackscope/stackscope/internal/simgrafana"
	"github.com/stackscope/stackscope/tests/programs"
)

// scrapeConfig is Prometheus Operator's kind, with the fields that the page uses.
type scrapeConfig struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Spec struct {
		JobName        string `yaml:"jobName"`
		ScrapeInterval string `yaml:"scrapeInterval"`
		ScrapeTimeout  string `yaml:"scrapeTimeout"`
		HonorLabels    bool   `yaml:"honorLabels"`
		HTTPSDConfigs  []struct {
			URL             string
			RefreshInterval string `yaml:"refreshInterval"`
			scrapeAccess    `yaml:",inline"`
		} `yaml:"httpSDConfigs"`
		StaticConfigs []struct{ Targets []string } `yaml:"staticConfigs"`
		scrapeAccess  `yaml:",inline"`
		Relabelings   []struct {
			SourceLabels  []string `yaml:"sourceLabels"`
			Regex, Action string
		}
	}
}

type scrapeAccess struct {
	BasicAuth *struct{ Username, Password secretKey }  `yaml:"basicAuth"`
	TLSConfig *struct{ CA struct{ Secret secretKey } } `yaml:"tlsConfig"`
}

type secretKey struct{ Name, Key string }

// TestKubernetesPage has Prometheus scrape with the page's ScrapeConfigs, as Prometheus Operator would configure it. The manifests of the server and of the
// worker are only compared with what the programs know: the test has no cluster.
func TestKubernetesPage(t *testing.T) {
	needPrograms(t)
	g := newGuide(t, page("install/kube-prometheus-stack.md"), simgrafana.Home(t))
	g.parts = map[string]func(*testing.T, *block) error{"kubernetes": g.kubernetes}
	g.follow()
}

func (g *guide) kubernetes(t *testing.T, b *block) error {
	t.Helper()
	var jobs []map[string]any
	secrets := false
	for part := range strings.SplitSeq(b.text, "\n---\n") {
		if !strings.Contains(part, "kind: ScrapeConfig") {
			if err := checkManifest(t, part); err != nil {
				return err
			}
			continue
		}
		d := yaml.NewDecoder(strings.NewReader(part))
		d.KnownFields(true)
		var c scrapeConfig
		if err := d.Decode(&c); err != nil {
			return err
		}
		if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
			return fmt.Errorf("there is more than one object: %w", err)
		}
		if c.APIVersion != "monitoring.coreos.com/v1alpha1" || c.Metadata.Labels["release"] == "" || !c.Spec.HonorLabels {
			return fmt.Errorf("api version, label release or honorLabels is missing in %+v", c)
		}
		secrets = secrets || c.Spec.BasicAuth != nil
		jobs = append(jobs, g.scrapeJob(t, &c))
	}
	if len(jobs) == 0 {
		return nil
	}
	config, err := yaml.Marshal(map[string]any{"scrape_configs": jobs})
	if err != nil {
		return err
	}
	if err := g.checkScrapeConfig(t, &block{text: string(config)}); err != nil || secrets { // with a password there is nobody to ask
		return err
	}
	return g.scrapeWith(t, config, jobs)
}

// scrapeJob returns the job that Prometheus Operator makes: job_name is its own, label job is jobName. The page's addresses are those of the demo, and it
// scrapes each second.
func (g *guide) scrapeJob(t *testing.T, c *scrapeConfig) map[string]any {
	t.Helper()
	demo := g.server("demo")
	address := strings.NewReplacer("stackscope.monitoring.svc:10161", "127.0.0.1:"+strconv.Itoa(demo.metrics), "10.0.0.7:10151", "127.0.0.1:"+strconv.Itoa(demo.worker),
		`, "10.0.0.8:10151"`, "")
	for _, interval := range []string{c.Spec.ScrapeInterval, c.Spec.ScrapeTimeout} {
		if d, err := time.ParseDuration(interval); interval != "" && (err != nil || d > 10*time.Second) {
			t.Errorf("%s: %s is not as often as the dashboards need it", c.Metadata.Name, interval)
		}
	}
	job := map[string]any{
		"job_name": "scrapeConfig/" + c.Metadata.Namespace + "/" + c.Metadata.Name, "honor_labels": c.Spec.HonorLabels, "scrape_interval": "1s", "scrape_timeout": "1s",
	}
	relabel := []map[string]any{{"target_label": "job", "replacement": c.Spec.JobName}}
	for _, r := range c.Spec.Relabelings {
		relabel = append(relabel, map[string]any{"source_labels": r.SourceLabels, "regex": r.Regex, "action": r.Action})
	}
	job["relabel_configs"] = relabel
	c.Spec.addTo(t, job)
	var sd []map[string]any
	for _, h := range c.Spec.HTTPSDConfigs {
		one := map[string]any{"url": address.Replace(h.URL), "refresh_interval": h.RefreshInterval}
		h.addTo(t, one)
		sd = append(sd, one)
	}
	if sd != nil {
		job["http_sd_configs"] = sd
	}
	for _, s := range c.Spec.StaticConfigs {
		target := address.Replace(s.Targets[0]) // of several workers the demo is one
		job["static_configs"] = []map[string]any{{"targets": []string{target}}}
	}
	return job
}

// addTo adds credentials and authority, from files as Prometheus Operator mounts a Secret.
func (a *scrapeAccess) addTo(t *testing.T, job map[string]any) {
	t.Helper()
	if a.BasicAuth != nil {
		job["basic_auth"] = map[string]any{"username": a.BasicAuth.Username.Key, "password_file": secretFile(t, a.BasicAuth.Password)}
	}
	if a.TLSConfig != nil {
		job["tls_config"] = map[string]any{"ca_file": secretFile(t, a.TLSConfig.CA.Secret)}
	}
}

func secretFile(t *testing.T, k secretKey) string {
	t.Helper()
	if k.Name == "" || k.Key == "" {
		t.Errorf("a secret without name or key: %+v", k)
	}
	path := filepath.Join(t.TempDir(), k.Key)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// scrapeWith runs a separate Prometheus until it has the workers' series under the page's job names. No label of a sample may have another name.
func (g *guide) scrapeWith(t *testing.T, config []byte, jobs []map[string]any) error {
	t.Helper()
	tools, address := prometheusDir(t), "127.0.0.1:"+strconv.Itoa(programs.FreePort(t))
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	start(t, t.TempDir(), os.Environ(), filepath.Join(tools, "prometheus"), "--config.file", file, "--storage.tsdb.path", t.TempDir(), "--web.listen-address", address)
	base := "http://" + address
	programs.Eventually(t, 30*time.Second, "all targets are scraped", func() error {
		return value(base, `sum(up) == count(up)`, strconv.Itoa(len(jobs)))
	})
	programs.Eventually(t, 30*time.Second, "the worker's series are there", func() error {
		return value(base, `count(gpustack:worker_node_uptime_seconds{job="gpustack-worker-discovery",worker_name!=""})`, "1")
	})
	if err := value(base, `count(count by (job) (up{job=~"gpustack-(worker-discovery|server)"}))`, strconv.Itoa(len(jobs))); err != nil {
		return err
	}
	body, err := programs.Get(base + "/api/v1/labels")
	if err != nil {
		return err
	}
	var labels struct{ Data []string }
	if err := json.Unmarshal([]byte(body), &labels); err != nil {
		return err
	}
	if !slices.Contains(labels.Data, "model_instance_name") {
		return fmt.Errorf("no label of an engine among %q", labels.Data)
	}
	for _, name := range labels.Data {
		if strings.HasPrefix(name, "exported_") {
			return fmt.Errorf("label %s: a target's label has replaced a sample's", name)
		}
	}
	return nil
}

// checkManifest compares an object with the programs: variables, image, capabilities.
func checkManifest(t *testing.T, text string) error {
	t.Helper()
	var object struct {
		Kind string
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct {
						Name, Image     string
						Env             []struct{ Name string }
						SecurityContext struct {
							Capabilities struct{ Add []string }
						} `yaml:"securityContext"`
					}
				}
			}
		}
	}
	if err := yaml.NewDecoder(bytes.NewReader([]byte(text))).Decode(&object); err != nil {
		return err
	}
	flags := readText(t, page("flags.md"))
	for _, c := range object.Spec.Template.Spec.Containers {
		for _, env := range c.Env {
			if !strings.HasPrefix(env.Name, "NVIDIA_") && !strings.Contains(flags, "$"+env.Name) {
				return fmt.Errorf("%s: no flag has the variable %s", c.Name, env.Name)
			}
		}
		if !strings.HasSuffix(strings.TrimSuffix(c.Image, "-slim"), ":0.1.0") {
			return fmt.Errorf("%s: image %s is not of the page's version", c.Name, c.Image)
		}
		if object.Kind == "DaemonSet" {
			compose := readText(t, filepath.Join("..", "..", "docker-compose", "docker-compose.worker.yaml"))
			if want := "cap_add: [" + strings.Join(c.SecurityContext.Capabilities.Add, ", ") + "]"; !strings.Contains(compose, want) {
				return fmt.Errorf("the compose file of the worker has no %s", want)
			}
		}
	}
	if object.Kind == "" {
		return errors.New("an object without a kind")
	}
	return nil
}
