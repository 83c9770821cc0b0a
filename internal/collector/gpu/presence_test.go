package gpu

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestLostAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia", "a", "b", "c")
		s, stop := start(t, Options{Backends: []Backend{b}})
		samples, _ := collect(t, s)
		want(t, "all there", samples, map[string]float64{
			"worker_node_gpu_info{1,uuid=b,vendor=nvidia,pci_address=0000:62:00.0}": 1, "bare worker_node_gpu_info{1,uuid=b,vendor=nvidia,pci_address=0000:62:00.0}": 1,
		})
		b.gives([]Device{b.device(0, "a"), b.device(2, "c")}, nil)
		time.Sleep(1500 * time.Millisecond)
		samples, _ = collect(t, s)
		want(t, "lost", samples, map[string]float64{
			"gpu_up{0}": 1, "gpu_up{1}": 0, "gpu_up{2}": 1, "gpu_expected{vendor=nvidia}": 3, "gpu_present{vendor=nvidia}": 2, "gpu_lost_total{vendor=nvidia}": 1,
			"worker_node_gpu_info{1,uuid=b,vendor=nvidia,pci_address=0000:62:00.0}": 1, "bare worker_node_gpu_info{1,uuid=b,vendor=nvidia,pci_address=0000:62:00.0}": -1,
			"bare worker_node_gpu_info{0,uuid=a,vendor=nvidia,pci_address=0000:61:00.0}": 1,
			"gpu_recommended_action{1,action=reboot,reason=card is lost}":                1, "worker_node_gpu_temperature_celsius{1}": -1,
		})
		b.have("a", "c") // the driver was loaded anew: what was 2 is 1 now
		time.Sleep(time.Second)
		samples, _ = collect(t, s)
		want(t, "renumbered", samples, map[string]float64{
			"gpu_up{1}": 1, "gpu_up{2}": -1, "gpu_expected{vendor=nvidia}": 3, "gpu_present{vendor=nvidia}": 2, "gpu_lost_total{vendor=nvidia}": 1,
			"worker_node_gpu_info{1,uuid=b,vendor=nvidia,pci_address=0000:62:00.0}": 1, "worker_node_gpu_info{1,uuid=c,vendor=nvidia,pci_address=0000:63:00.0}": 1,
			"bare worker_node_gpu_info{1,uuid=b,vendor=nvidia,pci_address=0000:62:00.0}": -1, "bare worker_node_gpu_info{1,uuid=c,vendor=nvidia,pci_address=0000:63:00.0}": 1,
		})
		b.have("a", "b", "c")
		time.Sleep(time.Second)
		samples, _ = collect(t, s)
		want(t, "back", samples, map[string]float64{"gpu_up{1}": 1, "gpu_up{2}": 1, "gpu_present{vendor=nvidia}": 3, "gpu_lost_total{vendor=nvidia}": 1})
		stop()
	})
}

// TestMissedByChance: a GPU that readings with an error lack now and then is not lost; one that several in a row lack is.
func TestMissedByChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia", "a", "b")
		s, stop := start(t, Options{Backends: []Backend{b}})
		broken := errors.New("one GPU could not be read")
		all, one := []Device{b.device(0, "a"), b.device(1, "b")}, []Device{b.device(0, "a")}
		time.Sleep(500 * time.Millisecond) // between two readings
		miss := func(n int) {
			b.gives(one, broken)
			time.Sleep(time.Duration(n) * time.Second)
		}
		there, lost := map[string]float64{"gpu_lost_total{vendor=nvidia}": 0}, map[string]float64{"gpu_lost_total{vendor=nvidia}": 1}
		check := func(step string, wanted map[string]float64) {
			t.Helper()
			samples, _ := collect(t, s)
			want(t, step, samples, wanted)
		}
		for _, err := range []error{nil, broken} {
			for range 4 {
				miss(missedReadings - 1)
				check("missed", there)
				b.gives(all, err)
				time.Sleep(time.Second)
			}
		}
		miss(missedReadings - 1)
		check("missed before it is lost", there)
		miss(1)
		check("missed in a row", lost)
		b.gives(all, nil)
		time.Sleep(time.Second)
		miss(missedReadings - 1)
		check("back, and missed anew", lost)
		miss(1)
		check("lost again", map[string]float64{"gpu_lost_total{vendor=nvidia}": 2})
		stop()
	})
}

