package docs_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/grafana/install"
	"github.com/stackscope/stackscope/internal/mapping"
)

var pages = []string{"observability.md", "migration.md", "https.md", "operations.md"}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	unifiedName = regexp.MustCompile(`(?:gpustack:|stackscope_)[a-z0-9_]+`)
	suffix      = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// Every metric that a page names is exported.
func TestNamesOnPages(t *testing.T) {
	known := readText(t, page("metrics.md"))
	for _, name := range pages {
		found := 0
		for _, metric := range unifiedName.FindAllString(readText(t, page(name)), -1) {
			found++
			if metric == "gpustack:my_running" { // an example of a faulty document
				continue
			}
			if !strings.Contains(known, "`"+metric+"`") && !strings.Contains(known, "`"+suffix.ReplaceAllString(metric, "")+"`") {
				t.Errorf("%s: %s is not in metrics.md", name, metric)
			}
		}
		if found == 0 {
			t.Errorf("%s names no metric", name)
		}
	}
}

// foreignFlags are of other programs that the pages run or speak of.
var foreignFlags = []string{
	"--tags", "--refs", "--sort", "--quiet", "--depth", "--branch", "--data-binary", "--data-urlencode", "--enable-metrics", "--cacert", "--allow-downgrades", "--volumes",
	"--now", "--failed",
}

// Every flag that a page names is one of ours.
func TestFlagsOnPages(t *testing.T) {
	known := readText(t, page("flags.md"))
	flag := regexp.MustCompile(`(?:^|[\s(\x60])(--[a-z][a-z0-9.-]*[a-z0-9])`)
	for _, name := range pages {
		for _, m := range flag.FindAllStringSubmatch(readText(t, page(name)), -1) {
			if slices.Contains(foreignFlags, m[1]) {
				continue
			}
			if !regexp.MustCompile(regexp.QuoteMeta(m[1]) + `[=\s]`).MatchString(known) {
				t.Errorf("%s: flags.md has no %s", name, m[1])
			}
		}
	}
}

// The pages' tables of an engine's names say what the built-in mapping does.
func TestTablesOfNames(t *testing.T) {
	document, err := json.Marshal(mapping.Default())
	if err != nil {
		t.Fatal(err)
	}
	var builtin struct {
		Runtimes map[string]map[string]map[string]any `json:"runtime_mapping"`
	}
	if err := json.Unmarshal(document, &builtin); err != nil {
		t.Fatal(err)
	}
	tables := regexp.MustCompile(`(?m)^<!-- names: (\w+) -->\n(?:\|.*\n){2}((?:\|.*\n)+)`).FindAllStringSubmatch(readText(t, page("migration.md")), -1)
	if len(tables) < 2 {
		t.Fatalf("%d tables of names", len(tables))
	}
	code := regexp.MustCompile("`([^`]+)`")
	for _, table := range tables {
		targets := map[string][]string{}
		for _, families := range builtin.Runtimes[table[1]] {
			for native, to := range families {
				targets[native] = append(targets[native], unified(to)...)
			}
		}
		for row := range strings.Lines(table[2]) {
			cells := strings.Split(row, "|")
			natives, wanted := code.FindAllStringSubmatch(cells[1], -1), code.FindAllStringSubmatch(cells[2], -1)
			if len(natives) == 0 || len(wanted) == 0 {
				t.Errorf("row without names: %s", row)
				continue
			}
			for i, native := range natives {
				want := strings.TrimSuffix(wanted[min(i, len(wanted)-1)][1], "_total")
				if got := targets[strings.TrimSuffix(native[1], "_total")]; !slices.Contains(got, want) {
					t.Errorf("%s: %s becomes %v, not %s", table[1], native[1], got, want)
				}
			}
		}
	}
}

// unified returns the families of a mapping's entry: a name, a list of names, or an object.
func unified(to any) []string {
	switch to := to.(type) {
	case string:
		return []string{to}
	case []any:
		var out []string
		for _, one := range to {
			out = append(out, unified(one)...)
		}
		return out
	case map[string]any:
		return unified(to["to"])
	}
	return nil
}

// The page lists the dashboards that there are.
func TestDashboardsOnPage(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "docker-compose", "grafana", "grafana_dashboards", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	var want []string
	for _, file := range files {
		want = append(want, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| [^|]*, `/grafana/d/([a-z-]+)` \\|").FindAllStringSubmatch(readText(t, page("observability.md")), -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the page lists %v, there are %v", got, want)
	}
}

// The compose files run the Grafana that the server would install, and the Prometheus that is built into it.
func TestPinnedVersions(t *testing.T) {
	external := readText(t, filepath.Join("..", "..", "docker-compose", "docker-compose.external-observability.yaml"))
	if want := "${GRAFANA_TAG:-" + install.Version + "}"; !strings.Contains(external, want) {
		t.Errorf("the compose file has no %s", want)
	}
	module := regexp.MustCompile(`github\.com/prometheus/prometheus v0\.3(\d+)\.(\d+)`).FindStringSubmatch(readText(t, filepath.Join("..", "..", "go.mod")))
	if module == nil {
		t.Fatal("go.mod has no Prometheus")
	}
	minor := strings.TrimLeft(module[1], "0")
	if want := "${PROMETHEUS_TAG:-v3." + minor + "." + module[2] + "}"; !strings.Contains(external, want) { // module v0.315.0 is release 3.15.0
		t.Errorf("the compose file has no %s", want)
	}
}
