package gpu

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

var update = flag.Bool("update", false, "write golden files anew")

// fullDevice is a GPU that offers everything.
func fullDevice() Device {
	return Device{
		Identity: Identity{
			Vendor: "nvidia", Index: "3", Chip: "0", Name: "NVIDIA H100 80GB HBM3", UUID: "GPU-0000aaaa", PCI: "0000:3b:00.0",
			Driver: "570.86.15", Firmware: "96.00.74.00.01",
		},
		Cores: Known(16896), Utilization: Known(0.123456789), SMActive: Known(0.5), SMOccupancy: Known(0.25), TensorActive: Known(0.125), DRAMActive: Known(1.02),
		Temperature: Known(61), MemoryTemperature: Known(72), PowerUsed: Known(512.5), PowerLimit: Known(700), Energy: Known(1234567.891),
		MemoryTotal: Known(85899345920), MemoryUsed: Known(21474836480),
		Clocks:        []Clock{{Part: "sm", Now: Known(1.485e9), Max: Known(1.98e9)}, {Part: "memory", Now: Known(2.619e9), Max: Known(2.619e9)}, {Part: "video", Now: Known(1.5e9)}},
		Fans:          []Fan{{"0", Known(0.42)}},
		Throttles:     []Throttle{ThrottlePowerCap},
		ThrottleKnown: true, ThrottleReasons: []Throttle{ThrottlePowerCap, ThrottleThermal},
		Throttled: []ThrottleTime{{ThrottleThermalHW, 1500 * time.Millisecond}},
		ECC:       []ECC{{Corrected, "dram", 7}, {Uncorrected, "dram", 0}, {Corrected, "sram", 1}},
		Remapped:  []Remapped{{Corrected, 2}, {Uncorrected, 1}}, RowRemapPending: Known(1), RowRemapFailed: Known(0),
		PCIe: PCIe{Replays: Known(3), Receive: Known(1.5e9), Transmit: Known(2e8), Generation: Known(4), GenerationMax: Known(5), Width: Known(8), WidthMax: Known(16)},
		Links: []Link{
			{Type: "nvlink", Name: "0", Up: Known(1), Received: Known(1e12), Transmitted: Known(2e12), Errors: []LinkError{{"crc", 4}, {"replay", 0}}},
			{Type: "nvlink", Name: "1", Up: Known(0), ReceiveRate: Known(10), TransmitRate: Known(20)},
		},
		Slices: []Slice{{
			Name: "0", UUID: "MIG-1111bbbb", Profile: "1g.10gb", GPUInstance: "7", ComputeInstance: "0",
			MemoryTotal: Known(10200547328), MemoryUsed: Known(1e9), Utilization: Known(0.75),
		}},
	}
}

func text(r Reading) string {
	var w exposition.Writer
	WriteReading(&w, r)
	return string(w.Bytes())
}

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
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", name, diff)
	}
}

func TestFullDevice(t *testing.T) {
	poor := Device{Identity: Identity{Vendor: "nvidia", Index: "4", Chip: "0", Name: `Card "B"`}, Temperature: Known(40)}
	lost := Device{Identity: Identity{Vendor: "nvidia", Index: "5", Chip: "0", Name: "NVIDIA H100 80GB HBM3", UUID: "GPU-0000cccc"}, Lost: true, Temperature: Known(40)}
	got := text(Reading{Devices: []Device{fullDevice(), poor, lost}})
	golden(t, "full.golden", got)
	apart := []string{ // not of one reading, or another package's
		catalog.GPUErrorEvents.Name, catalog.GPUErrorLastTimestamp.Name, catalog.GRAMAllocated.Name, catalog.GPUMemoryUnaccounted.Name,
		catalog.GPUExpected.Name, catalog.GPUPresent.Name, catalog.GPULost.Name, catalog.GPUDriverResponsive.Name,
	}
	for _, m := range catalog.GPU {
		has := strings.Contains(got, "# TYPE "+m.WireName()+" "+string(m.Type)+"\n")
		if want := !slices.Contains(apart, m.Name); has != want {
			t.Errorf("%s on the page: %t, want %t", m.WireName(), has, want)
		}
	}
}

