package iluvatar

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi/smitest"
)

// recorded are the tool's runs.
var recorded = smitest.Files{Tool: tool, Ends: map[string]string{
	"-q -x":                               ".query.xml",
	"--query-gpu=index,uuid --format=csv": ".index.csv",
}}

func open(run smi.Runner) gpu.Backend { return New(Options{Run: run}) }

func TestGolden(t *testing.T) { recorded.Goldens(t, "-q -x", open) }

func TestMissingTool(t *testing.T) { smitest.Missing(t, "iluvatar", open) }

// TestDamagedQuery sees that output that is not whole, or not of this tool, gives an error and no GPU.
func TestDamagedQuery(t *testing.T) {
	whole := strings.TrimSpace(string(smitest.Fixture(t, "mrv100.query.xml")))
	bad := []string{"", "ixsmi: error while loading shared libraries\n", "<nvidia_smi_log></nvidia_smi_log>", strings.ReplaceAll(whole, "ixsmi_log", "smi_log")}
	for n := 0; n < len(whole); n += 31 {
		bad = append(bad, whole[:n])
	}
	for _, out := range bad {
		devices, err := readDevices([]byte(out))
		if err == nil || len(devices) > 0 {
			t.Errorf("%.60q: got %d GPUs, %v", out, len(devices), err)
		} else if !strings.HasPrefix(err.Error(), tool) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q: error %q", out, err)
		}
	}
}

// TestCommandLines sees that a process cannot cost the GPUs their data, whatever its command line is.
func TestCommandLines(t *testing.T) {
	whole := string(smitest.Fixture(t, "mrv100.query.xml"))
	want, err := readDevices([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"a < b && c", "\xff\xfe", "<gpu><used>", "]]>", "a\nb"} {
		got, err := readDevices([]byte(strings.Replace(whole, "/usr/local/bin/python3", command, 1)))
		if diff := cmp.Diff(want, got, smitest.Values()); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got)\n%s", command, err, diff)
		}
	}
}

