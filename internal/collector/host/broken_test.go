package host

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// TestBrokenFileFailsItsCollectorAlone breaks one file of the fixture after the other. The collector that reads it fails and
// loses what stood there; all other lines stay.
func TestBrokenFileFailsItsCollectorAlone(t *testing.T) {
	skipUnlessLinux(t)
	const verbs = "sys/class/infiniband/mlx5_0/ports/1/"
	whole, _ := sampled(t, root)
	for _, c := range []struct {
		file, collector string
		edit            func(text string) string
		gone            string // what every line that is lost contains
		lost            int
	}{
		{"proc/loadavg", "load", func(string) string { return "high\n" }, "load", 3},
		{"proc/meminfo", "swap", func(s string) string { return strings.Replace(s, "SwapFree", "SwapTree", 1) }, "swap_", 2},
		{"proc/stat", "cpu", func(string) string { return "cpu0 1 2 3\n" }, "", 0},
		{"proc/pressure/io", "pressure", func(s string) string { return strings.ReplaceAll(s, "total=", "total:") }, `resource="io"`, 2},
		{"proc/diskstats", "disk", func(s string) string { return strings.Replace(s, "sda 25354637 ", "sda ", 1) }, `device="sda"`, 5},
		{"proc/diskstats", "disk", func(s string) string { return s[:strings.Index(s, "nvme0n1 ")+30] }, `device="nvme0n1"`, 5},
		{"proc/1/net/dev", "network", func(s string) string { return strings.Replace(s, "874354587", "0x345", 1) }, `device="eth0"`, 8},
		{verbs + "state", "infiniband", func(string) string { return "fine\n" }, `device="mlx5_0"`, 3},
		{verbs + "rate", "infiniband", func(string) string { return "4X\n" }, "rate_bytes", 1},
		{verbs + "counters/link_downed", "infiniband", func(string) string { return "two\n" }, "link_downed", 1},
	} {
		t.Run(c.file, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(root)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, filepath.FromSlash(c.file))
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(c.edit(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
			lines, failed := sampled(t, dir)
			if reason := failed[c.collector]; !strings.Contains(reason, path) || strings.Contains(reason, "\n") {
				t.Errorf("%s: %q does not name %s on one line", c.collector, reason, path)
			}
			if len(failed) != 1 {
				t.Errorf("failed: %v", failed)
			}
			var kept []string
			left := map[string]bool{}
			for _, l := range lines {
				left[l] = true
			}
			lost := 0
			for _, l := range whole {
				if !left[l] && strings.Contains(l, c.gone) {
					lost++
					continue
				}
				kept = append(kept, l)
			}
			if diff := cmp.Diff(kept, lines); diff != "" || lost != c.lost {
				t.Errorf("%d lines lost, want %d (-want +got)\n%s", lost, c.lost, diff)
			}
		})
	}
}

// sampled samples the machine below dir once and returns its lines but uptime, and the errors by collector.
func sampled(t *testing.T, dir string) (lines []string, failed map[string]string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{Root: dir, usage: func(context.Context, string) (uint64, uint64, error) { return 10, 1, nil }})
		run(t, h)
		all, errs := collect(h)
		failed = errs
		for _, l := range all {
			if !strings.HasPrefix(l, "uptime_seconds") {
				lines = append(lines, l)
			}
		}
	})
	return lines, failed
}

// TestRoundAllocatesLittle holds what a sample costs beside the samples themselves, and that a scrape costs nothing.
func TestRoundAllocatesLittle(t *testing.T) {
	skipUnlessLinux(t)
	h := New(Options{Root: root, usage: fakeUsage})
	most := map[string]float64{"cpu": 10, "memory": 50, "load": 28, "swap": 50, "pressure": 115, "disk": 12, "network": 40, "infiniband": 120}
	for _, c := range h.Collectors() {
		if err := c.sample(t.Context()); err != nil && c.Name() != "filesystem" {
			t.Errorf("%s: %v", c.Name(), err)
		}
		if limit := most[c.Name()]; limit > 0 {
			if n := testing.AllocsPerRun(3*speedEvery, func() { _ = c.sample(t.Context()) }); n > limit {
				t.Errorf("a sample of %s allocates %v times", c.Name(), n)
			}
		}
		n := 0
		if allocs := testing.AllocsPerRun(10, func() {
			_, _ = c.Collect(func(*catalog.Metric, string, float64, exposition.Labels) { n++ })
		}); allocs > 0 || n == 0 {
			t.Errorf("collecting %s: %v allocations, %d samples", c.Name(), allocs, n)
		}
	}
}
