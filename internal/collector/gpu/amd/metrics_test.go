package amd

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs/sysfstest"
)

// blob makes a gpu_metrics of ones, which say that nothing is known.
func blob(size int, format, content uint8) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = 0xff
	}
	binary.LittleEndian.PutUint16(b, uint16(size))
	b[2], b[3] = format, content
	return b
}

// self makes one that describes itself, from attributes of 16, 32 or 64 bits.
func self(attributes ...any) []byte {
	b := []byte{0, 0, 1, 9, 0, 0, 0, 0}
	for i := 0; i < len(attributes); i += 2 {
		id := uint64(attributes[i].(int))
		code := func(kind, n int) { b = binary.LittleEndian.AppendUint64(b, 3<<24|uint64(kind)<<20|id<<10|uint64(n)) }
		switch v := attributes[i+1].(type) {
		case uint16:
			code(typeU16, 1)
			b = binary.LittleEndian.AppendUint16(b, v)
		case uint32:
			code(typeU32, 1)
			b = binary.LittleEndian.AppendUint32(b, v)
		case uint64:
			code(typeU64, 1)
			b = binary.LittleEndian.AppendUint64(b, v)
		case []uint64:
			code(typeU64, len(v))
			for _, n := range v {
				b = binary.LittleEndian.AppendUint64(b, n)
			}
		}
	}
	binary.LittleEndian.PutUint16(b, uint16(len(b)))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(attributes)/2))
	return b
}

func TestLayouts(t *testing.T) {
	for _, l := range layouts {
		b := blob(l.size, 1, uint8(l.content))
		var m metrics
		if !decodeMetrics(b, &m) {
			t.Fatalf("1.%d of %d bytes is refused", l.content, l.size)
		}
		if m.hotspot != (gpu.Value{}) || m.energy != (gpu.Value{}) || m.throttleKnown || m.xgmiRead[7] != (gpu.Value{}) || m.partitions[7] != (gpu.Value{}) {
			t.Errorf("1.%d: ones are numbers: %+v", l.content, m)
		}
		binary.LittleEndian.PutUint16(b[l.hotspot:], 61)
		binary.LittleEndian.PutUint16(b[l.graphics:], 55)
		binary.LittleEndian.PutUint64(b[l.energy:], 65536)
		if l.xgmiWritten > 0 {
			binary.LittleEndian.PutUint64(b[l.xgmiWritten+56:], 3)
		}
		if l.partition > 0 {
			binary.LittleEndian.PutUint32(b[l.partition+7*l.partitionSize:], 10)
			binary.LittleEndian.PutUint32(b[l.partition+7*l.partitionSize+28:], 20)
		}
		decodeMetrics(b, &m)
		if m.hotspot != gpu.Known(61) || m.graphics != gpu.Known(0.55) || m.energy != gpu.Known(65536) {
			t.Errorf("1.%d: %+v", l.content, m)
		}
		if l.xgmiWritten > 0 && m.xgmiWritten[7] != gpu.Known(3072) {
			t.Errorf("1.%d: xGMI %+v", l.content, m.xgmiWritten)
		}
		if l.partition > 0 && m.partitions[7] != gpu.Known(0.15) {
			t.Errorf("1.%d: partitions %+v", l.content, m.partitions)
		}
	}
}

