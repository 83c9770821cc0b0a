package thead

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi/smitest"
)

// recorded are the tool's runs.
var recorded = smitest.Files{Tool: tool, Ends: map[string]string{
	"-q":       ".query.txt",
	"-L":       ".list.txt",
	"":         ".overview.txt",
	"mig -lgi": ".instances.txt",
}}

func open(run smi.Runner) gpu.Backend { return New(Options{Run: run}) }

func TestGolden(t *testing.T) { recorded.Goldens(t, "-q", open) }

func TestMissingTool(t *testing.T) { smitest.Missing(t, "thead", open) }

func with(name, command string, out []byte, err error) *Backend {
	return New(Options{Run: recorded.Instead(name, command, out, err)})
}

// TestUnrecognized sees that output of another form gives an error and no PPU.
func TestUnrecognized(t *testing.T) {
	query, list := string(smitest.Fixture(t, "zw810.query.txt")), string(smitest.Fixture(t, "zw810.list.txt"))
	for _, c := range []struct{ command, out string }{
		{"-q", ""},
		{"-q", "\n"},
		{"-q", "Option -q is not known\n"},
		{"-q", strings.Replace(query, "PPUSMI LOG", "NVSMI LOG", 1)},
		{"-q", strings.Replace(query, "Attached PPUs  ", "Attached GPUs  ", 1)},
		{"-q", strings.ReplaceAll(query, "PPU 0000", "Device 0000")},
		{"-q", strings.ReplaceAll(query, "Product Name", "Product")},
		{"-q", strings.ReplaceAll(query, "PPU UUID", "UUID")},
		{"-L", ""},
		{"-L", strings.ReplaceAll(list, "PPU 0", "GPU 0")},
		{"-L", strings.ReplaceAll(list, "PPU 1:", "PPU 0:")},
		{"-L", strings.ReplaceAll(list, "UUID", "PCI")},
	} {
		r, err := with("zw810", c.command, []byte(c.out), nil).Read(t.Context())
		if err == nil || len(r.Devices) > 0 {
			t.Errorf("%s %.60q: got %d PPUs, %v", c.command, c.out, len(r.Devices), err)
		} else if !strings.HasPrefix(err.Error(), tool) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %.60q: error %q", c.command, c.out, err)
		}
	}
}

// TestCut sees that output that ends early gives no number that the whole does not, and an error.
func TestCut(t *testing.T) {
	for _, c := range []struct{ name, command, end string }{
		{"zw810", "-q", ".query.txt"}, {"mig", "", ".overview.txt"}, {"mig", "mig -lgi", ".instances.txt"}, {"mig", "-L", ".list.txt"},
	} {
		out := smitest.Fixture(t, c.name+c.end)
		r, err := with(c.name, c.command, out, nil).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		whole := smitest.Numbers(smitest.Page(r.Devices))
		for n := range out {
			cut, _ := with(c.name, c.command, out[:n], nil).Read(t.Context())
			for line := range smitest.Numbers(smitest.Page(cut.Devices)) {
				// A slice that is not listed goes by its number.
				if !whole[line] && !strings.Contains(line, "gpu_slice_") {
					t.Fatalf("%s cut at byte %d: got %s", c.end, n, line)
				}
			}
		}
	}
	half := smitest.Fixture(t, "zw810.query.txt")
	half = half[:strings.Index(string(half), "PPU 00000000:7E:00.0")]
	if r, err := with("zw810", "-q", half, nil).Read(t.Context()); err == nil || len(r.Devices) != 1 {
		t.Errorf("a PPU is missing: got %d PPUs, %v", len(r.Devices), err)
	}
}

