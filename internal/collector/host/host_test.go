package host

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const root = "testdata/root"

// collect returns the last reading of each collector as lines, and the errors by collector.
func collect(h *Host) (lines []string, failed map[string]string) {
	failed = map[string]string{}
	for _, c := range h.Collectors() {
		took, err := c.Collect(func(m *catalog.Metric, _ string, v float64, labels exposition.Labels) {
			lines = append(lines, fmt.Sprintf("%s %v [%s]", strings.TrimPrefix(m.Name, "gpustack:worker_node_"), v, labels))
		})
		switch {
		case took < 0:
			failed[c.Name()] = "no reading"
		case err != nil:
			failed[c.Name()] = err.Error()
		}
	}
	return lines, failed
}

func fakeUsage(_ context.Context, path string) (total, used uint64, err error) {
	switch rel, _ := filepath.Rel(root, path); rel {
	case ".":
		return 3000, 1000, nil
	case "data", "mnt/over":
		return 200, 50, nil
	case "mnt/nfs":
		return 0, 0, errors.New("stale file handle")
	case "mnt/with space":
		return 10, 20, nil
	case "mnt/secret":
		return 0, 0, fs.ErrPermission
	}
	return 0, 0, fmt.Errorf("%s was asked", path)
}

func skipUnlessLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the fixture is a Linux machine")
	}
}

// page is what h exports, without what differs from machine to machine.
func page(h *Host) string {
	var w exposition.Writer
	for _, c := range h.Collectors() {
		was := ""
		_, _ = c.Collect(func(m *catalog.Metric, suffix string, v float64, labels exposition.Labels) {
			switch m.Name {
			case catalog.WorkerNodeUptime.Name:
				v = 12345
			case catalog.WorkerNodeKernel.Name:
				before, _, _ := strings.Cut(string(labels), "architecture=")
				labels = exposition.Labels(before + `architecture="any"`)
			}
			if m.Name != was {
				w.Family(m.WireName(), string(m.Type), m.Help)
				was = m.Name
			}
			w.Sample(m.WireName()+suffix, v, labels)
		})
	}
	return string(w.Bytes())
}

func TestFixture(t *testing.T) {
	skipUnlessLinux(t)
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{Root: root, usage: fakeUsage})
		if _, failed := collect(h); failed["memory"] != "no reading" {
			t.Errorf("before Run: %v", failed)
		}
		run(t, h)
		got := page(h)
		golden(t, "root.golden", got)
		_, failed := collect(h)
		if diff := cmp.Diff(map[string]string{"filesystem": "filesystem at /mnt/nfs: stale file handle"}, failed); diff != "" {
			t.Errorf("failed: (-want +got)\n%s", diff)
		}
		at := 0
		for _, m := range catalog.WorkerNode {
			name := m.WireName()
			i := strings.Index(got, "# HELP "+name+" ")
			switch {
			case i < 0 && m.Name != catalog.WorkerNodeCPUUtilization.Name: // that needs two samples
				t.Errorf("the fixture has no %s", name)
			case i >= 0 && i < at:
				t.Errorf("%s does not stand where the catalog has it", name)
			}
			at = max(at, i)
		}
	})
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", name, diff)
	}
}

// run starts h and waits until all that is due was sampled.
func run(t *testing.T, h *Host) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { h.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	synctest.Wait()
}