// TestListedButLost: the driver still lists the GPU, by its address alone.
func TestListedButLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia", "a", "b")
		s, stop := start(t, Options{Backends: []Backend{b}})
		b.gives([]Device{b.device(0, "a"), {Identity: Identity{Vendor: "nvidia", PCI: "00000000:62:00.0"}, Lost: true}}, nil)
		for range 3 {
			time.Sleep(time.Second)
		}
		samples, failed := collect(t, s)
		want(t, "lost", samples, map[string]float64{
			"gpu_up{1}": 0, "gpu_expected{vendor=nvidia}": 2, "gpu_present{vendor=nvidia}": 1, "gpu_lost_total{vendor=nvidia}": 1,
			"gpu_recommended_action{1,action=reboot,reason=card is lost}": 1,
		})
		if len(failed) > 0 {
			t.Errorf("%v", failed)
		}
		stop()
	})
}

func TestReplacedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia", "a", "b")
		s, stop := start(t, Options{Backends: []Backend{b}, Interval: time.Minute})
		fresh := b.device(1, "z")
		fresh.PCI = "0000:62:00.0" // where b was
		b.gives([]Device{b.device(0, "a"), fresh}, nil)
		time.Sleep(2 * time.Minute)
		samples, _ := collect(t, s)
		want(t, "replaced", samples, map[string]float64{"gpu_expected{vendor=nvidia}": 2, "gpu_present{vendor=nvidia}": 2, "gpu_up{1}": 1})
		b.have("a")
		time.Sleep(6 * 24 * time.Hour)
		samples, _ = collect(t, s)
		want(t, "six days", samples, map[string]float64{"gpu_expected{vendor=nvidia}": 2, "gpu_up{1}": 0})
		time.Sleep(25 * time.Hour)
		samples, _ = collect(t, s)
		want(t, "seven days", samples, map[string]float64{"gpu_expected{vendor=nvidia}": 1, "gpu_up{1}": -1, "gpu_lost_total{vendor=nvidia}": 1})
		stop()
	})
}

func TestKnownOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := machine(t, "boot-1", 100)
		path := filepath.Join(t.TempDir(), "gpu.json")
		b := newStub("nvidia", "a", "b")
		_, stop := start(t, Options{Backends: []Backend{b}, StatePath: path, Root: root})
		stop()
		time.Sleep(time.Hour)
		reboot(t, root, "boot-2", 60)
		b = newStub("nvidia", "a")
		s, stop := start(t, Options{Backends: []Backend{b}, StatePath: path, Root: root})
		samples, _ := collect(t, s)
		want(t, "after a reboot", samples, map[string]float64{
			"gpu_expected{vendor=nvidia}": 2, "gpu_present{vendor=nvidia}": 1, "gpu_lost_total{vendor=nvidia}": 1, "gpu_up{1}": 0,
			"gpu_recommended_action{1,action=reboot,reason=card is lost}": 1,
		})
		stop()
		time.Sleep(time.Hour)
		reboot(t, root, "boot-3", 60)
		s, stop = start(t, Options{Backends: []Backend{b}, StatePath: path, Root: root})
		samples, _ = collect(t, s)
		want(t, "after another", samples, map[string]float64{
			"gpu_lost_total{vendor=nvidia}": 1, "gpu_recommended_action{1,action=replace,reason=" + reasonStillLost + "}": 1,
		})
		stop()
		b.gives(nil, ErrAbsent)
		s, stop = start(t, Options{Backends: []Backend{b}, StatePath: path, Root: root})
		samples, _ = collect(t, s)
		want(t, "no driver", samples, map[string]float64{"gpu_expected{vendor=nvidia}": 2, "gpu_present{vendor=nvidia}": 0, "gpu_up{0}": 0})
		stop()
	})
}

