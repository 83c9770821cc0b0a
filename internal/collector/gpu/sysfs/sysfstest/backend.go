package sysfstest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
	"github.com/stackscope/stackscope/internal/exposition"
)

// New makes a vendor's backend for the machine at root.
type New func(root string) *sysfs.Backend

// Open is New for a test, after which the backend is closed.
func (n New) Open(tb testing.TB, root string) *sysfs.Backend {
	tb.Helper()
	b := n(root)
	tb.Cleanup(func() { must(tb, b.Close()) })
	return b
}

// Read reads the GPUs, which must not fail.
func Read(tb testing.TB, b *sysfs.Backend) []gpu.Device {
	tb.Helper()
	r, err := b.Read(tb.Context())
	must(tb, err)
	return r.Devices
}

// Page is what is exported of GPUs.
func Page(devices []gpu.Device) []byte {
	var w exposition.Writer
	gpu.WriteReading(&w, gpu.Reading{Devices: devices})
	return w.Bytes()
}

// Goldens reads each tree of testdata, of which there are n with two GPUs each, and compares what is exported of it.
func (n New) Goldens(t *testing.T, trees int, update bool) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.tree")
	if err != nil || len(files) != trees {
		t.Fatalf("trees: %v, %v, want %d", files, err, trees)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			devices := Read(t, n.Open(t, Unpack(t, file)))
			if len(devices) != 2 {
				t.Errorf("%d GPUs, want 2", len(devices))
			}
			Golden(t, strings.TrimSuffix(file, ".tree")+".golden", Page(devices), update)
		})
	}
}

// FilesAreClosed reads the GPUs of a tree again and again and counts the files that stay open: of each GPU at most most, and
// none once the backend is closed.
func (n New) FilesAreClosed(t *testing.T, tree string, most int) {
	t.Helper()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("open files cannot be counted here")
	}
	synctest.Test(t, func(t *testing.T) {
		count := func() int {
			names, err := filepath.Glob("/proc/self/fd/*")
			must(t, err)
			return len(names)
		}
		before := count()
		b := n.Open(t, Unpack(t, tree))
		devices := len(Read(t, b))
		first := count()
		if each := (first - before) / devices; each > most {
			t.Errorf("%d files are open of each GPU", each)
		}
		for range 3 {
			time.Sleep(sysfs.ScanEvery)
			Read(t, b)
		}
		if now := count(); now != first {
			t.Errorf("%d files are open, after the first reading it were %d", now, first)
		}
		must(t, b.Close())
		if count() != before {
			t.Errorf("closed, and %d files are open, before it were %d", count(), before)
		}
		Read(t, b) // opens all again
	})
}

// BenchmarkEight reads eight GPUs, each second's work. They are copies of the GPU at directory card1 and address of a tree.
func (n New) BenchmarkEight(b *testing.B, tree, address string) {
	b.Helper()
	text, err := os.ReadFile(tree)
	must(b, err)
	_, card, _ := strings.Cut(string(text), "[sys/class/drm/card1/device]")
	card, _, _ = strings.Cut(card, "\n[")
	root := b.TempDir()
	for _, n := range "12345678" {
		Add(b, root, "[sys/class/drm/card"+string(n)+"/device]"+strings.ReplaceAll(card, address, "0000:0"+string(n)+":00.0"))
	}
	backend := n.Open(b, root)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := backend.Read(b.Context()); err != nil || len(r.Devices) != 8 {
			b.Fatal(len(r.Devices), err)
		}
	}
}
