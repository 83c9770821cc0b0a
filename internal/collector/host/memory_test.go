package host

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestMemoryOfAnOldKernelIsEstimated(t *testing.T) {
	skipUnlessLinux(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "proc"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 50 kB\nCached: 250 kB\n"
	if err := os.WriteFile(filepath.Join(dir, "proc", "meminfo"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	samples, err := newHostFS(dir).readMemory(t.Context())
	if err != nil || len(samples) != 3 || samples[0].value != 1000<<10 {
		t.Fatalf("%v, %v", samples, err)
	}
	if used := samples[1].value; used < 500<<10 || used > 900<<10 {
		t.Errorf("%v bytes used", used)
	}
}

func TestSwap(t *testing.T) {
	for text, want := range map[string][2]uint64{
		"SwapTotal:  2048 kB\nSwapFree: 1024 kB\n":              {2 << 20, 1 << 20},
		"MemTotal: 1 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB":       {0, 0},
		"SwapCached: 9 kB\nSwapFree: 1 kB\nSwapTotal:\t1\tkB\n": {1 << 10, 1 << 10},
		"SwapCached: 9 kB\nSwapFree: 1 kB\nSwapTotal: 1kB\n":    {1, 1}, // not understood
		"SwapTotal: 1 kB\n":                                    {1, 1},
		"SwapTotal: 1 kB\nSwapFree: 2 kB\n":                    {1, 1},
		"SwapTotal: 1 MB\nSwapFree: 1 MB\n":                    {1, 1},
		"SwapTotal: -1 kB\nSwapFree: -1 kB\n":                  {1, 1},
		"SwapTotal: 18446744073709551615 kB\nSwapFree: 1 kB\n": {1, 1},
		"": {1, 1},
	} {
		samples, err := tree(t, map[string]string{"proc/meminfo": text}).readSwap(t.Context())
		if want == [2]uint64{1, 1} {
			if err == nil {
				t.Errorf("%q: %v, want an error", text, samples)
			}
			continue
		}
		if err != nil || samples[0].value != float64(want[0]) || samples[1].value != float64(want[0]-want[1]) {
			t.Errorf("%q: %v, %v, want %d bytes and %d free", text, samples, err, want[0], want[1])
		}
	}
}

func TestSwapOfThisMachine(t *testing.T) {
	samples, err := newHostFS("/").readSwap(t.Context())
	if runtime.GOOS == "linux" && err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		if s.value < 0 || math.IsNaN(s.value) {
			t.Errorf("%s is %v", s.metric.Name, s.value)
		}
	}
}

func TestLoad(t *testing.T) {
	load := func(text string) ([]sample, error) {
		return tree(t, map[string]string{"proc/loadavg": text}).readLoad(t.Context())
	}
	samples, err := load("0.14 12.06 301.45 2/94 7820\n")
	if err != nil || samples[0].value != 0.14 || samples[1].value != 12.06 || samples[2].value != 301.45 {
		t.Errorf("%v, %v", samples, err)
	}
	for _, text := range []string{"", "\n", "1 2", "1 2 x", "1 2 -3", "NaN 1 1", "1 Inf 1", "1e99 1 1"} {
		if samples, err := load(text); err == nil || len(samples) > 0 || !strings.Contains(err.Error(), "loadavg") {
			t.Errorf("%q: %v, %v, want an error that names the file", text, samples, err)
		}
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string][2]float64{
		"cpu  1 2 3 4\n":                      {6, 10},
		"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1\n": {27, 36},
		"cpu  1 2 3\n":                        {},
		"cpu0 1 2 3 4\n":                      {},
		"cpu  1 2 3 4x\n":                     {},
		"cpu  1 2 3 4":                        {}, // cut off
		"intr 1":                              {},
	} {
		busy, total, ok := parseTimes([]byte(text))
		if ok != (want != [2]float64{}) || ok && [2]float64{busy, total} != want {
			t.Errorf("%q: %v, %v, %v", text, busy, total, ok)
		}
	}
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte("SwapTotal: 2048 kB\nSwapFree: 1024 kB\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		samples, err := tree(t, map[string]string{"proc/meminfo": string(text)}).readSwap(t.Context())
		if err != nil {
			if len(samples) > 0 {
				t.Errorf("%v beside %v", samples, err)
			}
			return
		}
		if total, used := samples[0].value, samples[1].value; !(used >= 0 && used <= total) || !strings.Contains(string(text), "SwapTotal:") {
			t.Errorf("%v of %v", used, total)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("0.14 0.06 0.45 2/94 7820\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		samples, _ := tree(t, map[string]string{"proc/loadavg": string(text)}).readLoad(t.Context())
		for _, s := range samples {
			if !(s.value >= 0 && s.value <= maxLoad) {
				t.Errorf("load is %v", s.value)
			}
		}
	})
}

func FuzzTimes(f *testing.F) {
	f.Add([]byte("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		busy, total, ok := parseTimes(text)
		if ok && !(busy >= 0 && busy <= total && total <= 8*math.MaxUint64) {
			t.Errorf("busy %v of %v", busy, total)
		}
	})
}
