package thead

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
	"github.com/stackscope/stackscope/internal/exposition"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// outputs are the ends of the fixtures' names by the tool's arguments.
var outputs = map[string]string{
	"-q":       ".query.txt",
	"-L":       ".list.txt",
	"":         ".overview.txt",
	"mig -lgi": ".instances.txt",
}

// values compares devices.
var values = cmp.AllowUnexported(gpu.Value{})

// play runs the tool of a case. What the case has no file of is an error, as are other arguments.
func play(name string) smi.Runner {
	return func(_ context.Context, called string, args ...string) ([]byte, error) {
		end, ok := outputs[strings.Join(args, " ")]
		if called != tool || !ok {
			return nil, fmt.Errorf("%s %s: not a command of this tool", called, args)
		}
		out, err := os.ReadFile(filepath.Join("testdata", name+end))
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s %s: %w", called, args, gpu.ErrAbsent)
		}
		return out, err
	}
}

// page is what a worker exports of devices.
func page(devices []gpu.Device) string {
	var w exposition.Writer
	gpu.WriteReading(&w, gpu.Reading{Devices: devices})
	return string(w.Bytes())
}

func cases(t *testing.T, end string) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*" + end)
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), end)
	}
	return files
}

func TestGolden(t *testing.T) {
	for _, name := range cases(t, outputs["-q"]) {
		t.Run(name, func(t *testing.T) {
			b := New(Options{Run: play(name)})
			var got string
			for range 2 { // the second reading knows what the first has found
				r, err := b.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got = page(r.Devices)
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-golden +got, -update rewrites it)\n%s", diff)
			}
		})
	}
}

func TestMissingTool(t *testing.T) {
	b := New(Options{Run: play("no-such-case")})
	if r, err := b.Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) || len(r.Devices) > 0 {
		t.Errorf("got %v, %v, want gpu.ErrAbsent", r, err)
	}
	if b.Vendor() != vendor || b.MinInterval() != smi.Interval || b.Close() != nil {
		t.Error("not the backend that it should be")
	}
}
