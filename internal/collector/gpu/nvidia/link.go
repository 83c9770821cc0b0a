//go:build linux && cgo

package nvidia

import (
	"strconv"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

const linkType = "nvlink"

// linkErrors are the counters of NVLink up to its fourth generation.
var linkErrors = []struct {
	kind    string
	counter nvml.NvLinkErrorCounter
}{
	{"crc_flit", nvml.NVLINK_ERROR_DL_CRC_FLIT},
	{"crc_data", nvml.NVLINK_ERROR_DL_CRC_DATA},
	{"replay", nvml.NVLINK_ERROR_DL_REPLAY},
	{"recovery", nvml.NVLINK_ERROR_DL_RECOVERY},
	{"ecc", nvml.NVLINK_ERROR_DL_ECC_DATA},
}

// Fields of a link. Those that count errors came with NVLink's fifth generation.
var (
	linkTraffic = []uint32{
		nvml.FI_DEV_NVLINK_THROUGHPUT_DATA_RX, nvml.FI_DEV_NVLINK_THROUGHPUT_DATA_TX, // KiB
		nvml.FI_DEV_NVLINK_COUNT_RCV_BYTES, nvml.FI_DEV_NVLINK_COUNT_XMIT_BYTES,
	}
	linkErrorFields = []struct {
		kind string
		id   uint32
	}{
		{"malformed_packet", nvml.FI_DEV_NVLINK_COUNT_MALFORMED_PACKET_ERRORS},
		{"buffer_overrun", nvml.FI_DEV_NVLINK_COUNT_BUFFER_OVERRUN_ERRORS},
		{"receive", nvml.FI_DEV_NVLINK_COUNT_RCV_ERRORS},
		{"link_integrity", nvml.FI_DEV_NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS},
		{"link_recovery", nvml.FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS},
		{"link_recovery_failed", nvml.FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS},
		{"symbol", nvml.FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS},
	}
)

// linkCount is how many links the GPU has. Drivers that don't tell are asked for each that there could be.
func (c *device) linkCount() int {
	if _, ok := c.links.Get(); !ok {
		c.eachField([]field{{id: nvml.FI_DEV_NVLINK_LINK_COUNT}}, func(_ field, n float64) { c.links = gpu.Known(n) })
	}
	if n, ok := c.links.Get(); ok {
		return min(int(n), nvml.NVLINK_MAX_LINKS)
	}
	return nvml.NVLINK_MAX_LINKS
}

// readLinks reads the state of all links, and the counters of those that are up.
func (c *device) readLinks() []gpu.Link {
	var out []gpu.Link
	var wanted []field
	at := map[uint32]int{} // scope -> position in out
	for i := range c.linkCount() {
		state, ok := askFor(c, key{askLinkState, i}, func() (nvml.EnableState, nvml.Return) { return c.handle.GetNvLinkState(i) })
		if !ok {
			continue
		}
		link := gpu.Link{Type: linkType, Name: strconv.Itoa(i), Up: yesNo(state == nvml.FEATURE_ENABLED)}
		if state == nvml.FEATURE_ENABLED {
			link.Errors = c.readLinkErrors(i)
			scope := uint32(i)
			at[scope] = len(out)
			for _, id := range linkTraffic {
				wanted = append(wanted, field{id, scope})
			}
			for _, e := range linkErrorFields {
				wanted = append(wanted, field{e.id, scope})
			}
		}
		out = append(out, link)
	}
	c.eachField(wanted, func(f field, v float64) { fillLink(&out[at[f.scope]], f.id, v) })
	return out
}

func (c *device) readLinkErrors(link int) []gpu.LinkError {
	var out []gpu.LinkError
	for _, e := range linkErrors {
		v := numberFor(c, key{askLinkErrors, int(e.counter)<<8 | link}, func() (uint64, nvml.Return) { return c.handle.GetNvLinkErrorCounter(link, e.counter) })
		if n, ok := v.Get(); ok {
			out = append(out, gpu.LinkError{Kind: e.kind, Count: n})
		}
	}
	return out
}

// fillLink takes a field's value. Fields come in the order of linkTraffic: what counts bytes replaces what counts KiB.
func fillLink(link *gpu.Link, id uint32, v float64) {
	switch id {
	case nvml.FI_DEV_NVLINK_THROUGHPUT_DATA_RX:
		link.Received = gpu.Known(v * 1024)
		return
	case nvml.FI_DEV_NVLINK_THROUGHPUT_DATA_TX:
		link.Transmitted = gpu.Known(v * 1024)
		return
	case nvml.FI_DEV_NVLINK_COUNT_RCV_BYTES:
		link.Received = gpu.Known(v)
		return
	case nvml.FI_DEV_NVLINK_COUNT_XMIT_BYTES:
		link.Transmitted = gpu.Known(v)
		return
	}
	for _, e := range linkErrorFields {
		if e.id == id {
			link.Errors = append(link.Errors, gpu.LinkError{Kind: e.kind, Count: v})
		}
	}
}
