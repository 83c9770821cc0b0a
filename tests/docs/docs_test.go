// Package docs_test follows the pages in docs/ as a reader does: it runs every command that stands there, against the real
// programs, and compares what they print. It runs when STACKSCOPE_E2E is set; `make e2e` sets it and builds the programs first.
// What needs a real Grafana runs when STACKSCOPE_GRAFANA_HOME names one.
package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("STACKSCOPE_E2E") == "" {
		fmt.Println("tests of the pages' commands are skipped: run `make e2e`")
		return
	}
	os.Exit(m.Run())
}

func TestObservabilityPage(t *testing.T) { newGuide(t, page("observability.md")).follow() }

func TestMigrationPage(t *testing.T) {
	g := newGuide(t, page("migration.md"))
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

func page(name string) string { return filepath.Join("..", "..", "docs", name) }