func TestCPUUtilizationIsThatOfTheLastInterval(t *testing.T) {
	skipUnlessLinux(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	stat := func(user, idle int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "proc", "stat"), fmt.Appendf(nil, "cpu  %d 0 500 %d 500 0 0 0 0 0\n", user, idle), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := newCPUReader(newHostFS(dir))
	for i, step := range []struct {
		user, idle int
		want       any
	}{
		{1000, 8000, nil},  // the first sample
		{1250, 8750, 25.0}, // a quarter
		{2250, 8750, 100.0},
		{2250, 8750, nil}, // no time passed
		{2250, 9750, 0.0},
		{100, 100, nil}, // rebooted, or the counters of another machine
		{200, 500, 20.0},
	} {
		stat(step.user, step.idle)
		samples, err := c.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got any
		for _, s := range samples {
			if s.metric.Name == catalog.WorkerNodeCPUUtilization.Name {
				got = s.value
			}
		}
		if got != step.want {
			t.Errorf("step %d: got %v, want %v", i, got, step.want)
		}
	}
}

func TestWhatCannotBeReadIsAbsentAndCostsNothingElse(t *testing.T) {
	skipUnlessLinux(t)
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(root)); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"proc/meminfo", "proc/stat", "etc/os-release"} {
			if err := os.Remove(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
		}
		h := New(Options{Root: dir, usage: func(context.Context, string) (uint64, uint64, error) { return 1, 1, nil }})
		run(t, h)
		lines, failed := collect(h)
		for _, name := range []string{"os", "cpu", "memory", "swap"} {
			if failed[name] == "" {
				t.Errorf("%s did not fail", name)
			}
		}
		for _, name := range []string{"kernel", "uptime", "filesystem", "load", "pressure", "disk", "network", "infiniband"} {
			if failed[name] != "" {
				t.Errorf("%s failed: %s", name, failed[name])
			}
		}
		all := strings.Join(lines, "\n")
		if !strings.Contains(all, "cpu_cores 2") || !strings.Contains(all, "filesystem_total_bytes") || strings.Contains(all, "memory_total") || strings.Contains(all, "os_info") {
			t.Errorf("got\n%s", all)
		}
	})
}

func TestHungFilesystemHoldsNothingUp(t *testing.T) {
	skipUnlessLinux(t)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var asked int
		h := New(Options{Root: root, usage: func(ctx context.Context, path string) (uint64, uint64, error) {
			if strings.HasSuffix(path, "/mnt/nfs") {
				asked++
				<-release
				return 7, 7, nil
			}
			return fakeUsage(ctx, path)
		}})
		run(t, h)
		time.Sleep(time.Minute)
		start := time.Now()
		lines, failed := collect(h)
		if took := time.Since(start); took != 0 {
			t.Errorf("collecting took %s", took)
		}
		if failed["filesystem"] != "filesystem at /mnt/nfs hangs" || !strings.Contains(strings.Join(lines, "\n"), `filesystem_total_bytes 200 [mountpoint="/data"]`) {
			t.Errorf("got %v\n%s", failed, strings.Join(lines, "\n"))
		}
		if asked != 1 {
			t.Errorf("asked %d times while it hung", asked)
		}
		close(release)
		time.Sleep(time.Minute)
		lines, failed = collect(h)
		if failed["filesystem"] != "" || !strings.Contains(strings.Join(lines, "\n"), `filesystem_total_bytes 7 [mountpoint="/mnt/nfs"]`) {
			t.Errorf("after it came back: got %v\n%s", failed, strings.Join(lines, "\n"))
		}
	})
}

func TestSampleThatIsLateIsNotKeptForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		calls := 0
		c := &Collector{name: "x", interval: time.Second, logger: New(Options{}).collectors[0].logger, read: func(context.Context) ([]sample, error) {
			if calls++; calls > 1 {
				<-block
			}
			return []sample{{metric: &catalog.WorkerNodeUptime, value: 5}}, nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		go c.run(ctx)
		defer func() { cancel(); close(block) }()
		for _, step := range []struct {
			wait    time.Duration
			samples int
			fails   bool
		}{{0, 1, false}, {2 * time.Second, 1, false}, {2 * time.Second, 1, true}, {20 * time.Second, 0, true}} {
			time.Sleep(step.wait)
			synctest.Wait()
			n := 0
			_, err := c.Collect(func(*catalog.Metric, string, float64, exposition.Labels) { n++ })
			if n != step.samples || (err != nil) != step.fails {
				t.Errorf("after %s: %d samples, error %v", step.wait, n, err)
			}
		}
	})
}

func TestPanicOfASamplerIsItsError(t *testing.T) {
	reads := 0
	c := &Collector{name: "x", interval: time.Hour, read: func(context.Context) ([]sample, error) {
		if reads++; reads == 1 {
			panic("index out of range")
		}
		return []sample{{metric: &catalog.WorkerNodeUptime, value: 5}}, nil
	}}
	if err := c.sample(t.Context()); err == nil || !strings.Contains(err.Error(), "collector x") || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("got error %v", err)
	}
	if err := c.sample(t.Context()); err != nil {
		t.Errorf("the next sample: %v", err)
	}
}

func TestRunEndsThoughASamplerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{})
		block := make(chan struct{})
		h.collectors = []*Collector{{name: "x", interval: time.Second, logger: h.collectors[0].logger, read: func(context.Context) ([]sample, error) {
			<-block
			return nil, nil
		}}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		h.Run(ctx)
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("took %s", took)
		}
		close(block)
	})
}

func TestFamiliesStandTogether(t *testing.T) {
	h := New(Options{})
	for _, c := range h.Collectors() {
		if err := c.sample(t.Context()); err != nil {
			t.Logf("%s: %v", c.Name(), err)
		}
	}
	seen := map[string]bool{}
	was := ""
	for _, c := range h.Collectors() {
		_, _ = c.Collect(func(m *catalog.Metric, _ string, v float64, labels exposition.Labels) {
			if m.Name != was && seen[m.Name] {
				t.Errorf("%s stands in two places", m.Name)
			}
			if strings.HasSuffix(m.Name, "_rate") && (v < 0 || v > 100) {
				t.Errorf("%s is %v", m.Name, v)
			}
			if strings.Count(string(labels), `="`) != len(m.Labels) {
				t.Errorf("%s has labels %q, want %q", m.Name, labels, m.Labels)
			}
			was, seen[m.Name] = m.Name, true
		})
	}
	if len(seen) < 8 {
		t.Errorf("this machine has only %v", seen)
	}
}

func TestFilesystemsAreBounded(t *testing.T) {
	f := newFilesystemReader(newHostFS("/"), func(context.Context, string) (uint64, uint64, error) { return 1, 0, nil })
	var mounts []mount
	for i := range 300 {
		mounts = append(mounts, mount{device: fmt.Sprint("/dev/sd", i), mountpoint: fmt.Sprintf("/m/%03d", i), fstype: "ext4"})
	}
	var found []filesystemUsage
	for _, v := range volumes(mounts) {
		found = append(found, f.measure(t.Context(), v))
	}
	samples, err := f.export(found, nil)
	if len(samples) != 3*maxFilesystems || err == nil {
		t.Errorf("%d samples, error %v", len(samples), err)
	}
}

// TestVolumes tells what is a filesystem with space of its own, and which mounts are one.
func TestVolumes(t *testing.T) {
	var table strings.Builder
	for i, line := range []string{
		"/dev/nvme0n1p2 / ext4", "/dev/loop1 /snap/core/1 squashfs", "/dev/loop2 /media/image erofs", "snapfuse /snap-x fuse.snapfuse",
		"beegfs_nodev /home beegfs", "beegfs_nodev /scratch beegfs", "beegfs_nodev /srv/pod_a/scratch beegfs", "/dev/sda1 /srv/pods/data xfs", "/dev/sda1 /data xfs",
		"server:/export /mnt/a nfs4", "server:/export /mnt/b nfs4", "/dev/sdb1 /over xfs", "/dev/sdc1 /over xfs", "tank/models /tank zfs",
	} {
		f := strings.Fields(line)
		number := fmt.Sprint("0:", 100+i)
		if f[0] == "beegfs_nodev" {
			number = map[bool]string{true: "0:45", false: "0:46"}[f[1] == "/home"]
		}
		fmt.Fprintf(&table, "%d 20 %s / %s rw - %s %s rw\n", 20+i, number, strings.ReplaceAll(f[1], "_", `\040`), f[2], f[0])
	}
	mounts, err := newHostFS(t.TempDir()).parseMounts([]byte(table.String()))
	if err != nil {
		t.Error(err)
	}
	var got []string
	for _, v := range volumes(mounts) {
		got = append(got, v.mounts[0].mountpoint)
	}
	if diff := cmp.Diff([]string{"/", "/home", "/scratch", "/data", "/mnt/a", "/over", "/tank"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRate(t *testing.T) {
	for want, pair := range map[float64][2]float64{33.3333: {1, 3}, 0: {0, 5}, 100: {5, 5}, 66.6667: {2, 3}} {
		if got := percent(pair[0], pair[1]); got != want {
			t.Errorf("rate(%v) = %v, want %v", pair, got, want)
		}
	}
}

func FuzzOSRelease(f *testing.F) {
	f.Add("NAME=\"x\"\nVERSION_ID='1'")
	f.Fuzz(func(_ *testing.T, text string) { osRelease(text) })
}
