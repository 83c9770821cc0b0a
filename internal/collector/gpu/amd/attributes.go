package amd

import "encoding/binary"

// Since revision 1.9 gpu_metrics describes itself: behind the header stands a number of attributes, each a word that says
// what it is and how many values of which type follow, without padding (enum amdgpu_metrics_attr_id and
// AMDGPU_METRICS_ENC_ATTR of kgd_pp_interface.h, DECLARE_SMU_METRICS_CLASS of swsmu/smu_cmn.h).
const (
	attributesAt  = 8 // behind the header and the number
	maxAttributes = 1024
)

// Attributes that we read, with the type that they must have.
const (
	attrHotspot     = 0
	attrMemory      = 1
	attrPower       = 3
	attrGraphics    = 4
	attrControllers = 5
	attrEnergy      = 7
	attrClock       = 8
	attrCycles      = 9 // to 14: cycles, then those in which a limit held the GPU back
	attrCyclesEnd   = 14
	attrReplays     = 25
	attrXGMIRead    = 29
	attrXGMIWritten = 30
	attrXGMIStatus  = 31
)

// typeSizes are the sizes of enum amdgpu_metrics_attr_type.
var typeSizes = [...]int{1, 1, 2, 2, 4, 4, 8, 8}

const (
	typeU16 = 2
	typeU32 = 4
	typeU64 = 6
)

// decodeAttributes decodes all attributes or none: they must fill b to its end.
func (m *metrics) decodeAttributes(b []byte) bool {
	if len(b) < attributesAt {
		return false
	}
	count := int(binary.LittleEndian.Uint32(b[headerSize:]))
	if count <= 0 || count > maxAttributes {
		return false
	}
	found := metrics{format: m.format, content: m.content, energyUnit: true}
	rest := b[attributesAt:]
	for range count {
		if len(rest) < 8 {
			return false
		}
		code := binary.LittleEndian.Uint64(rest)
		kind, id, n := int(code>>20&0xf), int(code>>10&0x3ff), int(code&0x3ff)
		if code>>32 != 0 || kind >= len(typeSizes) || n == 0 {
			return false
		}
		size := n * typeSizes[kind]
		if rest = rest[8:]; len(rest) < size {
			return false
		}
		found.attribute(id, kind, n, rest[:size])
		rest = rest[size:]
	}
	if len(rest) != 0 {
		return false
	}
	*m = found
	return true
}

func (m *metrics) attribute(id, kind, n int, b []byte) {
	switch {
	case kind == typeU16 && id == attrHotspot:
		m.hotspot = celsius(u16(b, 0))
	case kind == typeU16 && id == attrMemory:
		m.memory = celsius(u16(b, 0))
	case kind == typeU16 && id == attrPower:
		m.power = positive(u16(b, 0))
	case kind == typeU16 && id == attrGraphics:
		m.graphics = percent(u16(b, 0))
	case kind == typeU16 && id == attrControllers:
		m.controllers = percent(u16(b, 0))
	case kind == typeU64 && id == attrEnergy:
		m.energy = positive(u64(b, 0))
	case kind == typeU64 && id == attrClock:
		if c, ok := u64(b, 0); ok {
			m.clock = c
		}
	case kind == typeU32 && id >= attrCycles && id <= attrCyclesEnd:
		m.residency.cycles[id-attrCycles].set(u32(b, 0))
	case kind == typeU64 && id == attrReplays:
		m.replays = counter(u64(b, 0))
	case kind == typeU64 && id == attrXGMIRead:
		for i := range min(n, xgmiLinks) {
			m.xgmiRead[i] = kilobytes(u64(b, 8*i))
		}
	case kind == typeU64 && id == attrXGMIWritten:
		for i := range min(n, xgmiLinks) {
			m.xgmiWritten[i] = kilobytes(u64(b, 8*i))
		}
	case kind == typeU16 && id == attrXGMIStatus:
		for i := range min(n, xgmiLinks) {
			m.xgmiUp[i] = up(u16(b, 2*i))
		}
	}
}
