//go:build linux

package attack

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/tests/programs"
)

// TestBackupOnAFullDisk: a full disk at either end gives no backup, says so, leaves nothing, and harms nobody.
func TestBackupOnAFullDisk(t *testing.T) {
	disk := onSmallDisk(t, 96<<20)
	if disk == "" {
		return
	}
	data, elsewhere := filepath.Join(disk, "data"), t.TempDir()
	if err := os.Mkdir(data, 0o750); err != nil {
		t.Fatal(err)
	}
	s := serveIn(t, data, nil)
	s.queryable(t)
	command := func(args ...string) (string, error) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), programs.Path(t, "stackscope"), args...).CombinedOutput()
		return string(out), err
	}
	whole := filepath.Join(elsewhere, "whole.tar")
	if out, err := command("backup", "--server-url", s.url, whole); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	restored := filepath.Join(disk, "restored")

	t.Log("the server's disk has less than a backup needs")
	almost := filepath.Join(disk, "almost")
	if err := os.WriteFile(almost, make([]byte, 70<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command("backup", "--server-url", s.url, filepath.Join(elsewhere, "none.tar"))
	if err == nil || !strings.Contains(out, "507") || !strings.Contains(out, "MiB are free") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := command("restore", whole, "--data-dir", restored); err == nil || !strings.Contains(out, "MiB are free") {
		t.Errorf("restoring where there is no room: %v: %s", err, out)
	}
	if err := os.Remove(almost); err != nil {
		t.Fatal(err)
	}

	t.Log("the disk of the file gets full")
	target := filepath.Join(disk, "backups")
	if err := os.Mkdir(target, 0o700); err != nil {
		t.Fatal(err)
	}
	other := serve(t) // whose data are on another disk
	if err := os.WriteFile(filepath.Join(other.dir, "mapping.json"), make([]byte, 60<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	full := newBallast(disk)
	if err := full.fill(); err != nil {
		t.Fatal(err)
	}
	out, err = command("backup", "--server-url", other.url, "--no-samples", filepath.Join(target, "b.tar"))
	if err == nil || !strings.Contains(out, "no space left") || !strings.Contains(out, "there is no backup") {
		t.Errorf("%v: %s", err, out)
	}
	for _, dir := range []string{target, elsewhere, restored} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.Name() != "whole.tar" {
				t.Errorf("left: %s", filepath.Join(dir, e.Name()))
			}
		}
	}
	if err := full.free(); err != nil {
		t.Fatal(err)
	}
	if out, err := command("restore", whole, "--data-dir", restored); err != nil {
		t.Errorf("with room again: %v: %s", err, out)
	}
	for _, s := range []*server{s, other} {
		if status, _, err := s.send(http.MethodGet, "/healthz", "", nil); err != nil || status != http.StatusOK {
			t.Errorf("%d, %v", status, err)
		}
		if left, _ := filepath.Glob(filepath.Join(s.dir, "backup.partial")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}