func TestExpected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nvidia, amd := newStub("nvidia", "a"), newStub("amd")
		amd.gives(nil, ErrAbsent)
		s, stop := start(t, Options{Backends: []Backend{nvidia, amd}, Expected: 8})
		samples, _ := collect(t, s)
		want(t, "one vendor", samples, map[string]float64{"gpu_expected{vendor=nvidia}": 8, "gpu_present{vendor=nvidia}": 1, "gpu_expected{vendor=amd}": -1, "gpu_expected{}": -1})
		amd.have("b")
		time.Sleep(62 * time.Second)
		samples, _ = collect(t, s)
		want(t, "two vendors", samples, map[string]float64{"gpu_expected{vendor=nvidia}": 1, "gpu_expected{vendor=amd}": 1})
		stop()
	})
}

func TestSame(t *testing.T) {
	known := Identity{Vendor: "nvidia", Index: "1", Chip: "0", Name: "X1", UUID: "u", PCI: "0000:3b:00.0"}
	plain := Identity{Vendor: "metax", Index: "1", Name: "C500"}
	for name, c := range map[string]struct {
		id, known Identity
		want      int
	}{
		"itself":             {known, known, sameAll},
		"moved":              {Identity{Vendor: "nvidia", Index: "4", UUID: "u", PCI: "0000:af:00.0"}, known, sameUUID},
		"other in its place": {Identity{Vendor: "nvidia", Index: "1", UUID: "v", PCI: "0000:3b:00.0"}, known, sameNot},
		"by address":         {Identity{Vendor: "nvidia", PCI: "00000000:3B:00.0"}, known, sameAddress},
		"other chip":         {Identity{Vendor: "nvidia", Chip: "1", UUID: "u"}, known, sameNot},
		"other vendor":       {Identity{Vendor: "amd", UUID: "u"}, known, sameNot},
		"by index":           {Identity{Vendor: "metax", Index: "1", Chip: "0"}, plain, samePlace},
		"nothing":            {Identity{Vendor: "metax"}, plain, sameNot},
	} {
		if got := c.id.same(&c.known); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestSharedSerial: chips of one GPU have its serial number in common, and some tools give the same to all GPUs.
func TestSharedSerial(t *testing.T) {
	l := newRegistry(nil)
	chip := func(index, chip, serial string) Device {
		return Device{Identity: Identity{Vendor: "ascend", Index: index, Chip: chip, Name: "910", UUID: serial}}
	}
	devices := []Device{chip("0", "0", "s"), chip("0", "1", "s"), chip("1", "0", "s"), chip("1", "1", "s")}
	first := l.update("ascend", devices, true, time.Now())
	second := l.update("ascend", devices, true, time.Now())
	seen := map[string]bool{}
	for i, id := range first {
		if id == "" || seen[id] || second[i] != id {
			t.Errorf("%d: %q, then %q", i, id, second[i])
		}
		seen[id] = true
	}
	third := l.update("ascend", devices[1:], true, time.Now())
	for i, id := range third {
		if id != first[i+1] {
			t.Errorf("without the first, %d is %q, want %q", i+1, id, first[i+1])
		}
	}
	l.update("ascend", devices, true, time.Now())
	if v := l.view("ascend"); v.known != 4 || v.lost != 1 {
		t.Errorf("%d known, %d lost", v.known, v.lost)
	}
}

// TestStateOfAnotherMachine: a disk that was cloned, or put into another machine, does not bring the other's GPUs with it.
func TestStateOfAnotherMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "gpu.json")
		b := newStub("nvidia", "a", "b")
		_, stop := start(t, Options{Backends: []Backend{b}, StatePath: path, Root: machine(t, "boot-1", 100)})
		b.reports(driverXID("a", "79"))
		stop()
		here := newStub("nvidia", "x", "y")
		s, stop := start(t, Options{Backends: []Backend{here}, StatePath: path, Root: machine(t, "boot-2", 100)})
		samples, _ := collect(t, s)
		want(t, "clone", samples, map[string]float64{
			"gpu_expected{vendor=nvidia}": 2, "gpu_present{vendor=nvidia}": 2, "gpu_lost_total{vendor=nvidia}": 0, "gpu_up{0}": 1, total79: -1,
			"gpu_recommended_action{0,action=none}": 1, "worker_node_gpu_info{0,uuid=a,vendor=nvidia,pci_address=0000:61:00.0}": -1,
		})
		here.have("z") // while the worker runs, GPUs that go are missed
		time.Sleep(1500 * time.Millisecond)
		samples, _ = collect(t, s)
		want(t, "later", samples, map[string]float64{"gpu_expected{vendor=nvidia}": 3, "gpu_present{vendor=nvidia}": 1, "gpu_lost_total{vendor=nvidia}": 2})
		stop()
	})
}