func TestRefused(t *testing.T) {
	valid := self(attrHotspot, uint16(50), attrEnergy, uint64(65536))
	for name, b := range map[string][]byte{
		"empty":               {},
		"header cut":          {8, 0, 1},
		"cut":                 blob(120, 1, 3)[:119],
		"unaligned 1.0":       blob(80, 1, 0),
		"size of another":     blob(120, 1, 4),
		"from times to come":  blob(4000, 1, 10),
		"processor":           blob(120, 2, 1),
		"processor, new":      blob(264, 3, 0),
		"described, cut":      valid[:len(valid)-1],
		"described, longer":   append(append([]byte{}, valid...), 0),
		"described, no count": self(),
	} {
		if name == "described, longer" || name == "described, cut" {
			binary.LittleEndian.PutUint16(b, uint16(len(b)))
		}
		var m metrics
		if decodeMetrics(b, &m) || m.hotspot != (gpu.Value{}) || m.energy != (gpu.Value{}) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestDescribed(t *testing.T) {
	b := self(attrHotspot, uint16(50), attrPower, uint16(140), attrEnergy, uint64(2*65536), attrClock, uint64(77), attrCycles, uint32(9),
		attrCycles+2, uint32(4), attrXGMIRead, []uint64{1, 1<<64 - 1, 3}, 60, uint16(5), attrGraphics, uint32(9))
	var m metrics
	if !decodeMetrics(b, &m) {
		t.Fatal("refused")
	}
	want := metrics{format: 1, content: 9, energyUnit: true, hotspot: gpu.Known(50), power: gpu.Known(140), energy: gpu.Known(131072), clock: 77}
	want.residency.cycles[0], want.residency.cycles[2] = count{9, true}, count{4, true}
	want.xgmiRead[0], want.xgmiRead[2] = gpu.Known(1024), gpu.Known(3072)
	if diff := cmp.Diff(want, m, cmp.AllowUnexported(metrics{}, gpu.Value{}, residency{}, count{})); diff != "" {
		t.Error(diff)
	}
}

func TestThrottleBits(t *testing.T) {
	for bits, want := range map[uint64][]gpu.Throttle{
		0:             nil,
		1 << 3:        {gpu.ThrottlePowerCap},
		1 << 22:       {gpu.ThrottleCurrent},
		1<<36 | 1<<0:  {gpu.ThrottlePowerCap, gpu.ThrottleThermal},
		1 << 45:       {gpu.ThrottleThermalHW},
		1 << 47:       {gpu.ThrottleHW},
		1 << 57:       {gpu.ThrottleReliability},
		1<<56 | 1<<63: {gpu.ThrottleUnknownReason},
	} {
		var m metrics
		m.throttleIndependent(bits, true)
		if diff := cmp.Diff(want, m.throttles.list()); diff != "" || !m.throttleKnown {
			t.Errorf("%x: %s", bits, diff)
		}
	}
	var m metrics
	m.throttleMI300(1<<1|1<<4, true)
	if diff := cmp.Diff([]gpu.Throttle{gpu.ThrottlePowerCap, gpu.ThrottleThermal}, m.throttles.list()); diff != "" {
		t.Error(diff)
	}
}

// TestThrottledTime follows the firmware's counters over a second of which 100 of 1000 cycles were above the power limit.
func TestThrottledTime(t *testing.T) {
	root := sysfstest.Unpack(t, "testdata/mi300x.tree")
	b := backend.Open(t, root)
	first := sysfstest.Read(t, b)[0]
	if first.ThrottleKnown || len(first.Throttled) != 4 || first.Throttled[0] != (gpu.ThrottleTime{Reason: gpu.ThrottlePowerCap}) {
		t.Fatalf("first: %v, %v", first.ThrottleKnown, first.Throttled)
	}
	file := filepath.Join(root, "sys/class/drm/card1/device/gpu_metrics")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	advance := func(at int, by uint32) {
		binary.LittleEndian.PutUint32(data[at:], binary.LittleEndian.Uint32(data[at:])+by)
	}
	write := func() gpu.Device {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return sysfstest.Read(t, b)[0]
	}
	binary.LittleEndian.PutUint64(data[32:], binary.LittleEndian.Uint64(data[32:])+uint64(time.Second))
	advance(40, 1000)
	advance(48, 100)
	advance(52, 20) // socket and HBM are the same reason: the longer one counts
	advance(60, 50)
	second := write()
	want := []gpu.ThrottleTime{
		{Reason: gpu.ThrottlePowerCap, Time: 100 * time.Millisecond},
		{Reason: gpu.ThrottleThermal, Time: 50 * time.Millisecond},
		{Reason: gpu.ThrottleThermalHW},
		{Reason: gpu.ThrottleHW},
	}
	if diff := cmp.Diff(want, second.Throttled); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]gpu.Throttle{gpu.ThrottlePowerCap, gpu.ThrottleThermal}, second.Throttles); diff != "" || !second.ThrottleKnown {
		t.Error(diff)
	}
	// A reset begins anew: nothing is added, nothing is lost.
	binary.LittleEndian.PutUint64(data[32:], binary.LittleEndian.Uint64(data[32:])+uint64(time.Second))
	binary.LittleEndian.PutUint32(data[40:], 5)
	binary.LittleEndian.PutUint32(data[48:], 5)
	if diff := cmp.Diff(want, write().Throttled); diff != "" {
		t.Error(diff)
	}
}

