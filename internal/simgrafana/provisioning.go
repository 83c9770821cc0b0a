package simgrafana

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

// datasource is a provisioned datasource. Other keys are ignored, as Grafana ignores unknown ones.
type datasource struct {
	Name      string            `yaml:"name"`
	UID       string            `yaml:"uid"`
	Type      string            `yaml:"type"`
	Access    string            `yaml:"access"`
	URL       string            `yaml:"url"`
	OrgID     int               `yaml:"orgId"`
	IsDefault bool              `yaml:"isDefault"`
	Editable  bool              `yaml:"editable"`
	JSON      map[string]any    `yaml:"jsonData"`
	Secure    map[string]string `yaml:"secureJsonData"`
}

// provider is a provisioned folder of dashboards.
type provider struct {
	Name           string `yaml:"name"`
	Type           string `yaml:"type"`
	AllowUIUpdates bool   `yaml:"allowUiUpdates"`
	UpdateInterval int    `yaml:"updateIntervalSeconds"`
	Options        struct {
		Path string `yaml:"path"`
	} `yaml:"options"`

	read time.Time // last time that its files were read
}

// provisioned is the content of the provisioning folder.
type provisioned struct {
	log         logger
	datasources map[string]datasource // by uid
	providers   []*provider

	mu         sync.Mutex
	searches   int // number of answered searches
	dashboards map[string]dashboard
}

type dashboard struct {
	file string
	text json.RawMessage
	head struct {
		UID, Title string
		Tags       []string
	}
}

// loadProvisioning reads the files that Grafana reads at its start. Grafana does not start if one is invalid.
func loadProvisioning(dir string, l logger) (*provisioned, error) {
	p := &provisioned{log: l, datasources: map[string]datasource{}, dashboards: map[string]dashboard{}}
	err := eachFile(filepath.Join(dir, "datasources"), l, func(text []byte) error {
		var file struct {
			APIVersion  int          `yaml:"apiVersion"`
			Datasources []datasource `yaml:"datasources"`
		}
		if err := decode(text, &file, func() int { return file.APIVersion }); err != nil {
			return err
		}
		for _, d := range file.Datasources {
			p.datasources[d.UID] = d
		}
		return p.checkDatasources()
	})
	if err != nil {
		return nil, fmt.Errorf("datasource provisioning error: %w", err)
	}
	err = eachFile(filepath.Join(dir, "dashboards"), l, func(text []byte) error {
		var file struct {
			APIVersion int         `yaml:"apiVersion"`
			Providers  []*provider `yaml:"providers"`
		}
		if err := decode(text, &file, func() int { return file.APIVersion }); err != nil {
			return err
		}
		p.providers = append(p.providers, file.Providers...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("dashboard provisioning error: %w", err)
	}
	for _, kind := range []string{"plugins", "alerting"} {
		if err := eachFile(filepath.Join(dir, kind), l, func([]byte) error { return nil }); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// load removes the datasources whose plugin is missing. From 13.2 on, each plugin is in a folder of its own; before, they were part
// of the program.
func (p *provisioned) load(dir, version string) {
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n == 2 && (major < 13 || major == 13 && minor < 2) {
		return
	}
	for uid, d := range p.datasources {
		if _, err := os.Stat(filepath.Join(dir, d.Type, "plugin.json")); err != nil {
			p.log.line("error", "datasources", "Could not find plugin definition for data source", "datasource_type", d.Type, "error", err.Error())
			delete(p.datasources, uid)
		}
	}
}

func (p *provisioned) checkDatasources() error {
	var defaults []string
	for _, d := range p.datasources {
		if d.Name == "" || d.Type == "" {
			return errors.New("a datasource has no name or no type")
		}
		if d.IsDefault {
			defaults = append(defaults, d.Name)
		}
	}
	if len(defaults) > 1 {
		return fmt.Errorf("only one datasource per organization can be marked as default, not %q", defaults)
	}
	return nil
}

// eachFile calls f with each YAML file of a folder. A missing folder is only logged.
func eachFile(dir string, l logger, f func(text []byte) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		l.line("error", "provisioning", "can't read provisioning files from directory", "path", dir, "error", err.Error())
		return nil
	}
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); ext != ".yaml" && ext != ".yml" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err == nil {
			err = f(text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", entry.Name(), err)
		}
	}
	return nil
}

// decode reads a YAML document in which $NAME stands for an environment variable and $$ for a dollar sign.
func decode(text []byte, document any, version func() int) error {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return err
	}
	expandAll(&root)
	if err := root.Decode(document); err != nil {
		return err
	}
	if version() != 1 {
		return fmt.Errorf("apiVersion %d", version())
	}
	return nil
}

func expandAll(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode {
		node.Value = os.Expand(node.Value, func(name string) string {
			if name == "$" {
				return "$"
			}
			return os.Getenv(name)
		})
	}
	for i, child := range node.Content {
		if node.Kind != yaml.MappingNode || i%2 == 1 {
			expandAll(child)
		}
	}
}

// search counts a search and returns the dashboards. takes is Play.Takes.
func (p *provisioned) search(takes int) []dashboard {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.searches++
	found := p.take(takes, p.searches-1)
	return slices.SortedFunc(maps.Values(found), func(a, b dashboard) int { return strings.Compare(a.head.Title, b.head.Title) })
}

// dashboard returns a provisioned dashboard.
func (p *provisioned) dashboard(uid string, takes int) (dashboard, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, ok := p.take(takes, p.searches)[uid]
	return d, ok
}

// take reads the files of every folder that is due.
func (p *provisioned) take(takes, searches int) map[string]dashboard {
	if takes < 0 || searches < takes {
		return nil
	}
	for _, from := range p.providers {
		if every := max(1, from.UpdateInterval); time.Since(from.read) < time.Duration(every)*time.Second {
			continue
		}
		from.read = time.Now()
		maps.DeleteFunc(p.dashboards, func(_ string, d dashboard) bool { return filepath.Dir(d.file) == filepath.Clean(from.Options.Path) })
		files, err := os.ReadDir(from.Options.Path)
		if err != nil {
			p.log.line("error", "provisioning.dashboard", "failed to search for dashboards", "error", err.Error())
		}
		for _, file := range files {
			if filepath.Ext(file.Name()) == ".json" {
				p.takeFile(filepath.Join(from.Options.Path, file.Name()))
			}
		}
	}
	return p.dashboards
}

func (p *provisioned) takeFile(path string) {
	d, err := readDashboard(path)
	if err == nil && p.dashboards[d.head.UID].file != "" {
		err = fmt.Errorf("the same UID is used more than once: %s", d.head.UID)
	}
	if err != nil {
		p.log.line("error", "provisioning.dashboard", "failed to load dashboard", "file", path, "error", err.Error())
		return
	}
	p.dashboards[d.head.UID] = d
}

func readDashboard(path string) (d dashboard, err error) {
	if d.text, err = os.ReadFile(path); err != nil {
		return d, err
	}
	d.file = path
	if err := json.Unmarshal(d.text, &d.head); err != nil {
		return d, err
	}
	if d.head.Title == "" {
		return d, errors.New("dashboard title cannot be empty")
	}
	if d.head.UID == "" || len(d.head.UID) > 40 {
		return d, fmt.Errorf("uid %q: 1 to 40 characters", d.head.UID)
	}
	return d, nil
}
