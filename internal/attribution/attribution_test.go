package attribution

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/exposition"
)

const gib = 1 << 30

// owners knows the processes 100 to 199 as instance a and 200 to 299 as instance b.
func owners(p gpu.Process) (string, bool) {
	switch p.PID / 100 {
	case 1:
		return "a", true
	case 2:
		return "b", true
	}
	return "", false
}

func newDevice(index int, used float64, processes ...gpu.Process) gpu.Device {
	return gpu.Device{
		Identity:   gpu.Identity{Vendor: "nvidia", Index: fmt.Sprint(index), Chip: "0", Name: "H100", UUID: fmt.Sprintf("GPU-%d", index)},
		MemoryUsed: gpu.Known(used * gib), MemoryTotal: gpu.Known(80 * gib), ProcessesKnown: true, Processes: processes,
	}
}

func process(pid int, memory float64) gpu.Process {
	return gpu.Process{PID: pid, Memory: gpu.Known(memory * gib)}
}

func lines(a *Attribution, instances ...string) []string {
	var got []string
	emit := func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels) {
		if m.Name == catalog.InstanceGPUMemory.Name || m.Name == catalog.GRAMAllocated.Name || m.Name == catalog.GPUMemoryUnaccounted.Name {
			value /= gib
		}
		got = append(got, fmt.Sprintf("%s%s{%s} %v", m.Name[len(catalog.Prefix):], suffix, labels, value))
	}
	_, _ = a.Collect(emit)
	for _, name := range instances {
		a.CollectInstance(name, emit, exposition.RenderLabels("model_instance_name", name))
	}
	return got
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Two instances on one GPU, one instance on two, and somebody else: what is allocated and what is not accounted for add up to
// what the GPU says is used.
func TestMemoryAddsUp(t *testing.T) {
	a := New(owners)
	a.Observe("nvidia", time.Now(), []gpu.Device{
		newDevice(0, 60, process(100, 30), process(101, 4), process(200, 20)),
		newDevice(1, 50, process(102, 35), process(900, 10)),
	})
	const gpu0, gpu1 = `gpu_index="0",gpu_name="H100",gpu_chip_index="0"`, `gpu_index="1",gpu_name="H100",gpu_chip_index="0"`
	want(t, lines(a, "a", "b", "c"),
		`worker_node_gram_allocated_bytes{`+gpu0+`} 54`,
		`worker_node_gram_allocated_bytes{`+gpu1+`} 35`,
		`gpu_memory_unaccounted_bytes{`+gpu0+`} 6`,
		`gpu_memory_unaccounted_bytes{`+gpu1+`} 15`,
		`model_instance_gpu_memory_used_bytes{model_instance_name="a",`+gpu0+`} 34`,
		`model_instance_gpu_memory_used_bytes{model_instance_name="a",`+gpu1+`} 35`,
		`model_instance_gpu_memory_used_bytes{model_instance_name="b",`+gpu0+`} 20`,
	)
}

func TestWhatIsNotKnownIsAbsent(t *testing.T) {
	a := New(owners)
	silent := newDevice(1, 50)
	silent.ProcessesKnown = false
	lost := newDevice(2, 50, process(100, 1))
	lost.Lost = true
	a.Observe("nvidia", time.Now(), []gpu.Device{
		newDevice(0, 60, process(100, 30), gpu.Process{PID: 101}, process(200, 20)), // one of a's processes tells no memory
		silent, lost,
	})
	want(t, lines(a, "a", "b"),
		`model_instance_gpu_memory_used_bytes{model_instance_name="b",gpu_index="0",gpu_name="H100",gpu_chip_index="0"} 20`)
}

// NVML lists a process that computes and draws in both of its lists.
func TestProcessListedTwiceCountsOnce(t *testing.T) {
	a := New(owners)
	a.Observe("nvidia", time.Now(), []gpu.Device{newDevice(0, 30, process(100, 30), process(100, 30))})
	want(t, lines(a, "a"),
		`worker_node_gram_allocated_bytes{gpu_index="0",gpu_name="H100",gpu_chip_index="0"} 30`,
		`gpu_memory_unaccounted_bytes{gpu_index="0",gpu_name="H100",gpu_chip_index="0"} 0`,
		`model_instance_gpu_memory_used_bytes{model_instance_name="a",gpu_index="0",gpu_name="H100",gpu_chip_index="0"} 30`)
}