func TestFamiliesInCatalogOrder(t *testing.T) {
	var got, want []string
	for _, f := range families {
		got = append(got, f.metric.Name)
	}
	for _, m := range catalog.GPU {
		if slices.Contains(got, m.Name) {
			want = append(want, m.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSamplesCarryDeclaredLabels(t *testing.T) {
	d := fullDevice()
	c := firstStatus(&d)
	c.events = []eventTotal{{"xid", "79", SeverityCritical, 2, time.Unix(1700000000, 0), false}}
	var b builder
	b.build([]deviceStatus{c})
	if len(b.errs) > 0 {
		t.Error(b.errs)
	}
	for _, s := range b.samples {
		var parsed exposition.Sample
		if err := parsed.Parse([]byte("x{" + string(s.labels) + "} 1")); err != nil {
			t.Fatalf("%s{%s}: %v", s.metric.Name, s.labels, err)
		}
		for _, l := range parsed.Labels {
			if !slices.Contains(s.metric.Labels, string(l.Name)) {
				t.Errorf("%s has undeclared label %s", s.metric.Name, l.Name)
			}
		}
	}
}

func TestImplausibleIsAbsent(t *testing.T) {
	id := Identity{Vendor: "x", Index: "0", Chip: "0", Name: "X"}
	nan, inf := Known(math.NaN()), Known(math.Inf(1))
	bad := Device{
		Identity: id, Cores: Known(-1), Utilization: Known(1.6), SMActive: nan, SMOccupancy: inf, TensorActive: Known(-0.1), DRAMActive: Known(100),
		Temperature: Known(65535), MemoryTemperature: nan, PowerUsed: Known(-5), PowerLimit: Known(0), Energy: nan,
		MemoryTotal: Known(100), MemoryUsed: Known(120),
		Clocks: []Clock{{"sm", nan, inf}}, Fans: []Fan{{"0", Known(-1)}}, ECC: []ECC{{Corrected, "dram", -1}}, Remapped: []Remapped{{Corrected, math.NaN()}},
		RowRemapPending: Known(2), RowRemapFailed: Known(-1), Throttled: []ThrottleTime{{ThrottleThermal, -time.Second}},
		PCIe:  PCIe{inf, Known(-1), nan, Known(0), Known(255), Known(0), Known(255)},
		Links: []Link{{Type: "nvlink", Name: "0", Up: Known(3), Received: nan, Transmitted: Known(-1), ReceiveRate: inf, TransmitRate: Known(-1), Errors: []LinkError{{"crc", math.Inf(-1)}}}},
	}
	var got []string
	for line := range strings.Lines(text(Reading{Devices: []Device{bad}})) {
		if name, _, _ := strings.Cut(line, "{"); !strings.HasPrefix(line, "#") {
			got = append(got, strings.TrimPrefix(name, "gpustack:"))
		}
	}
	want := []string{"worker_node_gpu_info", "worker_node_gpu_info", "worker_node_gram_total_bytes", "gpu_up", "gpu_recommended_action"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	good := text(Reading{Devices: []Device{{
		Identity: id, Utilization: Known(1.2), MemoryTotal: Known(100), MemoryUsed: Known(104),
		Clocks: []Clock{{"sm", Known(2e9), Known(1e9)}},
	}}})
	for _, want := range []string{"gpu_utilization_rate{gpu_index=\"0\",gpu_name=\"X\",gpu_chip_index=\"0\"} 100\n", "gram_used_bytes{gpu_index=\"0\",gpu_name=\"X\",gpu_chip_index=\"0\"} 100\n", "clock=\"sm\"} 0\n"} {
		if !strings.Contains(good, want) {
			t.Errorf("no %q in\n%s", want, good)
		}
	}
}

func TestRatesAsGPUStackWritesThem(t *testing.T) {
	for _, c := range []struct{ part, whole, want float64 }{{1, 3, 33.3333}, {2, 3, 66.6667}, {0.123456789, 1, 12.3457}, {1, 1, 100}} {
		if got := rate(c.part, c.whole); got != c.want {
			t.Errorf("rate(%v, %v) = %v, want %v", c.part, c.whole, got, c.want)
		}
	}
}

func TestTwiceIsLeftOut(t *testing.T) {
	a, b := fullDevice(), fullDevice()
	b.UUID, b.Temperature = "GPU-other", Known(99)
	a.Fans = []Fan{{"0", Known(0.1)}, {"0", Known(0.2)}}
	nameless := Device{Identity: Identity{Vendor: "nvidia", UUID: "GPU-no-index"}}
	got := text(Reading{Devices: []Device{a, b, nameless}})
	seen := map[string]bool{}
	for line := range strings.Lines(got) {
		series, _, _ := strings.Cut(line, "} ")
		if seen[series] {
			t.Errorf("twice: %s", series)
		}
		seen[series] = true
	}
	if strings.Contains(got, "} 99\n") || strings.Contains(got, "GPU-no-index") {
		t.Error("the second GPU or the one without index is there")
	}
	devices := []Device{a, b, nameless}
	keep, err := distinct(devices)
	if len(keep) != 1 || err == nil || !strings.Contains(err.Error(), "GPUs GPU-0000aaaa and GPU-other are both index 3, chip 0") || !strings.Contains(err.Error(), "GPU-no-index has no index") {
		t.Errorf("%v, %v", keep, err)
	}
	c := firstStatus(&devices[0])
	var build builder
	build.build([]deviceStatus{c})
	if len(build.errs) != 1 || !strings.Contains(build.errs[0].Error(), `gpu_fan_speed_ratio{`) {
		t.Errorf("%v", build.errs)
	}
}

func TestSliceIsNotDividedByTheGPU(t *testing.T) {
	got := text(Reading{Devices: []Device{fullDevice()}})
	for _, want := range []string{`gpu_slice_memory_total_bytes{gpu_index="3",gpu_name="NVIDIA H100 80GB HBM3",gpu_chip_index="0",slice="0"} 10200547328`, `slice="0"} 0.75`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q", want)
		}
	}
}

func TestRecommendedAction(t *testing.T) {
	event := func(kind, code string) []eventTotal { return []eventTotal{{kind: kind, code: code, count: 1}} }
	for name, c := range map[string]struct {
		findings findings
		action   Action
		reason   string
	}{
		"nothing wrong":      {findings{device: &Device{}}, ActionNone, ""},
		"unread":             {findings{}, ActionNone, ""},
		"driver":             {findings{device: &Device{Action: ActionDrain}}, ActionDrain, reasonDriver},
		"driver says none":   {findings{device: &Device{Action: ActionNone}}, ActionNone, ""},
		"driver says noise":  {findings{device: &Device{Action: "panic"}}, ActionNone, ""},
		"lost":               {findings{lost: true}, ActionReboot, reasonLost},
		"still lost":         {findings{lost: true, stillLost: true}, ActionReplace, reasonStillLost},
		"remap waits":        {findings{device: &Device{RowRemapPending: Known(1)}}, ActionReset, reasonRemapWaits},
		"remap failed":       {findings{device: &Device{RowRemapPending: Known(1), RowRemapFailed: Known(1), Action: ActionReset}}, ActionReplace, reasonRemapFailed},
		"corrected":          {findings{device: &Device{ECC: []ECC{{Corrected, "dram", 9}, {Uncorrected, "dram", 0}}}}, ActionNone, ""},
		"uncorrected":        {findings{device: &Device{ECC: []ECC{{Uncorrected, "sram", 1}}}}, ActionReset, reasonUncorrected},
		"application":        {findings{events: event("xid", "31")}, ActionRestartApp, "xid 31"},
		"fallen off the bus": {findings{events: append(event("xid", "31"), event("xid", "79")...)}, ActionReboot, "xid 79"},
	} {
		if action, reason := c.findings.action(); action != c.action || reason != c.reason {
			t.Errorf("%s: %q because %q, want %q because %q", name, action, reason, c.action, c.reason)
		}
	}
}

func TestXIDs(t *testing.T) {
	for code, want := range map[string]struct {
		severity Severity
		action   Action
	}{
		"13": {SeverityInfo, ActionRestartApp}, "31": {SeverityInfo, ActionRestartApp}, "43": {SeverityInfo, ActionNone}, "45": {SeverityInfo, ActionNone},
		"48": {SeverityCritical, ActionReset}, "63": {SeverityWarning, ActionNone}, "64": {SeverityCritical, ActionReset}, "74": {SeverityCritical, ActionReset},
		"79": {SeverityCritical, ActionReboot}, "92": {SeverityWarning, ActionNone}, "94": {SeverityWarning, ActionRestartApp}, "95": {SeverityCritical, ActionReset},
		"119": {SeverityCritical, ActionReset}, "120": {SeverityCritical, ActionReset}, "9999": {SeverityWarning, ActionNone}, "": {SeverityWarning, ActionNone},
	} {
		if severity, action := classify("xid", code); severity != want.severity || action != want.action {
			t.Errorf("xid %s: %s, %s; want %s, %s", code, severity, action, want.severity, want.action)
		}
	}
}
