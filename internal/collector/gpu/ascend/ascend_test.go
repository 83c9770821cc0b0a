package ascend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi/smitest"
)

func open(run smi.Runner) gpu.Backend { return New(Options{Run: run}) }

func TestGolden(t *testing.T) { smitest.Goldens(t, open) }

func TestMissingTool(t *testing.T) { smitest.Missing(t, "ascend", open) }

func TestProcesses(t *testing.T) {
	type addChip struct {
		Place     string
		Known     bool
		Processes []gpu.Process
	}
	const mib = 1 << 20
	for name, want := range map[string][]addChip{
		"910b-24.1.rc2": {
			{"0/0", true, []gpu.Process{{PID: 48988, Memory: gpu.Known(57210 * mib)}, {PID: 48990, Memory: gpu.Known(134 * mib)}}},
			{"1/0", true, nil},
			{"4/0", true, nil},
			{"5/0", false, nil},
		},
		"310p-duo-25.5.0": {
			{"1/0", true, []gpu.Process{{PID: 2234562, Memory: gpu.Known(36120 * mib)}}},
			{"1/1", true, []gpu.Process{{PID: 2234563, Memory: gpu.Known(36180 * mib)}}},
			{"2/0", true, nil},
			{"2/1", true, nil},
		},
		"310p-22.0.0": {{"0/0", false, nil}, {"1/0", false, nil}},
		"a3-26.0.rc1": {
			{"0/0", true, []gpu.Process{{PID: 632268, Memory: gpu.Known(197 * mib)}}},
			{"0/1", true, nil},
			{"7/0", true, nil},
			{"7/1", true, []gpu.Process{{PID: 632301, Memory: gpu.Known(28990 * mib)}}},
		},
		"950-25.7.rc1.6": {{"0/0", true, nil}, {"3/0", true, []gpu.Process{{PID: 1001, Memory: gpu.Known(2560 * mib)}}}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(Options{Run: smitest.Recorded(t, name).Run}).Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []addChip
			for _, d := range r.Devices {
				got = append(got, addChip{place(d.Index, d.Chip), d.ProcessesKnown, d.Processes})
			}
			if diff := cmp.Diff(want, got, smitest.Values()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFailingTool(t *testing.T) {
	tool := smitest.Recorded(t, "910b-24.1.rc2")
	tool.Set("npu-smi info", "dcmi model initialized failed, because the device is used. ret is -8020\n", 172)
	r, err := New(Options{Run: tool.Run}).Read(t.Context())
	if err == nil || errors.Is(err, gpu.ErrAbsent) || !strings.Contains(err.Error(), "ret is -8020") || len(r.Devices) != 0 {
		t.Errorf("got %v, %v", r, err)
	}
}

// A part that is not as it should be costs its own NPU and nothing else.
func TestFaults(t *testing.T) {
	const file = "910b-24.1.rc2"
	good := smitest.Recorded(t, file).Output("npu-smi info")
	replace := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the fixture", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for _, test := range []struct {
		name, out string
		devices   string // indexes of those that are read
		want      string // in the error
	}{
		{"nothing", "", "", `npu-smi: output not recognized: its first row with the version: got ""`},
		{"text", "Command or option is not found.\n", "", `got "Command or option is not found."`},
		{"another tool's table", strings.ReplaceAll(good, "npu-smi", "gpu-smi"), "", "its first row with the version"},
		{"no second header row", replace("| Chip                      | Bus-Id", "| Chip                      | Bus"), "", "npu-smi 24.1.rc2: output not recognized: the table's two header rows"},
		{"columns swapped", replace("AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)", "HBM-Usage(MB)   Memory-Usage(MB)  AICore(%)"), "0 1 4 5", `line 5, the header: got "HBM-Usage(MB) Memory-Usage(MB) AICore(%)"`},
		{"a first row is gone", replace("| 1     910B3               | Warning       | 92.0        39                0    / 0             |\n", ""), "0 4 5", "line 10, a row of an NPU"},
		{"a second row is gone", replace("| 0                         | 0000:C2:00.0  | 0           0    / 0          3314 / 65536         |\n", ""), "0 4 5", "line 12, an NPU's second row"},
		{"an unknown health", replace("| Warning ", "| Strange "), "0 4 5", "a row of an NPU"},
		{"a process without a number", replace("| 48988 ", "| python"), "0 1 4 5", "a row of a process"},
		{"cut", good[:strings.Index(good, "| 0                         | 0000:81:00.0")], "0 1", "an NPU's second row"},
		{"cut within a row", good[:strings.Index(good, "3314 /")], "0", "an NPU's second row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tool := smitest.Recorded(t, file)
			tool.Set("npu-smi info", test.out, 0)
			r, err := New(Options{Run: tool.Run}).Read(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			var devices []string
			for _, d := range r.Devices {
				devices = append(devices, d.Index)
			}
			if got := strings.Join(devices, " "); got != test.devices {
				t.Errorf("read NPUs %q, want %q", got, test.devices)
			}
		})
	}
	t.Run("columns swapped give no numbers", func(t *testing.T) {
		tool := smitest.Recorded(t, file)
		tool.Set("npu-smi info", replace("AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)", "HBM-Usage(MB)   Memory-Usage(MB)  AICore(%)"), 0)
		r, _ := New(Options{Run: tool.Run}).Read(t.Context())
		d := r.Devices[0]
		if none := (gpu.Value{}); d.Utilization != none || d.MemoryTotal != none || d.MemoryUsed != none {
			t.Errorf("got %v, %v, %v", d.Utilization, d.MemoryUsed, d.MemoryTotal)
		}
	})
}

func TestDetailsAreAskedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tool := smitest.Recorded(t, "910b-24.1.rc2")
		b := New(Options{Run: tool.Run})
		if _, err := b.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Identity first: an NPU and its chip each, of the three NPUs that are there.
		if calls := tool.Calls(); len(calls) != 1+6 || calls[1] != "npu-smi info -t board -i 0" {
			t.Errorf("the first reading ran %d commands: %v", len(calls), calls)
		}
		asked := map[string]int{}
		const readings = 12 * 60 // an hour
		for range readings {
			time.Sleep(5 * time.Second)
			if _, err := b.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			calls := tool.Calls()
			if len(calls) > 1+maxRuns {
				t.Fatalf("a reading ran %d commands: %v", len(calls), calls)
			}
			for _, c := range calls {
				asked[c]++
			}
		}
		for command, want := range map[string]int{
			"npu-smi info":                        readings,
			"npu-smi info -t health -i 0":         60,
			"npu-smi info -t ecc -i 1":            60,
			"npu-smi info -t hccs -i 0 -c 0":      12,
			"npu-smi info -t board -i 0":          1,
			"npu-smi info -t health -i 4":         1, // refused
			"npu-smi info -t info-vnpu -i 1 -c 0": 1, // refused
			"npu-smi info -t health -i 5":         0, // an NPU that is not there
		} {
			if got := asked[command]; got < want-2 || got > want+2 || want == 0 && got > 0 {
				t.Errorf("%s was run %d times in an hour, want %d", command, got, want)
			}
		}
	})
}

func TestDetailsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tool := smitest.Recorded(t, "910b-24.1.rc2")
		b := New(Options{Run: tool.Run})
		smitest.Read(t, b)
		tool.Set("npu-smi info -t ecc -i 1", "NPU ID : 1\nHBM Single Bit Error Count : 5\nHBM Single Bit Error Count : 6\n", 0)
		var r gpu.Reading
		var err error
		for range 30 {
			time.Sleep(5 * time.Second)
			if r, err = b.Read(t.Context()); err != nil {
				break
			}
		}
		if err == nil || !strings.Contains(err.Error(), "info -t ecc -i 1: npu-smi 24.1.rc2: output not recognized") {
			t.Fatalf("got %v", err)
		}
		if len(r.Devices) != 4 || len(r.Devices[1].ECC) == 0 {
			t.Fatal("a detail that fails must cost nothing at once")
		}
		for range 200 {
			time.Sleep(5 * time.Second)
			r, err = b.Read(t.Context())
		}
		if err == nil || len(r.Devices) != 4 || len(r.Devices[1].ECC) != 0 || len(r.Devices[0].ECC) == 0 {
			t.Errorf("old counts must go, of that NPU alone: got %v, %v, %v", err, r.Devices[1].ECC, r.Devices[0].ECC)
		}
		tool.Set("npu-smi info -t ecc -i 1", tool.Output("npu-smi info -t ecc -i 0"), 0)
		for range 200 {
			time.Sleep(5 * time.Second)
			r, err = b.Read(t.Context())
		}
		if err != nil || len(r.Devices[1].ECC) == 0 {
			t.Errorf("after it works again: %v, %v", err, r.Devices[1].ECC)
		}
	})
}

func TestErrorCodesBecomeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tool := smitest.Recorded(t, "910b-24.1.rc2")
		b := New(Options{Run: tool.Run})
		smitest.Read(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		var got []gpu.Event
		done := make(chan error)
		go func() { done <- b.Watch(ctx, func(e gpu.Event) { got = append(got, e) }) }()
		wait := func() {
			for range 30 {
				time.Sleep(5 * time.Second)
				if _, err := b.Read(t.Context()); err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
		}
		wait()
		if len(got) != 0 {
			t.Errorf("codes that were there from the start are no events: %v", got)
		}
		const command = "npu-smi info -t health -i 1"
		before := tool.Output(command)
		tool.Set(command, strings.Replace(before, "80E01801 81AF8000", "81AF8000 80df8009", 1), 0)
		wait()
		tool.Set(command, strings.Replace(before, "80E01801 81AF8000", "NA", 1), 0)
		wait()
		tool.Set(command, before, 0)
		wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		var text []string
		for _, e := range got {
			text = append(text, fmt.Sprintln(e.Vendor, e.PCI, e.UUID, e.Kind, e.Code, e.Source))
		}
		const addChip = "ascend 0000:c2:00.0 42C711D4-20B03704-4A10C8D4-14CC040A-D2102003 fault "
		want := []string{addChip + "0x80DF8009 driver\n", addChip + "0x80E01801 driver\n", addChip + "0x81AF8000 driver\n"}
		if diff := cmp.Diff(want, text); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSeveralBlocks(t *testing.T) {
	const behind = "NPU ID : 1\nChip Count : 2\n\nA : 1\nChip ID : 0\n\nA : 2\nChip ID : 1\n\nA : 3\nChip Name : MCU\n"
	const before = "NPU ID : 1\nChip Count : 2\n\nChip ID : 0\nA : 1\n\nChip ID : 1\nA : 2\n\nChip Name : mcu\nA : 3\n"
	want := map[string]fields{"0": {"A": "1"}, "1": {"A": "2"}, mcu: {"A": "3"}}
	for _, out := range []string{behind, before} {
		got, err := parseChips("", []byte(out))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	for _, bad := range []string{
		"A : 1\nChip ID : 0\nA : 2\n",              // the second ID is cut off
		"A : 1\nChip ID : 0\nA : 2\nChip ID : 0\n", // twice
		"A : 1\nA : 2\nChip ID : 0\n",
		"Chip ID : 0\nA : 1\nA : 2\n",
	} {
		if got, err := parseChips("", []byte(bad)); err == nil {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}

func TestRefused(t *testing.T) {
	failed := errors.New("npu-smi info -t ecc -i 0: exit status 255: This device does not support querying ecc.")
	for _, test := range []struct {
		out  string
		err  error
		want bool
	}{
		{"This device does not support querying ecc.\n", failed, true},
		{"", failed, true},
		{"This device does not support querying ecc.\n", nil, true},
		{"Error parameter of -t\n", nil, true},
		{"| NA: Currently, query is not supported. |\n", nil, false},
		{"\tError Code                     : 80E01801\n\tError Information              : node is not supported\n", nil, false},
		{"", errors.New("npu-smi info: exit status 1"), false},
	} {
		if got := refused([]byte(test.out), test.err); got != test.want {
			t.Errorf("%q, %v: got %v", test.out, test.err, got)
		}
	}
}

func TestSlices(t *testing.T) {
	r := smitest.Read(t, open(smitest.Recorded(t, "310p-duo-25.5.0").Run))
	want := []gpu.Slice{{Name: "100", Profile: "vir01"}, {Name: "101", Profile: "vir02"}, {Name: "102", Profile: "vir04"}}
	for _, d := range r.Devices {
		if diff := cmp.Diff(map[bool][]gpu.Slice{true: want}[place(d.Index, d.Chip) == "2/0"], d.Slices, smitest.Values()); diff != "" {
			t.Errorf("%s: %s", place(d.Index, d.Chip), diff)
		}
	}
}

// TestErrorsKeepSecrets sees that no error has what stands on a command line, and that many errors are one line.
func TestErrorsKeepSecrets(t *testing.T) {
	good := smitest.Recorded(t, "910b-24.1.rc2").Output("npu-smi info")
	for _, out := range []string{
		strings.Replace(good, "| 48988         | python  ", "| --key         | sk-secret  ", 1),
		strings.Replace(strings.Replace(good, "Process id  ", "Process ID  ", 1), "| python ", "| sk-secret ", 1),
		strings.ReplaceAll(good, "910B3               | OK ", "910B3               | Odd "),
		strings.ReplaceAll(good, "| 48988 ", "| sk-secret "),
	} {
		tool := smitest.Recorded(t, "910b-24.1.rc2")
		tool.Set("npu-smi info", out, 0)
		r, err := open(tool.Run).Read(t.Context())
		if out == good || err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") || len(r.Devices) < 3 {
			t.Errorf("got %d NPUs, %v", len(r.Devices), err)
		}
	}
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		smitest.Stuck(t, smitest.Recorded(t, "910b-24.1.rc2").Run, "info -t board -i 0", open)
	})
}

func FuzzRead(f *testing.F) {
	for _, name := range smitest.Cases(f) {
		tool := smitest.Recorded(f, name)
		for _, command := range []string{"npu-smi info", "npu-smi info -t common -i 0", "npu-smi info -t ecc -i 1", "npu-smi info -t hccs -i 1 -c 0", "npu-smi info -t info-vnpu -i 2 -c 0"} {
			f.Add([]byte(tool.Output(command)))
		}
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		all := func(context.Context, string, ...string) ([]byte, error) { return out, nil }
		r, err := New(Options{Run: all}).Read(t.Context())
		if err == nil && len(r.Devices) == 0 {
			t.Error("neither NPUs nor an error")
		}
		if err != nil && len(err.Error()) > 10000 {
			t.Errorf("an error text of %d bytes", len(err.Error()))
		}
		if len(r.Devices) > maxChips {
			t.Errorf("%d NPUs", len(r.Devices))
		}
		for _, d := range r.Devices {
			smitest.CheckDevice(t, &d)
			used, _ := d.MemoryUsed.Get()
			if total, ok := d.MemoryTotal.Get(); ok && used > total {
				t.Errorf("memory %v of %v", used, total)
			}
		}
		parseChips("", out)
		parseLinks("", out)
		parseSlices("", out)
	})
}
