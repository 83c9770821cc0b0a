package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// tree writes files below a new folder. A text that begins with "-> " makes a link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// pci adds a PCI device.
func pci(files map[string]string, address, class, vendor, driver string) {
	dir := "sys/bus/pci/devices/" + address + "/"
	files[dir+"class"], files[dir+"vendor"] = class+"\n", vendor+"\n"
	if driver != "" {
		files[dir+"driver"] = "-> ../../../../bus/pci/drivers/" + driver
	}
}

func ids(list []Missing) (out []string) {
	for _, m := range list {
		out = append(out, m.ID)
	}
	return out
}

// TestGPUsThatAreNotRead: GPUs with their driver that no reader reads are missing. Others are no business of the worker.
func TestGPUsThatAreNotRead(t *testing.T) {
	type device struct{ class, vendor, driver string }
	nvidia := device{"0x030200", "0x10de", "nvidia"}
	for _, tt := range []struct {
		name        string
		device      device
		devices     []string
		read, known []string
		only        []string
		want        string // an id and what is seen
	}{
		{"not in the container", nvidia, []string{"nvidiactl", "nvidia0"}, nil, nil, nil, "gpu_devices 1 of nvidia, none is read: /dev/nvidiactl is not in the worker's container"},
		{"no device files", nvidia, nil, nil, nil, nil, "gpu_devices 1 of nvidia, none is read: there is no /dev/nvidiactl"},
		{"read", nvidia, nil, []string{"nvidia"}, []string{"nvidia"}, nil, ""},
		{"not wanted", nvidia, nil, nil, nil, []string{"amd"}, ""},
		{"another driver", device{"0x030000", "0x10de", "nouveau"}, nil, nil, nil, nil, ""},
		{"passed to a virtual machine", device{"0x120000", "0x19e5", "vfio-pci"}, nil, nil, nil, nil, ""},
		{"no driver", device{"0x030200", "0x10de", ""}, nil, nil, nil, nil, ""},
		{"a network device of the vendor", device{"0x020000", "0x19e5", "hinic"}, nil, nil, nil, nil, ""},
		{"the tool is missing", device{"0x030000", "0x1ed5", "mtgpu"}, nil, nil, nil, nil, "gpu_driver 1 of mthreads, none is read"},
		{"lost", device{"0x030000", "0x1ed5", "mtgpu"}, nil, nil, []string{"mthreads"}, nil, ""},
		{"read from /sys", device{"0x038000", "0x1002", "amdgpu"}, nil, nil, nil, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{}
			pci(files, "0000:3b:00.0", tt.device.class, tt.device.vendor, tt.device.driver)
			for _, name := range tt.devices {
				files["dev/"+name] = ""
			}
			if found, _ := filepath.Glob("/dev/nvidia*"); len(found) > 0 && tt.device.vendor == nvidia.vendor {
				t.Skip("this machine has such GPUs")
			}
			c := New(Options{Root: tree(t, files), Vendors: tt.only, GPUs: func() (read, known []string, ok bool) { return tt.read, tt.known, true }})
			var found []string
			for _, m := range c.Check() {
				found = append(found, m.ID+" "+m.Seen)
			}
			if got := strings.Join(found, "; "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestKernelLogMattersForGPUs: without GPUs nothing would be read from it.
func TestKernelLogMattersForGPUs(t *testing.T) {
	refused := func() (bool, error) { return true, &fs.PathError{Op: "open", Path: "/dev/kmsg", Err: fs.ErrPermission} }
	root := tree(t, map[string]string{"proc/self": "-> 7"})
	for _, known := range [][]string{nil, {"amd"}} {
		c := New(Options{Root: root, KernelLog: refused, GPUs: func() (_, _ []string, ok bool) { return known, known, true }})
		if got := ids(c.Check()); slices.Contains(got, "kernel_log") != (known != nil) {
			t.Errorf("with GPUs of %q: %q", known, got)
		}
	}
}

// TestContainerDaemon: a daemon that is not there is not missing, one that refuses the worker is.
func TestContainerDaemon(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{fs.ErrNotExist, false},
		{errors.New("connection refused"), false},
		{fmt.Errorf("dial: %w", fs.ErrPermission), true},
	} {
		c := New(Options{Root: t.TempDir(), Daemon: func() (string, bool, error) { return "unix:///run/docker.sock", true, tt.err }})
		if got := c.Check(); slices.Contains(ids(got), "container_runtime") != tt.want {
			t.Errorf("%v: %+v", tt.err, got)
		}
	}
}

// TestToldOnce: what is missing is logged in one line, and each change in another. It is told in metrics, too.
func TestToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var denied, gpus atomic.Bool
		denied.Store(true)
		failing := func() error {
			if denied.Load() {
				return fs.ErrPermission
			}
			return nil
		}
		c := New(Options{
			Root: tree(t, map[string]string{"proc/2/stat": ""}), Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Daemon:    func() (string, bool, error) { return "unix:///run/docker.sock", true, failing() },
			KernelLog: func() (bool, error) { return true, failing() },
			GPUs:      func() (_, _ []string, ok bool) { return []string{"amd"}, []string{"amd"}, gpus.Load() },
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go c.Run(ctx)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if text := log.String(); text != "" || len(samples(c)) != 0 {
			t.Fatalf("before the first reading of the GPUs: %s, %q", text, samples(c))
		}
		gpus.Store(true)
		time.Sleep(10 * checkEvery)
		synctest.Wait()
		text := log.String()
		if strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") ||
			!strings.Contains(text, "kernel_log (GPU errors in the kernel log: needs CAP_SYSLOG and /dev/kmsg); container_runtime (") {
			t.Errorf("log: %s", text)
		}
		if got := samples(c); !slices.Equal(got, []string{`access="kernel_log"`, `access="container_runtime"`}) {
			t.Errorf("samples: %q", got)
		}
		log.Reset()
		denied.Store(false)
		time.Sleep(checkEvery)
		synctest.Wait()
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=INFO") || !strings.Contains(text, "kernel_log, container_runtime") || len(samples(c)) != 0 {
			t.Errorf("after it was granted: %s, %q", text, samples(c))
		}
		cancel()
		synctest.Wait()
	})
}

// TestAHangingGPUDelaysItOnce: the first check does not wait for ever.
func TestAHangingGPUDelaysItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{
			Root: tree(t, map[string]string{"proc/2/stat": ""}), GPUs: func() (_, _ []string, ok bool) { return nil, nil, false },
			Daemon: func() (string, bool, error) { return "unix:///run/docker.sock", true, fs.ErrPermission },
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go c.Run(ctx)
		time.Sleep(settleTime + time.Second)
		synctest.Wait()
		if got := samples(c); len(got) != 1 {
			t.Errorf("got %q", got)
		}
		cancel()
		synctest.Wait()
	})
}

