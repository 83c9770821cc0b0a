package metax

import (
	"context"
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi/smitest"
)

var update = flag.Bool("update", false, "write the golden files")

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".txt")
		t.Run(filepath.Base(name), func(t *testing.T) {
			b := New(Options{Run: smitest.Recorded(t, file).Run})
			defer b.Close()
			r, err := b.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			smitest.Golden(t, name+".golden", smitest.Page(r), *update)
		})
	}
}

func TestProcesses(t *testing.T) {
	const mib = 1 << 20
	for name, want := range map[string]map[string][]gpu.Process{
		"c550-2.1.12": {
			"0": nil,
			"2": {{PID: 3496691, Memory: gpu.Known(4066 * mib)}, {PID: 3496692, Memory: gpu.Known(102 * mib)}},
			"3": {{PID: 3496692, Memory: gpu.Known(4154 * mib)}, {PID: 3496698, Memory: gpu.Known(49900 * mib)}},
		},
		"n260-2.2.8": {"0": nil, "1": nil},
	} {
		r, err := New(Options{Run: smitest.Recorded(t, "testdata/"+name+".txt").Run}).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]gpu.Process{}
		for _, d := range r.Devices {
			got[d.Index] = d.Processes
			if !d.ProcessesKnown {
				t.Errorf("%s: the processes of card %s were told", name, d.Index)
			}
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b gpu.Value) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestMissingTool(t *testing.T) {
	b := New(Options{Run: smitest.Absent})
	if b.Vendor() != "metax" || b.MinInterval() <= 0 {
		t.Error(b.Vendor(), b.MinInterval())
	}
	if _, err := b.Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) {
		t.Errorf("got %v, want ErrAbsent", err)
	}
}

// A part that is not as it should be costs its own card and nothing else.
func TestFaults(t *testing.T) {
	const file = "testdata/c500-2.3.1.txt"
	good := smitest.Recorded(t, file).Output("mx-smi")
	replace := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the fixture", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for _, test := range []struct {
		name, out string
		cards     string // indexes of those that are read
		want      string // in the error
	}{
		{"nothing", "", "", `mx-smi: output not recognized: a row with its and the driver's version: got ""`},
		{"text", "mx-smi: command failed\n", "", "a row with its and the driver's version"},
		{"another maker's tool of that name", "│MOFFETT-SMI 2.3.0 Driver Version 3.5.2│\n", "", "a row with its and the driver's version"},
		{"no Bus-id", replace("| Bus-id              | GPU-Util", "| Address             | GPU-Util"), "", "mx-smi 2.3.1: output not recognized: the table's two header rows"},
		{"a new column", replace("GPU-Util      sGPU-M |", "GPU-Util        XYZ-M |"), "0 2 3", `the header: got "GPU-Util XYZ-M"`},
		{"a row cut off", replace("| 348W / NA        | 63C          P0 | 60982/65536 MiB     | Available            |\n", ""), "0 3", "a card's second row"},
		{"cells missing", replace("| 2           Off | 0000:13:00.0        |", "| 0000:13:00.0        |"), "0 3", "a card's first row"},
		{"a process on no card", replace("|  2                      2477", "|  9                      2477"), "0 2 3", "a row of a process"},
		{"another header of processes", replace("PID         Process Name", "Type PID    Process Name"), "0 2 3", "the header of the processes"},
		{"cut", good[:strings.Index(good, "| 348W / NA")], "0", "a card's second row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tool := smitest.Recorded(t, file)
			tool.Set("mx-smi", test.out, 0)
			r, err := New(Options{Run: tool.Run}).Read(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			var cards []string
			for _, d := range r.Devices {
				cards = append(cards, d.Index)
			}
			if got := strings.Join(cards, " "); got != test.cards {
				t.Errorf("read cards %q, want %q", got, test.cards)
			}
		})
	}
	t.Run("list", func(t *testing.T) {
		tool := smitest.Recorded(t, file)
		tool.Set("mx-smi -L", "nothing\n", 0)
		r, err := New(Options{Run: tool.Run}).Read(t.Context())
		if err == nil || !strings.Contains(err.Error(), "mx-smi -L: output not recognized") || len(r.Devices) != 3 {
			t.Errorf("got %d cards, %v", len(r.Devices), err)
		}
	})
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		f.Add([]byte(smitest.Recorded(f, file).Output("mx-smi")))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		all := func(context.Context, string, ...string) ([]byte, error) { return out, nil }
		r, err := New(Options{Run: all}).Read(t.Context())
		if err == nil && len(r.Devices) == 0 {
			t.Error("neither cards nor an error")
		}
		if len(r.Devices) > maxCards {
			t.Errorf("%d cards", len(r.Devices))
		}
		for _, d := range r.Devices {
			if d.Index == "" || d.Name == "" {
				t.Errorf("identity %+v", d.Identity)
			}
			if v, ok := d.Utilization.Get(); ok && (v < 0 || v > 1) {
				t.Errorf("utilization %v", v)
			}
			used, _ := d.MemoryUsed.Get()
			if total, ok := d.MemoryTotal.Get(); ok && used > total {
				t.Errorf("memory %v of %v", used, total)
			}
		}
	})
}