// TestMadeLines is on lines that were made for it, of names and units in the manual.
func TestMadeLines(t *testing.T) {
	ppus, err := readPPUs([]byte(`==============PPUSMI LOG==============
Attached PPUs                               : 1
PPU 00000001:C9:00.0
    Product Name                            : PPU-ZW810E
    PPU UUID                                : PPU-1
    VBIOS Version                           : 1.2
    New Section
        Memory Usage
            Total                           : 1 MiB
    PCI
        PPU Link Info
            PCIe Generation
                Max                         : 5
                Current                     : 4
            Link Width
                Max                         : 16x
                Current                     : 8x
        Replays Since Reset                 : 3
        Tx Throughput                       : 2 KB/s
        Rx Throughput                       : 4
    Fan Speed                               : 30 %
    Clocks Throttle Reasons
        Idle                                : Active
        Applications Clocks Setting         : Not Active
        SW Power Cap                        : Active
        HW Slowdown                         : Active
            HW Thermal Slowdown             : Active
            HW Power Brake Slowdown         : Not Active
        SW Thermal Slowdown                 : N/A
    Memory Usage
        Total                               : 96 GiB
        Used                                : 248
    Utilization
        Ppu                                 : 101 %
    Temperature
        PPU Current Temp                    : 42
    Power Readings
        Power Draw                          : 51990 mW
        Power Limit                         : 400.00 W
        Enforced Power Limit                : N/A
    Retired Pages
        Single Bit ECC                      : 2
        Pending Page Blacklist              : Yes
`))
	want := []device{{Device: gpu.Device{
		Identity:    gpu.Identity{Vendor: vendor, Chip: "0", Name: "PPU-ZW810E", UUID: "PPU-1", PCI: "0001:c9:00.0", Firmware: "1.2"},
		MemoryTotal: gpu.Known(96 << 30),
		PowerUsed:   gpu.Known(51.99), PowerLimit: gpu.Known(400),
		Fans: []gpu.Fan{{Name: "0", Speed: gpu.Known(0.3)}},
		PCIe: gpu.PCIe{
			Generation: gpu.Known(4), GenerationMax: gpu.Known(5), Width: gpu.Known(8), WidthMax: gpu.Known(16),
			Replays: gpu.Known(3), Transmit: gpu.Known(2048),
		},
		ThrottleKnown: true,
		Throttles:     []gpu.Throttle{gpu.ThrottlePowerCap, gpu.ThrottleThermalHW},
		ThrottleReasons: []gpu.Throttle{
			gpu.ThrottleUserClocks, gpu.ThrottlePowerCap, gpu.ThrottleThermalHW, gpu.ThrottlePowerBrake,
		},
		Remapped:        []gpu.Remapped{{Cause: gpu.Corrected, Count: 2}},
		RowRemapPending: gpu.Known(1),
	}}}
	if diff := cmp.Diff(want, ppus, smitest.Values(), cmp.AllowUnexported(device{})); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// TestTablesThatFail sees that PPUs stay when what is known of their MIG devices cannot be read.
func TestTablesThatFail(t *testing.T) {
	for _, c := range []struct {
		command, out string
		slices       int
	}{
		{"", "Error\n", 0}, // no table of MIG devices
		{"", strings.Replace(string(smitest.Fixture(t, "mig.overview.txt")), "PPU  GI  CI  MIG", "PPU  CI  GI  MIG", 1), 0},
		{"", strings.Replace(string(smitest.Fixture(t, "mig.overview.txt")), "|  1   0   2    0  |", "|  1   0   2       |", 1), 1},
		{"mig -lgi", "Error\n", 2},
		{"mig -lgi", strings.Replace(string(smitest.Fixture(t, "mig.instances.txt")), "Profile  Instance", "Instance  Profile", 1), 2},
	} {
		r, err := with("mig", c.command, []byte(c.out), nil).Read(t.Context())
		if len(r.Devices) != 2 {
			t.Fatalf("%q %q: got %d PPUs, %v", c.command, c.out, len(r.Devices), err)
		}
		if got := len(r.Devices[1].Slices); got != c.slices || c.out != "Error\n" && err == nil {
			t.Errorf("%q %q: got %d slices, %v", c.command, c.out, got, err)
		}
	}
	fails := errors.New("ppu-smi: exit status 1")
	if r, err := with("mig", "", nil, fails).Read(t.Context()); len(r.Devices) != 2 || !errors.Is(err, fails) {
		t.Errorf("got %v, %v", r, err)
	}
}

// TestAmbiguousInstance sees that a process is on no slice if two could be meant.
func TestAmbiguousInstance(t *testing.T) {
	d := gpu.Device{
		Slices:    []gpu.Slice{{UUID: "a", ComputeInstance: "0"}, {UUID: "b", ComputeInstance: "0"}, {UUID: "c", ComputeInstance: "1"}},
		Processes: []gpu.Process{{PID: 1, Slice: "0"}, {PID: 2, Slice: "1"}, {PID: 3}, {PID: 4, Slice: "9"}},
	}
	nameSlices(&d)
	var got []string
	for _, p := range d.Processes {
		got = append(got, p.Slice)
	}
	if !slices.Equal(got, []string{"", "c", "", ""}) {
		t.Errorf("got %q", got)
	}
}

func TestDriverNotLoaded(t *testing.T) {
	b := with("zw810", "-q", nil, errors.New("ppu-smi -q: exit status 1: init HGML error: driver is not loaded"))
	if _, err := b.Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) {
		t.Errorf("got %v, want gpu.ErrAbsent", err)
	}
	b.RecordDevices([]gpu.Device{{}})
	if _, err := b.Read(t.Context()); errors.Is(err, gpu.ErrAbsent) {
		t.Errorf("after there were PPUs: got %v", err)
	}
}

// TestListThatFails sees that PPUs keep their index when the list, which is asked for with each reading where MIG is on, fails.
func TestListThatFails(t *testing.T) {
	run := recorded.Play("mig")
	b := open(func(ctx context.Context, name string, args ...string) ([]byte, error) { return run(ctx, name, args...) })
	if _, err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	fails := errors.New("ppu-smi: exit status 1")
	run = recorded.Instead("mig", "-L", nil, fails)
	if r, err := b.Read(t.Context()); !errors.Is(err, fails) || len(r.Devices) != 2 || len(r.Devices[1].Slices) != 2 {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { smitest.Stuck(t, recorded.Play("mig"), "mig -lgi", open) })
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"zw810", "mig"} {
		f.Add(smitest.Fixture(f, name+".query.txt"), smitest.Fixture(f, name+".list.txt"), smitest.Fixture(f, "mig.overview.txt"), smitest.Fixture(f, "mig.instances.txt"))
	}
	f.Fuzz(func(t *testing.T, query, list, overview, instances []byte) {
		outputs := map[string][]byte{"-q": query, "-L": list, "": overview, "mig -lgi": instances}
		b := New(Options{Run: func(_ context.Context, _ string, args ...string) ([]byte, error) {
			return outputs[strings.Join(args, " ")], nil
		}})
		r, _ := b.Read(t.Context())
		if size := len(query) + len(list) + len(overview) + len(instances); len(r.Devices) > maxDevices || len(smitest.Page(r.Devices)) > 256*size+1<<16 {
			t.Errorf("%d PPUs of %d bytes", len(r.Devices), size)
		}
		for _, d := range r.Devices {
			smitest.CheckDevice(t, &d)
		}
	})
}