func samples(c *Checker) (list []string) {
	took, err := c.Collect(func(m *catalog.Metric, _ string, value float64, labels exposition.Labels) {
		if m == &catalog.MissingAccess && value == 1 {
			list = append(list, string(labels))
		}
	})
	if took >= 0 || err != nil {
		list = append(list, "a status of its own")
	}
	return list
}

// TestKinds: each kind has all its texts.
func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds {
		if k.ID == "" || k.Unseen == "" || k.Needs == "" || !strings.HasSuffix(k.Lost, ".") || !strings.HasSuffix(k.Grant, ".") || seen[k.ID] {
			t.Errorf("%+v", k)
		}
		if Of(k.ID) != k {
			t.Errorf("%s is not found by its id", k.ID)
		}
		seen[k.ID] = true
	}
	if Of("of_a_newer_version") != nil {
		t.Error("an unknown id is found")
	}
}

// BenchmarkCheck: what a check costs on this machine, every two minutes.
func BenchmarkCheck(b *testing.B) {
	c := New(Options{
		Processes: true, GPUs: func() (_, _ []string, ok bool) { return nil, nil, true },
		Daemon: func() (string, bool, error) { return "", true, nil }, KernelLog: func() (bool, error) { return true, nil },
	})
	b.ReportAllocs()
	for b.Loop() {
		c.Check()
	}
}
