package grafana

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	compose "github.com/stackscope/stackscope/docker-compose"
)

func provisioned(t *testing.T, change func(*Options)) *Grafana {
	t.Helper()
	o := valid()
	o.Dir = filepath.Join(t.TempDir(), "a$dir")
	if change != nil {
		change(&o)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	return g
}

// tree lists the files below dir with their modes.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if !strings.HasSuffix(rel, ".json") {
			b.WriteString(info.Mode().String() + " " + rel + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func read(t *testing.T, g *Grafana, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(data(g, filepath.Join(parts...)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), strings.ReplaceAll(g.opts.Dir, "$", "$$"), "DIR")
}

func TestProvision(t *testing.T) {
	g := provisioned(t, nil)
	golden(t, "tree.txt", tree(t, g.opts.Dir))
	golden(t, "datasource.yaml", read(t, g, provisioningDir, "datasources", provisionFile))
	golden(t, "dashboards.yaml", read(t, g, provisioningDir, "dashboards", provisionFile))
	g = provisioned(t, func(o *Options) {
		o.PrometheusURL, o.PrometheusToken, o.InsecureTLS = "https://127.0.0.1:8443/prometheus", "to$ken", true
	})
	golden(t, "datasource-token.yaml", read(t, g, provisioningDir, "datasources", provisionFile))
}

func TestDashboardsAreThoseOfTheBinary(t *testing.T) {
	g := provisioned(t, nil)
	names, err := fs.Glob(compose.Dashboards(), "*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		committed, err := fs.ReadFile(compose.Dashboards(), name)
		if got := read(t, g, dashboardsDir, name); err != nil || got != string(committed) {
			t.Errorf("%s is not the one in docker-compose (run make gen): %v", name, err)
		}
	}
	if !exists(data(g, filepath.Join(dashboardsDir, homeDashboard))) {
		t.Errorf("there is no %s, which Grafana is told to begin with", homeDashboard)
	}
}

func TestOperatorsFilesStay(t *testing.T) {
	g := provisioned(t, nil)
	mine := []string{"provisioning/datasources/mine.yaml", "provisioning/alerting/mine.yaml", "dashboards/mine.json"}
	for _, name := range mine {
		touch(t, data(g, name))
	}
	before, err := os.Stat(data(g, "dashboards/"+homeDashboard))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(data(g, "provisioning/datasources/"+provisionFile), []byte("broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond)
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	for _, name := range mine {
		if !exists(data(g, name)) {
			t.Errorf("%s is gone", name)
		}
	}
	if after, err := os.Stat(data(g, "dashboards/"+homeDashboard)); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Error("a dashboard that did not change was written again")
	}
	if info, err := os.Stat(data(g, "provisioning/datasources/"+provisionFile)); err != nil || info.Mode().Perm() != 0o600 || info.Size() < 50 {
		t.Errorf("the datasource was not mended: %v, %v", info, err)
	}
}

func TestStaleDashboardsGo(t *testing.T) {
	dir := t.TempDir()
	write := func(names ...string) {
		t.Helper()
		files := map[string][]byte{}
		for _, name := range names {
			files[name] = []byte(name)
		}
		if err := writeDashboards(dir, files); err != nil {
			t.Fatal(err)
		}
	}
	write("a.json", "b.json")
	touch(t, filepath.Join(dir, "mine.json"))
	write("b.json", "c.json")
	got, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(dir, "b.json"), filepath.Join(dir, "c.json"), filepath.Join(dir, "mine.json")}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
