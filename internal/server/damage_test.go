package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Damage in Prometheus' data costs nobody else anything, and is told wherever somebody looks.
func TestDamagedPrometheusLeavesTheRestAlone(t *testing.T) {
	o := options(t)
	o.DisableBuiltinObservability = false
	wal := filepath.Join(o.DataDir, "prometheus", "wal")
	if err := os.MkdirAll(filepath.Dir(wal), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(wal, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, o)
	eventually(t, hangTimeout, "/readyz says what is damaged", func() bool {
		status, _, body := get(t, s.URL()+"/readyz")
		return status == 503 && strings.Contains(body, wal)
	})
	s.join(t, "worker-1")
	for path, want := range map[string]int{
		"/healthz": 200, "/v2/workers": 200, "/v2/metrics/config": 200, "/prometheus/": 503, "/prometheus/api/v1/query?query=up": 503, "/prometheus/-/ready": 503,
	} {
		status, _, body := get(t, s.URL()+path)
		told := strings.Contains(body, wal) && strings.Contains(body, "--builtin-prometheus-repair")
		if status != want || status == 503 && !told {
			t.Errorf("%s: %d %.300s", path, status, body)
		}
	}
	if _, _, body := get(t, s.metricsURL()+"/metrics/targets"); !strings.Contains(body, "127.0.0.1:10151") {
		t.Errorf("service discovery: %s", body)
	}
	if _, _, page := get(t, s.metricsURL()+"/metrics"); !strings.Contains(page, `stackscope_prometheus_problem{problem="data"} 1`) {
		t.Error("the metrics don't say that the data can't be opened")
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(wal); err != nil || string(data) != "x" {
		t.Errorf("what is damaged was touched: %q, %v", data, err)
	}

	o.PrometheusRepair = true
	s = start(t, o)
	eventually(t, hangTimeout, "ready after the repair", func() bool {
		up, _, _ := get(t, s.URL()+"/prometheus/-/ready")
		status, _, _ := get(t, s.URL()+"/readyz")
		return up == 200 && status == 200
	})
	if moved, err := filepath.Glob(filepath.Join(o.DataDir, "prometheus", "damaged-*", "wal")); err != nil || len(moved) != 1 {
		t.Errorf("moved aside: %v, %v", moved, err)
	}
}

func TestDirectoryOfPrometheusIsAFile(t *testing.T) {
	o := options(t)
	o.DisableBuiltinObservability = false
	dir := filepath.Join(o.DataDir, "prometheus")
	if err := os.WriteFile(dir, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, o)
	eventually(t, hangTimeout, "/readyz says so", func() bool {
		status, _, body := get(t, s.URL()+"/readyz")
		return status == 503 && strings.Contains(body, dir)
	})
	if status, _, _ := get(t, s.URL()+"/v2/workers"); status != 200 {
		t.Errorf("the API answers %d", status)
	}
}
