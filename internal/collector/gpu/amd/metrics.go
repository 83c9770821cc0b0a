package amd

import (
	"encoding/binary"
	"math"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

const (
	headerSize = 4
	xgmiLinks  = 8 // NUM_XGMI_LINKS
	partitions = 8 // NUM_XCP
	engines    = 8 // MAX_XCC: compute engines of a partition
)

// layout is where a revision of gpu_metrics keeps what we read, as offsets from its begin; 0: it doesn't have it. The layouts
// are struct gpu_metrics_v1_* of the kernel's drivers/gpu/drm/amd/include/kgd_pp_interface.h with the alignment of C. Revision
// 1.6 has two, of which the longer one came with ROCm's driver and stayed; the size tells them apart.
type layout struct {
	content, size                                 int
	hotspot, memory, power, graphics, controllers int // 16 bits: °C, W, %
	energy                                        int // 64 bits: 2^-16 J where energyUnit says so
	clock                                         int // 64 bits: ns
	throttle                                      int // 32 bits, of the MI300 series
	independent                                   int // 64 bits, the same for all GPUs
	residency                                     int // 6 x 32 bits: cycles, then cycles in which a limit held the GPU back
	replays                                       int // 64 bits
	xgmiRead, xgmiWritten                         int // 8 x 64 bits: KB
	xgmiStatus                                    int // 8 x 16 bits
	partition, partitionSize                      int // 8 structs; each begins with 8 x 32 bits: % of each engine
	energyUnit                                    bool
}

var layouts = []layout{
	{content: 1, size: 96, hotspot: 6, memory: 8, power: 22, graphics: 16, controllers: 18, energy: 24, clock: 32},
	{content: 2, size: 104, hotspot: 6, memory: 8, power: 22, graphics: 16, controllers: 18, energy: 24, clock: 32},
	{content: 3, size: 120, hotspot: 6, memory: 8, power: 22, graphics: 16, controllers: 18, energy: 24, clock: 32, independent: 112},
	{
		content: 4, size: 288, hotspot: 4, memory: 6, power: 10, graphics: 12, controllers: 14, energy: 24, clock: 32, throttle: 40,
		replays: 88, xgmiRead: 104, xgmiWritten: 168, energyUnit: true,
	},
	{
		content: 5, size: 360, hotspot: 4, memory: 6, power: 10, graphics: 12, controllers: 14, energy: 88, clock: 96, throttle: 104,
		replays: 152, xgmiRead: 176, xgmiWritten: 240, energyUnit: true,
	},
	{
		content: 6, size: 384, hotspot: 4, memory: 6, power: 10, graphics: 12, controllers: 14, energy: 88, clock: 96, residency: 104,
		replays: 176, xgmiRead: 200, xgmiWritten: 264, energyUnit: true,
	},
	{
		content: 6, size: 1664, hotspot: 4, memory: 6, power: 10, graphics: 12, controllers: 14, energy: 16, clock: 24, residency: 32,
		replays: 104, xgmiRead: 128, xgmiWritten: 192, partition: 312, partitionSize: 168, energyUnit: true,
	},
	{
		content: 7, size: 2208, hotspot: 4, memory: 6, power: 10, graphics: 12, controllers: 14, energy: 24, clock: 32, residency: 40,
		replays: 112, xgmiRead: 136, xgmiWritten: 200, xgmiStatus: 264, partition: 344, partitionSize: 232, energyUnit: true,
	},
	{
		content: 8, size: 3872, hotspot: 4, memory: 6, power: 10, graphics: 12, controllers: 14, energy: 24, clock: 32, residency: 40,
		replays: 112, xgmiRead: 136, xgmiWritten: 200, xgmiStatus: 264, partition: 344, partitionSize: 440, energyUnit: true,
	},
}

// metrics is what we read of gpu_metrics.
type metrics struct {
	format, content uint8
	processor       bool // the graphics unit of a processor

	hotspot, memory, power, graphics, controllers gpu.Value // °C, W, ratios
	energy                                        gpu.Value // 2^-16 J
	energyUnit                                    bool      // energy is in that unit on every GPU
	clock                                         uint64    // ns; 0: not known

	throttles     reasons
	tellable      reasons // those that the GPU could tell
	throttleKnown bool
	residency     residency

	replays               gpu.Value
	xgmiRead, xgmiWritten [xgmiLinks]gpu.Value // bytes
	xgmiUp                [xgmiLinks]gpu.Value
	partitions            [partitions]gpu.Value // ratio of its engines' time
}

// decodeMetrics decodes the content of gpu_metrics. Of a revision that we don't know it returns the number and false.
func decodeMetrics(b []byte, m *metrics) bool {
	*m = metrics{}
	if len(b) < headerSize {
		return false
	}
	size := int(binary.LittleEndian.Uint16(b))
	m.format, m.content = b[2], b[3]
	m.processor = m.format == 2 || m.format == 3
	if size > len(b) || m.format != 1 {
		return false
	}
	b = b[:size]
	if m.content == 9 {
		return m.decodeAttributes(b)
	}
	for _, l := range layouts {
		if l.content == int(m.content) && l.size == size {
			m.decode(b, l)
			return true
		}
	}
	return false
}

func (m *metrics) decode(b []byte, l layout) {
	m.hotspot, m.memory = celsius(u16(b, l.hotspot)), celsius(u16(b, l.memory))
	m.power = positive(u16(b, l.power))
	m.graphics, m.controllers = percent(u16(b, l.graphics)), percent(u16(b, l.controllers))
	m.energy, m.energyUnit = positive(u64(b, l.energy)), l.energyUnit
	if n, ok := u64(b, l.clock); ok {
		m.clock = n
	}
	if l.throttle > 0 {
		m.throttleMI300(u32(b, l.throttle))
	}
	if l.independent > 0 {
		m.throttleIndependent(u64(b, l.independent))
	}
	if l.residency > 0 {
		for i := range m.residency.cycles {
			m.residency.cycles[i].set(u32(b, l.residency+4*i))
		}
	}
	if l.replays > 0 {
		m.replays = counter(u64(b, l.replays))
	}
	for i := range xgmiLinks {
		if l.xgmiRead > 0 {
			m.xgmiRead[i], m.xgmiWritten[i] = kilobytes(u64(b, l.xgmiRead+8*i)), kilobytes(u64(b, l.xgmiWritten+8*i))
		}
		if l.xgmiStatus > 0 {
			m.xgmiUp[i] = up(u16(b, l.xgmiStatus+2*i))
		}
	}
	if l.partition > 0 {
		for i := range m.partitions {
			m.partitions[i] = meanBusy(b[l.partition+i*l.partitionSize:])
		}
	}
}

// meanBusy is the mean of a partition's engines, which stand at the begin of b. Engines that it doesn't have are all ones.
func meanBusy(b []byte) gpu.Value {
	var sum, n uint64
	for i := range engines {
		if busy, ok := u32(b, 4*i); ok && busy <= 100 {
			sum += busy
			n++
		}
	}
	if n == 0 {
		return gpu.Value{}
	}
	return gpu.Known(float64(sum) / float64(100*n))
}

// The driver fills what it doesn't know with ones.

func u16(b []byte, at int) (uint64, bool) {
	n := binary.LittleEndian.Uint16(b[at:])
	return uint64(n), n != math.MaxUint16
}

func u32(b []byte, at int) (uint64, bool) {
	n := binary.LittleEndian.Uint32(b[at:])
	return uint64(n), n != math.MaxUint32
}

func u64(b []byte, at int) (uint64, bool) {
	n := binary.LittleEndian.Uint64(b[at:])
	return n, n != math.MaxUint64
}

// celsius takes 0 for a sensor that isn't there, as the driver writes it.
func celsius(n uint64, ok bool) gpu.Value {
	if !ok || n == 0 || n > 200 {
		return gpu.Value{}
	}
	return gpu.Known(float64(n))
}

func percent(n uint64, ok bool) gpu.Value {
	if !ok || n > 100 {
		return gpu.Value{}
	}
	return gpu.Known(float64(n) / 100)
}

// maxCounter is more than any counter here reaches, and what a float64 still holds exactly.
const maxCounter = 1 << 53

func counter(n uint64, ok bool) gpu.Value {
	if !ok || n > maxCounter {
		return gpu.Value{}
	}
	return gpu.Known(float64(n))
}

func positive(n uint64, ok bool) gpu.Value { return counter(n, ok && n > 0) }

// kilobytes are 1024 bytes: the firmware counts in binary fractions of them.
func kilobytes(n uint64, ok bool) gpu.Value {
	if v, ok := counter(n, ok).Get(); ok {
		return gpu.Known(v * 1024)
	}
	return gpu.Value{}
}

func up(n uint64, ok bool) gpu.Value {
	if !ok || n > 1 {
		return gpu.Value{}
	}
	return gpu.Known(float64(n))
}
