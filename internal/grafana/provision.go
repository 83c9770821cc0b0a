package grafana

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/stackscope/stackscope/dashboards"
	"github.com/stackscope/stackscope/internal/base/durable"
)

// Names under Options.Dir.
const (
	provisioningDir = "provisioning"
	provisionFile   = "stackscope.yaml" // in datasources and in dashboards; the operator may add other files
	dashboardsDir   = "dashboards"
	dashboardsList  = ".written" // lists the dashboards that we wrote
	homeDashboard   = "stackscope-fleet.json"
)

const provisionHeader = "# Written by stackscope at each start: changes here are lost. Your own provisioning goes into files of other names.\n"

// DatasourceUID is the uid of the provisioned datasource. The dashboards refer to it.
const DatasourceUID = "prometheus"

type datasourceFile struct {
	APIVersion  int          `yaml:"apiVersion"`
	Datasources []datasource `yaml:"datasources"`
}

type datasource struct {
	Name      string            `yaml:"name"`
	UID       string            `yaml:"uid"`
	Type      string            `yaml:"type"`
	Access    string            `yaml:"access"`
	URL       string            `yaml:"url"`
	OrgID     int               `yaml:"orgId"`
	IsDefault bool              `yaml:"isDefault"`
	Editable  bool              `yaml:"editable"`
	JSON      datasourceJSON    `yaml:"jsonData"`
	Secure    map[string]string `yaml:"secureJsonData,omitempty"`
}

type datasourceJSON struct {
	HTTPMethod     string `yaml:"httpMethod"`
	TimeInterval   string `yaml:"timeInterval"`
	PrometheusType string `yaml:"prometheusType"`
	TLSSkipVerify  bool   `yaml:"tlsSkipVerify,omitempty"`
	HeaderName     string `yaml:"httpHeaderName1,omitempty"`
}

type providerFile struct {
	APIVersion int        `yaml:"apiVersion"`
	Providers  []provider `yaml:"providers"`
}

type provider struct {
	Name           string `yaml:"name"`
	OrgID          int    `yaml:"orgId"`
	Folder         string `yaml:"folder"`
	Type           string `yaml:"type"`
	AllowUIUpdates bool   `yaml:"allowUiUpdates"`
	UpdateInterval int    `yaml:"updateIntervalSeconds"`
	Options        struct {
		Path string `yaml:"path"`
	} `yaml:"options"`
}

// provision writes the files that Grafana reads at its start: our datasource, our dashboard provider, and the dashboards.
func (g *Grafana) provision() error {
	if err := durable.MkdirAll(g.opts.Dir, "--data-dir"); err != nil {
		return err
	}
	root := filepath.Join(g.opts.Dir, provisioningDir)
	dirs := []string{filepath.Join(g.opts.Dir, "plugins"), filepath.Join(g.opts.Dir, dashboardsDir)}
	for _, kind := range []string{"datasources", "dashboards", "plugins", "alerting", "notifiers", "access-control"} {
		dirs = append(dirs, filepath.Join(root, kind)) // Grafana logs an error for each that is missing
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	if err := writeYAML(filepath.Join(root, "datasources", provisionFile), g.datasource()); err != nil {
		return err
	}
	if err := writeYAML(filepath.Join(root, "dashboards", provisionFile), g.provider()); err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, d := range dashboards.All() {
		text, err := d.JSON()
		if err != nil {
			return err
		}
		files[d.UID+".json"] = text
	}
	return writeDashboards(filepath.Join(g.opts.Dir, dashboardsDir), files)
}

func (g *Grafana) datasource() datasourceFile {
	d := datasource{
		Name: "Prometheus", UID: DatasourceUID, Type: "prometheus", Access: "proxy", URL: literal(g.opts.PrometheusURL), OrgID: 1, IsDefault: true,
		JSON: datasourceJSON{HTTPMethod: "POST", TimeInterval: "5s", PrometheusType: "Prometheus", TLSSkipVerify: g.opts.InsecureTLS},
	}
	if token := g.opts.PrometheusToken; token != "" {
		d.JSON.HeaderName = "Authorization"
		d.Secure = map[string]string{"httpHeaderValue1": literal("Bearer " + token)}
	}
	return datasourceFile{1, []datasource{d}}
}

func (g *Grafana) provider() providerFile {
	p := provider{Name: "stackscope", OrgID: 1, Type: "file", UpdateInterval: 60}
	p.Options.Path = literal(filepath.Join(g.opts.Dir, dashboardsDir))
	return providerFile{1, []provider{p}}
}

// literal escapes a value, so that Grafana does not expand $NAME in it.
func literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

func writeYAML(path string, document any) error {
	text, err := yaml.Marshal(document)
	if err != nil {
		return err
	}
	return writeChanged(path, append([]byte(provisionHeader), text...), 0o600)
}

// writeDashboards writes the files, by name, to dir and removes those of an earlier version that no longer exist.
func writeDashboards(dir string, files map[string][]byte) error {
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if err := writeChanged(filepath.Join(dir, name), files[name], 0o640); err != nil {
			return err
		}
	}
	list := filepath.Join(dir, dashboardsList)
	before, err := os.ReadFile(list)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for name := range strings.FieldsSeq(string(before)) {
		if slices.Contains(names, name) || name != filepath.Base(name) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("dashboard of an earlier version: %w", err)
		}
	}
	return writeChanged(list, []byte(strings.Join(names, "\n")+"\n"), 0o640)
}

// writeChanged writes the file unless it already holds data, so that Grafana does not reload it.
func writeChanged(path string, data []byte, perm fs.FileMode) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm() == perm {
		if held, err := os.ReadFile(path); err == nil && bytes.Equal(held, data) {
			return nil
		}
	}
	return durable.WriteFile(path, data, perm)
}
