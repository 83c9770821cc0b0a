package server_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/backup"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/store"
)

// TestBackupWithoutPrometheus: it says why it has no samples, and has all else.
func TestBackupWithoutPrometheus(t *testing.T) {
	o := options(t)
	left := filepath.Join(o.DataDir, "backup.partial", "stackscope.db")
	grafana := filepath.Join(o.DataDir, "grafana", "grafana.db")
	for name, text := range map[string]string{left: "left by a crash", filepath.Join(o.DataDir, "worker", "worker.json"): "{}", grafana: "no database"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o750), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, o)
	if _, err := os.Stat(filepath.Dir(left)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a crash has left: %v", err)
	}
	s.join(t, "gpu-1")
	var m *backup.Manifest
	take := func() error {
		return s.admin(t).Backup(t.Context(), true, func(archive io.Reader, _ int64) (err error) {
			m, err = backup.Verify(archive)
			return err
		})
	}
	refused, ok := errors.AsType[*client.Error](take())
	if !ok || refused.Status != http.StatusInternalServerError || !strings.Contains(refused.Detail, "grafana.db") {
		t.Errorf("with a Grafana database that is none: %v", refused)
	}
	if err := os.Remove(grafana); err != nil {
		t.Fatal(err)
	}
	if err := store.Copy(t.Context(), filepath.Join(o.DataDir, "stackscope.db"), grafana); err != nil { // any database will do
		t.Fatal(err)
	}
	if err := take(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"admin-token", "worker-token", "worker/worker.json", "stackscope.db", "grafana/grafana.db"} {
		if !m.Has(name) {
			t.Errorf("%s is missing in %+v", name, m.Files)
		}
	}
	if m.Samples.Included || !strings.Contains(m.Samples.Reason, "--disable-builtin-observability") || m.Inventory.Workers != 1 || m.Schema != store.SchemaVersion() {
		t.Errorf("%+v", m)
	}
	if _, err := os.Stat(filepath.Dir(left)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a backup has left: %v", err)
	}
}