// TestThrottledTimeBetweenReadings: a share of cycles stands for the time between two looks unless that is too long, or is none.
func TestThrottledTimeBetweenReadings(t *testing.T) {
	for name, c := range map[string]struct {
		from    uint64 // the driver's clock at the first reading
		gap     time.Duration
		held    uint32 // of 1000 cycles
		want    time.Duration
		reasons int
	}{
		"a second":              {1, time.Second, 500, 500 * time.Millisecond, 1},
		"as long as may be":     {1, maxGap, 500, maxGap / 2, 1},
		"too long":              {1, maxGap + 1, 500, 0, 0},
		"days":                  {1, 72 * time.Hour, 500, 0, 0},
		"all of it":             {1, time.Second, 1000, time.Second, 1},
		"more than all of it":   {1, time.Second, 1001, 0, 0},
		"none of it":            {1, time.Second, 0, 0, 0},
		"the clock stands":      {1, 0, 500, 0, 0},
		"the clock went back":   {uint64(time.Hour), -time.Second, 500, 0, 0},
		"the clock was not set": {0, time.Second, 500, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var h history
			m := metrics{clock: c.from}
			m.residency.cycles[0], m.residency.cycles[2] = count{5000, true}, count{70, true}
			h.follow(&m)
			m.clock += uint64(c.gap)
			m.residency.cycles[0].n += 1000
			m.residency.cycles[2].n += c.held
			h.follow(&m)
			want := []gpu.ThrottleTime{{Reason: gpu.ThrottlePowerCap, Time: c.want}}
			if diff := cmp.Diff(want, h.times()); diff != "" || len(h.now.list()) != c.reasons {
				t.Errorf("held back now: %v; -want +got:\n%s", h.now.list(), diff)
			}
			// What comes after it counts again.
			m.clock = uint64(2*time.Hour) + uint64(c.gap)
			h.follow(&m)
			m.clock += uint64(time.Second)
			m.residency.cycles[0].n += 1000
			m.residency.cycles[2].n += 100
			h.follow(&m)
			want[0].Time += 100 * time.Millisecond
			if diff := cmp.Diff(want, h.times()); diff != "" {
				t.Errorf("a second later: -want +got:\n%s", diff)
			}
		})
	}
}

func FuzzMetrics(f *testing.F) {
	for _, l := range layouts {
		f.Add(blob(l.size, 1, uint8(l.content)))
	}
	f.Add(self(attrHotspot, uint16(50), attrXGMIRead, []uint64{1, 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m metrics
		if !decodeMetrics(b, &m) && (m.hotspot != gpu.Value{} || m.throttleKnown) {
			t.Fatal("refused and yet read")
		}
		for _, v := range []gpu.Value{m.graphics, m.controllers, m.partitions[0], m.partitions[7], m.xgmiUp[3]} {
			if n, _ := v.Get(); n < 0 || n > 1 {
				t.Fatalf("ratio %v", n)
			}
		}
		for _, v := range []gpu.Value{m.hotspot, m.memory} {
			if n, _ := v.Get(); n < 0 || n > 200 {
				t.Fatalf("temperature %v", n)
			}
		}
		for _, v := range []gpu.Value{m.energy, m.replays, m.xgmiRead[0], m.xgmiWritten[7]} {
			if n, _ := v.Get(); n < 0 || n > maxCounter*1024 {
				t.Fatalf("counter %v", n)
			}
		}
		var h history
		h.follow(&m)
		m.clock++
		h.follow(&m)
		for _, x := range h.times() {
			if x.Time < 0 || x.Time > maxGap {
				t.Fatalf("held back for %v", x.Time)
			}
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add([]byte("ue: 0\nce: 4\nde: 1\n"))
	f.Add([]byte("0x027f5d43 : 0x00001000 : R\n0x1 : 0x1000 : P\n"))
	f.Add([]byte("0: 500Mhz\n1: 31Mhz *\nS: 19Mhz\n"))
	f.Add([]byte("simd_count 1216\nlocation_id 3072\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ue, ce := parseErrors(b)
		for _, v := range []gpu.Value{ue, ce, parseHighest(b)} {
			if n, _ := v.Get(); n < 0 || n > 1<<63 {
				t.Fatalf("%v", n)
			}
		}
		if p, ok := parseBadPages(b); ok && p.reserved+p.pending+p.failed > len(b) {
			t.Fatalf("%+v", p)
		}
		properties(b)
		listedName(b, "744c", "c8")
	})
}

func TestBadPages(t *testing.T) {
	for text, want := range map[string]struct {
		pages badPages
		ok    bool
	}{
		"": {ok: true},
		"0x1 : 0x1000 : R\n0x2 : 0x1000 : F\n0x3 : 0x1000 : P\n0x4 : 0x1000 : R\n": {badPages{2, 1, 1}, true},
		"0x1 : 0x1000 : R\n0x2 : 0x10":                                             {},
		"0x1 : 0x1000 : Q":                                                         {},
		"permission denied":                                                        {},
	} {
		if pages, ok := parseBadPages([]byte(text)); pages != want.pages || ok != want.ok {
			t.Errorf("%q: %+v, %v", text, pages, ok)
		}
	}
}