// A process may hold memory of several slices of a GPU, and a process that stands for several instances is one of each.
func TestProcessOfSeveralSlicesCountsInEach(t *testing.T) {
	on := func(p gpu.Process, slice, instance string) gpu.Process {
		p.Slice, p.Instance = slice, instance
		return p
	}
	a := New(func(p gpu.Process) (string, bool) {
		if p.Instance != "" {
			return p.Instance, true
		}
		return owners(p)
	})
	a.Observe("nvidia", time.Now(), []gpu.Device{newDevice(0, 75,
		on(process(100, 10), "MIG-1", ""), on(process(100, 20), "MIG-2", ""), on(process(100, 10), "MIG-1", ""), process(101, 5),
		on(process(1, 8), "", "b"), on(process(1, 16), "", "c"), on(process(1, 8), "", "b"),
	)})
	const gpu0 = `gpu_index="0",gpu_name="H100",gpu_chip_index="0"`
	want(t, lines(a, "a", "b", "c"),
		`worker_node_gram_allocated_bytes{`+gpu0+`} 59`,
		`gpu_memory_unaccounted_bytes{`+gpu0+`} 16`,
		`model_instance_gpu_memory_used_bytes{model_instance_name="a",`+gpu0+`} 35`,
		`model_instance_gpu_memory_used_bytes{model_instance_name="b",`+gpu0+`} 8`,
		`model_instance_gpu_memory_used_bytes{model_instance_name="c",`+gpu0+`} 16`,
	)
}

func TestEnergyIsAllocated(t *testing.T) {
	use := func(p gpu.Process, share float64) gpu.Process { p.Use = gpu.Known(share); return p }
	for _, c := range []struct {
		name       string
		processes  []gpu.Process
		joules     []float64 // the GPU's counter, reading by reading
		a, b, rest float64
	}{
		{"by utilization", []gpu.Process{use(process(100, 10), 0.6), use(process(200, 30), 0.2)}, []float64{1000, 1400}, 300, 100, 0},
		{"somebody else's part is nobody's", []gpu.Process{use(process(100, 10), 0.3), use(process(900, 30), 0.3)}, []float64{0, 100}, 50, 0, 50},
		{"by memory where utilization is not measured", []gpu.Process{process(100, 10), process(200, 30)}, []float64{0, 100, 200}, 50, 150, 0},
		{"by memory while all rest", []gpu.Process{use(process(100, 10), 0), use(process(200, 30), 0)}, []float64{0, 100}, 25, 75, 0},
		{"a counter that begins anew", []gpu.Process{process(100, 10)}, []float64{1000, 10, 60}, 50, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New(owners)
			for i, joules := range c.joules {
				d := newDevice(0, 60, c.processes...)
				d.Energy = gpu.Known(joules)
				a.Observe("nvidia", time.Now().Add(time.Duration(i-len(c.joules))*time.Second), []gpu.Device{d})
			}
			got := map[string]float64{}
			for _, name := range []string{"a", "b"} {
				a.CollectInstance(name, func(m *catalog.Metric, _ string, v float64, _ exposition.Labels) {
					if m.Name == catalog.InstanceGPUEnergy.Name {
						got[name] += v
					}
				}, "")
			}
			if math.Abs(got["a"]-c.a) > 1e-9 || math.Abs(got["b"]-c.b) > 1e-9 {
				t.Errorf("got %v, want a %v and b %v", got, c.a, c.b)
			}
			if spent := c.joules[len(c.joules)-1] - c.joules[0]; spent > 0 && c.a+c.b+c.rest != spent {
				t.Errorf("%v is not what the GPU used", c.a+c.b+c.rest)
			}
		})
	}
}