// TestClockSteps: what was of an earlier boot is told by the boot, whatever the clock shows.
func TestClockSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := machine(t, "boot-1", 3600)
		path := filepath.Join(t.TempDir(), "gpu.json")
		b := newStub("nvidia", "a", "b")
		o := Options{Backends: []Backend{b}, StatePath: path, Root: root}
		_, stop := start(t, o)
		time.Sleep(time.Second)
		b.reports(driverXID("a", "79"))
		stop()
		// The clock was an hour behind when the machine was booted: its start seems to lie before the error.
		reboot(t, root, "boot-2", 7200)
		b.have("a")
		s, stop := start(t, o)
		time.Sleep(1500 * time.Millisecond)
		samples, _ := collect(t, s)
		want(t, "behind", samples, map[string]float64{total79: 1, "gpu_recommended_action{0,action=none}": 1})
		want(t, "lost in this boot", samples, map[string]float64{"gpu_recommended_action{1,action=reboot,reason=card is lost}": 1})
		stop()
		s, stop = start(t, o) // of the worker alone
		samples, _ = collect(t, s)
		want(t, "restarted", samples, map[string]float64{"gpu_recommended_action{0,action=none}": 1, "gpu_recommended_action{1,action=reboot,reason=card is lost}": 1})
		stop()
		reboot(t, root, "boot-3", 1)
		s, stop = start(t, o)
		b.reports(driverXID("a", "79"))
		time.Sleep(1500 * time.Millisecond)
		samples, _ = collect(t, s)
		want(t, "another boot", samples, map[string]float64{
			total79: 2, "gpu_recommended_action{0,action=reboot,reason=xid 79}": 1, "gpu_recommended_action{1,action=replace,reason=" + reasonStillLost + "}": 1,
		})
		stop()
	})
}

// TestVendorsThatAreNoLongerRead: GPUs that were simulated once do not make a node one of two vendors.
func TestVendorsThatAreNoLongerRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "gpu.json")
		_, stop := start(t, Options{Backends: []Backend{newStub("fake", "f")}, StatePath: path})
		stop()
		s, stop := start(t, Options{Backends: []Backend{newStub("nvidia", "a")}, StatePath: path, Expected: 8})
		samples, _ := collect(t, s)
		want(t, "real", samples, map[string]float64{"gpu_expected{vendor=nvidia}": 8})
		stop()
	})
}

// TestNoneOfTheExpectedGPUs: that there are none is said when all have looked, since some tools take long.
func TestNoneOfTheExpectedGPUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nvidia, ascend := newStub("nvidia"), newStub("ascend")
		nvidia.gives(nil, ErrAbsent)
		reply := Reading{Devices: []Device{ascend.device(0, "a")}}
		ascend.answers(func(context.Context) (Reading, error) { time.Sleep(4 * time.Second); return reply, nil })
		s, stop := start(t, Options{Backends: []Backend{nvidia, ascend}, Expected: 8})
		time.Sleep(time.Second)
		samples, _ := collect(t, s)
		want(t, "not known yet", samples, map[string]float64{"gpu_expected{}": -1, "gpu_present{}": -1})
		time.Sleep(5 * time.Second)
		samples, _ = collect(t, s)
		want(t, "there", samples, map[string]float64{"gpu_expected{}": -1, "gpu_expected{vendor=ascend}": 8, "gpu_present{vendor=ascend}": 1})
		stop()

		ascend.answers(func(context.Context) (Reading, error) { time.Sleep(4 * time.Second); return Reading{}, ErrAbsent })
		s, stop = start(t, Options{Backends: []Backend{nvidia, ascend}, Expected: 8})
		time.Sleep(6 * time.Second)
		samples, _ = collect(t, s)
		want(t, "none", samples, map[string]float64{"gpu_expected{}": 8, "gpu_present{}": 0})
		stop()
	})
}