// TestUnits sees that units count, and that a number without one gives nothing.
func TestUnits(t *testing.T) {
	devices, err := readDevices([]byte(`<ixsmi_log><gpu><uuid>GPU-1</uuid><new><er>1</er></new><memory_usage><total>32 GiB</total><used>116</used></memory_usage>
		<fan_speed>30 %</fan_speed><temperature><gpu_temp>44</gpu_temp></temperature><utilization><gpu_util>101 %</gpu_util></utilization>
		<pci><pci_bus_id>N/A</pci_bus_id><tx_util>2 MB/s</tx_util><rx_util>7 KB</rx_util></pci></gpu></ixsmi_log>`))
	want := []gpu.Device{{
		Identity:    gpu.Identity{Vendor: vendor, Chip: "0", UUID: "GPU-1"},
		MemoryTotal: gpu.Known(32 << 30),
		Fans:        []gpu.Fan{{Name: "0", Speed: gpu.Known(0.3)}},
		PCIe:        gpu.PCIe{Transmit: gpu.Known(2 << 20)},
	}}
	if diff := cmp.Diff(want, devices, smitest.Values()); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// TestBoardPower sees that the power of a board with several chips is not told as one chip's.
func TestBoardPower(t *testing.T) {
	const form = `<ixsmi_log><gpu><multigpu_board>%</multigpu_board><power_readings><gpu_power_draw>N/A</gpu_power_draw>
		<board_power_draw>93 W</board_power_draw><current_board_power_limit>350 W</current_board_power_limit></power_readings></gpu></ixsmi_log>`
	for multi, want := range map[string]gpu.Value{"No": gpu.Known(93), "Yes": {}, "N/A": {}} {
		devices, err := readDevices([]byte(strings.Replace(form, "%", multi, 1)))
		if err != nil || len(devices) != 1 || devices[0].PowerUsed != want {
			t.Errorf("%s: got %v, %v", multi, devices, err)
		}
	}
}

// TestIndexes sees that GPUs have the index that the tool gives to their UUID, whatever the order.
func TestIndexes(t *testing.T) {
	const u0, u1 = "GPU-1ac807aa-cbcd-5579-8591-d59d436d6eca", "GPU-be5622c9-df8e-56fb-8586-86e94d57c938"
	query := recorded.Play("mrv100")
	for _, c := range []struct {
		name, out string
		want      []string
		bad       bool
	}{
		{"turned round", "index, uuid\n4, " + u1 + "\n7, " + u0 + "\n", []string{"7", "4"}, false},
		{"other columns", "uuid, serial, index\n" + u0 + ", 2349, 0\n" + u1 + ", 2350, 1\n", []string{"0", "1"}, false},
		{"one is missing", "index, uuid\n0, " + u0 + "\n", []string{"0"}, true},
		{"twice", "index, uuid\n0, " + u0 + "\n0, " + u1 + "\n", nil, true},
		{"no index", "uuid, name\n" + u0 + ", Iluvatar MR-V100\n", nil, true},
		{"not a number", "index, uuid\nN/A, " + u0 + "\n", nil, true},
		{"garbage", "Error: Unknown option\n", nil, true},
		{"a bad row beside a good one", "index, uuid\n0, " + u0 + "\nN/A, " + u1 + "\n", []string{"0"}, true},
		{"a row cut off beside a good one", "index, uuid\n" + u0 + "\n1, " + u1 + "\n", []string{"1"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			b := New(Options{Run: func(ctx context.Context, name string, args ...string) ([]byte, error) {
				if args[0] == "-q" {
					return query(ctx, name, args...)
				}
				asked++
				return []byte(c.out), nil
			}})
			for range 3 {
				r, err := b.Read(t.Context())
				var got []string
				for _, d := range r.Devices {
					got = append(got, d.Index)
				}
				if !slices.Equal(got, c.want) || (err != nil) != c.bad {
					t.Errorf("got %q, %v", got, err)
				}
			}
			if !c.bad && asked != 1 {
				t.Errorf("asked %d times for indexes that are known", asked)
			}
		})
	}
}

// TestIndexesHold sees that GPUs keep their index when it cannot be asked for.
func TestIndexesHold(t *testing.T) {
	run := recorded.Play("mrv100")
	b := open(func(ctx context.Context, name string, args ...string) ([]byte, error) { return run(ctx, name, args...) })
	if _, err := b.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	query := bytes.Replace(smitest.Fixture(t, "mrv100.query.xml"), []byte("GPU-be5622c9"), []byte("GPU-ffffffff"), 1)
	run = func(_ context.Context, _ string, args ...string) ([]byte, error) {
		if args[0] == "-q" {
			return query, nil
		}
		return nil, errors.New("ixsmi: exit status 1")
	}
	if r, err := b.Read(t.Context()); err == nil || len(r.Devices) != 1 || r.Devices[0].Index != "0" {
		t.Errorf("got %v, %v", r, err)
	}
}

// TestNoGPUs sees that a tool that sees no GPU is no such machine, unless it had some: then they are lost.
func TestNoGPUs(t *testing.T) {
	for name, none := range map[string]smi.Runner{
		"fails": func(context.Context, string, ...string) ([]byte, error) {
			return nil, errors.New("ixsmi -q -x: exit status 1: No supported GPUs found")
		},
		"says so": func(context.Context, string, ...string) ([]byte, error) {
			return []byte("No supported GPUs found\n"), nil
		},
		"lists none": func(context.Context, string, ...string) ([]byte, error) {
			return []byte("<ixsmi_log></ixsmi_log>\n"), nil
		},
	} {
		if _, err := open(none).Read(t.Context()); !errors.Is(err, gpu.ErrAbsent) {
			t.Errorf("%s: got %v, want gpu.ErrAbsent", name, err)
		}
		run := recorded.Play("mrv100")
		b := open(func(ctx context.Context, name string, args ...string) ([]byte, error) { return run(ctx, name, args...) })
		if _, err := b.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		run = none
		if r, err := b.Read(t.Context()); err != nil || len(r.Devices) != 0 {
			t.Errorf("%s, after there were GPUs: got %v, %v, want an empty reading", name, r, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(smitest.Fixture(f, "mrv100.query.xml"), smitest.Fixture(f, "mrv100.index.csv"))
	f.Add(smitest.Fixture(f, "mrv100_missing.query.xml"), []byte("uuid, index\n"))
	f.Fuzz(func(t *testing.T, query, csv []byte) {
		b := New(Options{Run: func(_ context.Context, _ string, args ...string) ([]byte, error) {
			if args[0] == "-q" {
				return query, nil
			}
			return csv, nil
		}})
		r, _ := b.Read(t.Context())
		for i := range r.Devices {
			smitest.CheckDevice(t, &r.Devices[i])
		}
		if len(r.Devices) > maxDevices || len(smitest.Page(r.Devices)) > 64*len(query)+1<<16 {
			t.Errorf("%d GPUs of %d bytes", len(r.Devices), len(query))
		}
	})
}
