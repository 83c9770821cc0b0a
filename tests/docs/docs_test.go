// Package docs_test follows the pages in docs/ as a reader does: it runs every command that stands there, against the real
// programs, and compares what they print. That runs when STACKSCOPE_E2E is set; `make e2e` sets it and builds the programs first.
// Their Grafana is a stand-in; where the machine names a real one, what needs a Grafana runs again with that. Names on the pages
// are always compared.
package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stackscope/stackscope/internal/simgrafana"
)

func TestMain(m *testing.M) {
	if os.Getenv(playEngine) != "" {
		fmt.Fprintln(os.Stderr, play())
		os.Exit(1)
	}
	simgrafana.Main()
	os.Exit(m.Run())
}

// needPrograms skips a test where the programs were not built for it.
func needPrograms(t *testing.T) {
	t.Helper()
	if os.Getenv("STACKSCOPE_E2E") == "" {
		t.Skip("comes after the other tests: `make e2e` builds the programs that it needs")
	}
}

func TestObservabilityPage(t *testing.T) {
	needPrograms(t)
	simgrafana.Each(t, testObservabilityPage)
}

func testObservabilityPage(t *testing.T, home string) { //nolint:thelper // the body of a test: its own lines are wanted
	newGuide(t, page("observability.md"), home).follow()
}

func TestMigrationPage(t *testing.T) {
	needPrograms(t)
	g := newGuide(t, page("migration.md"), simgrafana.Home(t))
	g.oldData = oldPrometheusData(t)
	for _, path := range []string{"gpustack/var/lib/gpustack/prometheus", "gpustack-prometheus/prometheus/data"} {
		if err := os.CopyFS(filepath.Join(g.containers, path), os.DirFS(g.oldData)); err != nil {
			t.Fatal(err)
		}
	}
	mapping, err := os.ReadFile(filepath.Join("..", "..", "internal", "mapping", "testdata", "gpustack.good.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.containers, "gpustack", "var", "lib", "gpustack", "custom_metrics_config.yaml"), mapping, 0o600); err != nil {
		t.Fatal(err)
	}
	g.follow()
}

// The commands of the pages about containers are complete, and their files are there. No container is started.
func TestContainerPages(t *testing.T) {
	needPrograms(t)
	for _, name := range []string{"docker.md", "compose.md"} {
		g := newGuide(t, page(filepath.Join("install", name)), simgrafana.Home(t))
		if err := os.CopyFS(filepath.Join(g.dir, "stackscope", "docker-compose"), os.DirFS(filepath.Join("..", "..", "docker-compose"))); err != nil {
			t.Fatal(err)
		}
		data := filepath.Join(g.containers, "gpustack-server", "var", "lib", "stackscope")
		if err := os.MkdirAll(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, "worker-token"), []byte("a-token\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		g.follow()
	}
}

func page(name string) string { return filepath.Join("..", "..", "docs", name) }
