package cambricon

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi/smitest"
)

// recorded are the tool's runs.
var recorded = smitest.Files{Tool: tool, Ends: map[string]string{
	"info": ".info.txt",
}}

func open(run smi.Runner) gpu.Backend { return New(Options{Run: run}) }

func TestGolden(t *testing.T) { recorded.Goldens(t, "info", open) }

func TestMissingTool(t *testing.T) { smitest.Missing(t, "cambricon", open) }

// TestUnrecognized sees that output of another form gives an error and no MLU.
func TestUnrecognized(t *testing.T) {
	whole := string(smitest.Fixture(t, "mlu370.info.txt"))
	for _, out := range []string{
		"", "\n", "cnmon: command failed\n", "No MLU devices found\n", "================CNMON v5.10.22================\n",
		strings.Replace(whole, "CNMON v", "NEUMON v", 1),
		strings.ReplaceAll(whole, "Card ", "Device "),
		strings.ReplaceAll(whole, "Product Name", "Product"),
		`{"CnmonInfo":[{"CardNum":0,"ProductName":"MLU370-X4"}]}`,
		"+----+\n| CNMON v4.20.11   |\n+----+\n| 0     /   MLU370-X4    v1.1.6 | On          v4.20.11 | 0%          N/A       |\n",
	} {
		devices, err := readDevices([]byte(out))
		if err == nil || len(devices) > 0 {
			t.Errorf("%.60q: got %d MLUs, %v", out, len(devices), err)
		} else if !strings.HasPrefix(err.Error(), tool) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q: error %q", out, err)
		}
	}
	_, err := readDevices([]byte(strings.ReplaceAll(whole, "Card ", "Device ")))
	if err == nil || !strings.Contains(err.Error(), "v5.10.22") {
		t.Errorf("error %v does not name the version", err)
	}
}

// TestCut sees that output that ends early gives no number that the whole does not.
func TestCut(t *testing.T) {
	out := smitest.Fixture(t, "mlu370.info.txt")
	devices, err := readDevices(out)
	if err != nil {
		t.Fatal(err)
	}
	whole := smitest.Numbers(smitest.Page(devices))
	for n := range out {
		cut, _ := readDevices(out[:n])
		for line := range smitest.Numbers(smitest.Page(cut)) {
			if !whole[line] {
				t.Fatalf("cut at byte %d: got %s", n, line)
			}
		}
	}
}

// TestUnits is on lines that were made for it. It sees that units count, and that a number without one gives nothing.
func TestUnits(t *testing.T) {
	devices, err := readDevices([]byte(`================CNMON v6.2.29================
Card 12
    Product Name                   : MLU590-M9
    Firmware                       : v1.5.0
    New Section                    :
        Physical Memory Usage      :
            Total                  : 1 MiB
    Utilization                    :
        MLU Average                : 101 %
        MLU 0                      : 3 %
    Temperature                    :
        Chip                       : 51
    Physical Memory Usage          :
        Total                      : 96 GiB
        Used                       : 1024
    Power                          :
        Usage                      : 43500 mW
        Cap                        : N/A
    PCI                            :
        Domain ID                  : 0000
        Bus num                    : d3
        Device                     : 00
        Function                   : 0
        Max Speed                  : 16 GT/s
        Current Speed              : 8 GT/s
        Max Width                  : x16
        Current Width              : 16
    Processes                      : N/A
`))
	want := []gpu.Device{{
		Identity:    gpu.Identity{Vendor: vendor, Index: "12", Chip: "0", Name: "MLU590-M9", Firmware: "v1.5.0", PCI: "0000:d3:00.0"},
		MemoryTotal: gpu.Known(96 << 30),
		PowerUsed:   gpu.Known(43.5),
		PCIe:        gpu.PCIe{Generation: gpu.Known(3), GenerationMax: gpu.Known(4), WidthMax: gpu.Known(16)},
	}}
	if diff := cmp.Diff(want, devices, smitest.Values()); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestBadMLUCostsNoOther(t *testing.T) {
	devices, err := readDevices([]byte("====CNMON v5.10.22====\nCard 0\n    UUID : x\nCard 1\n    Product Name : MLU370-X4\nCard 1\n    Product Name : MLU370-X8\n"))
	if len(devices) != 1 || devices[0].Name != "MLU370-X4" || err == nil {
		t.Errorf("got %v, %v", devices, err)
	}
}

// TestProcesses sees that a process without its memory does not get another's.
func TestProcesses(t *testing.T) {
	devices, err := readDevices([]byte(`====CNMON v5.10.22====
Card 0
    Product Name                   : MLU370-X4
    Processes                      :
        Process                    : 0
            PID                    : 101
            cmdline                : python -c PID : 7
        Process                    : 1
            PID                    : none
            MLU Memory Usage       : 1 MiB
        Process                    : 2
            PID                    : 103
            MLU Memory Usage       : 3 MiB
`))
	want := []gpu.Process{{PID: 101}, {PID: 103, Memory: gpu.Known(3 << 20)}}
	if err != nil || len(devices) != 1 || !devices[0].ProcessesKnown {
		t.Fatalf("got %v, %v", devices, err)
	}
	if diff := cmp.Diff(want, devices[0].Processes, smitest.Values()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(smitest.Fixture(f, "mlu370.info.txt"))
	f.Add(smitest.Fixture(f, "mlu370_v4.info.txt"))
	f.Fuzz(func(t *testing.T, out []byte) {
		devices, _ := readDevices(out)
		if len(devices) > maxDevices || len(smitest.Page(devices)) > 64*len(out)+1<<16 {
			t.Errorf("%d MLUs of %d bytes", len(devices), len(out))
		}
		for _, d := range devices {
			smitest.CheckDevice(t, &d)
		}
	})
}