func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(owners)
		if p := a.Presence("a"); p != (Presence{}) {
			t.Errorf("without GPUs: %+v", p)
		}
		shared, alone := newDevice(0, 60, process(100, 1), process(200, 1)), newDevice(1, 60, process(100, 1))
		shared.Utilization, alone.Utilization = gpu.Known(0.9), gpu.Known(0.9)
		a.Observe("nvidia", time.Now(), []gpu.Device{shared, alone})
		// Whose work it is on a shared GPU cannot be told.
		for name, want := range map[string]Presence{
			"a": {Known: true, Holds: true, Busy: true}, "b": {Known: true, Holds: true}, "c": {Known: true},
		} {
			if got := a.Presence(name); got != want {
				t.Errorf("%s: got %+v, want %+v", name, got, want)
			}
		}
		alone.Utilization = gpu.Known(0.02)
		a.Observe("nvidia", time.Now(), []gpu.Device{shared, alone})
		if got := a.Presence("a"); got.Busy {
			t.Error("a GPU that only holds memory counts as busy")
		}
		a.Observe("nvidia", time.Now(), []gpu.Device{newDevice(0, 1), newDevice(1, 1)})
		if got := a.Presence("a"); got != (Presence{Known: true}) {
			t.Errorf("after it left: %+v", got)
		}
		time.Sleep(staleAfter + time.Second)
		if got := a.Presence("a"); got != (Presence{}) {
			t.Errorf("with a hung driver: %+v", got)
		}
		want(t, lines(a, "a"))
	})
}

func TestOldInstancesAndDevicesAreForgotten(t *testing.T) {
	a := New(owners)
	start := time.Now().Add(-time.Hour)
	a.Observe("nvidia", start, []gpu.Device{newDevice(0, 60, process(100, 1)), newDevice(1, 60, process(100, 1))})
	a.Observe("nvidia", start.Add(forgetAfter+time.Second), []gpu.Device{newDevice(0, 60, process(200, 1))})
	if len(a.devices) != 1 {
		t.Errorf("%d GPUs are kept", len(a.devices))
	}
	silent := newDevice(0, 60)
	for _, c := range a.devices {
		if _, ok := c.uses["a"]; ok || len(c.uses) != 1 {
			t.Errorf("kept: %v", c.uses)
		}
		silent.ProcessesKnown = false // its driver tells nothing any more
		a.Observe("nvidia", start.Add(2*forgetAfter+2*time.Second), []gpu.Device{silent})
		if len(c.uses) != 0 {
			t.Errorf("kept without processes: %v", c.uses)
		}
	}
}

// A GPU that is not in its vendor's last reading says nothing: its number may be another GPU's by now.
func TestDevicesOfAnOlderReadingAreLeftOut(t *testing.T) {
	a := New(owners)
	now := time.Now()
	second := newDevice(1, 40, process(200, 40))
	a.Observe("nvidia", now.Add(-2*time.Second), []gpu.Device{newDevice(0, 30, process(100, 30)), second})
	a.Observe("amd", now.Add(-2*time.Second), []gpu.Device{newDevice(7, 20, process(100, 20))})
	second.Index = "0" // the driver was loaded anew without the first
	a.Observe("nvidia", now, []gpu.Device{second})
	want(t, lines(a, "a", "b"),
		`worker_node_gram_allocated_bytes{gpu_index="7",gpu_name="H100",gpu_chip_index="0"} 20`,
		`worker_node_gram_allocated_bytes{gpu_index="0",gpu_name="H100",gpu_chip_index="0"} 40`,
		`gpu_memory_unaccounted_bytes{gpu_index="7",gpu_name="H100",gpu_chip_index="0"} 0`,
		`gpu_memory_unaccounted_bytes{gpu_index="0",gpu_name="H100",gpu_chip_index="0"} 0`,
		`model_instance_gpu_memory_used_bytes{model_instance_name="a",gpu_index="7",gpu_name="H100",gpu_chip_index="0"} 20`,
		`model_instance_gpu_memory_used_bytes{model_instance_name="b",gpu_index="0",gpu_name="H100",gpu_chip_index="0"} 40`,
	)
	a.Observe("nvidia", now, nil)
	if p := a.Presence("b"); p != (Presence{Known: true}) {
		t.Errorf("after its GPU has gone: %+v", p)
	}
}
