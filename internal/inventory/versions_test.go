package inventory_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/inventory"
)

// Readers see which workers are too far from the server's version, and the log says so once for each version.
func TestVersions(t *testing.T) {
	s := newMemory()
	var log strings.Builder
	options := inventory.Options{Store: s, Version: "0.3.0", Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	inv := newWith(t, options)
	versions := []string{"", "dev", "8dce8de", "0.3.0", "0.2.9", "v0.4.0-dev.1+gabc", "0.1.0", "0.1.0", "0.1.0", "1.0.0"}
	for k, v := range versions {
		r := registration(fmt.Sprintf("w%d", k))
		r.Version = v
		join(t, inv, r)
	}
	want := []string{"", "", "", "", "older", "newer", "too_old", "too_old", "too_old", "too_new"}
	var got []string
	for _, w := range inv.Snapshot().Workers {
		got = append(got, w.VersionSkew)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, log.String())
	}
	for _, part := range []string{
		`worker_version=0.1.0 server_version=0.3.0 worker=w6 do="Update the worker: `, `worker_version=1.0.0 server_version=0.3.0 worker=w9 do="Update the server, `,
	} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("no %s in %s", part, log.String())
		}
	}
	var w exposition.Writer
	inv.WriteVersions(&w)
	for _, line := range []string{
		`stackscope_worker_version_info{cluster_id="1",cluster_name="default",worker_id="1",worker_name="w0",version="unknown",skew="none"} 1`,
		`worker_name="w5",version="v0.4.0-dev.1+gabc",skew="newer"} 1`, `worker_name="w8",version="0.1.0",skew="too_old"} 1`,
	} {
		if !strings.Contains(string(w.Bytes()), line) {
			t.Errorf("no %s in %s", line, w.Bytes())
		}
	}

	// The server is upgraded: its workers do not register again.
	log.Reset()
	options.Version = "0.5.0"
	inv = newWith(t, options)
	if n := strings.Count(log.String(), "\n"); n != 4 || !strings.Contains(log.String(), `worker_version=0.1.0 server_version=0.5.0 worker=w6 do="Update the worker: server and worker may differ by 1 minor version within a major one" list="stackscope status" workers=3`) {
		t.Errorf("%d lines: %s", n, log.String())
	}
	r := registration("w6")
	r.Version = "0.5.0"
	join(t, inv, r)
	if w := inv.Snapshot().Workers[6]; w.Version != "0.5.0" || w.VersionSkew != "" {
		t.Errorf("after its upgrade: %+v", w)
	}
}

// Whatever workers say their version is, the log stays short.
func TestLogOfManyVersions(t *testing.T) {
	var log strings.Builder
	inv := newWith(t, inventory.Options{Version: "0.3.0", Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	r := registration("w")
	for k := range 100 {
		r.Version = fmt.Sprintf("9.%d.0", k)
		join(t, inv, r)
	}
	if n := strings.Count(log.String(), "\n"); n != 20 {
		t.Errorf("%d lines", n)
	}
}
