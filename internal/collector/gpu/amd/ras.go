package amd

import (
	"bytes"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

const (
	maxBlocks   = 32
	maxBadPages = 1 << 20
)

// block is a part of a GPU that counts its errors: ras/umc_err_count or, in later drivers, ras/aca_umc. It is read too
// rarely to stay open.
type block struct{ name, file string }

// findBlocks returns the error counters of a GPU, none on GPUs without such a feature.
func findBlocks(device *sysfs.Dir) []block {
	var blocks []block
	seen := map[string]bool{}
	for _, entry := range device.Names("ras") {
		name, counts := strings.CutSuffix(entry, "_err_count")
		if !counts {
			if name, counts = strings.CutPrefix(entry, "aca_"); !counts {
				continue
			}
		}
		if !seen[name] && name != "" && len(blocks) < maxBlocks {
			seen[name] = true
			blocks = append(blocks, block{name, "ras/" + entry})
		}
	}
	return blocks
}

// parseErrors parses a block's counters: "ue: 0", "ce: 3", later also "de: 0", which counts errors found and not yet used.
func parseErrors(b []byte) (ue, ce gpu.Value) {
	for line := range bytes.Lines(b) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		n, ok := sysfs.ParseInt(value)
		if !ok || n < 0 {
			continue
		}
		switch string(bytes.TrimSpace(key)) {
		case "ue":
			ue = gpu.Known(float64(n))
		case "ce":
			ce = gpu.Known(float64(n))
		}
	}
	return ue, ce
}

// badPages are a GPU's pages out of use.
type badPages struct{ reserved, pending, failed int }

// parseBadPages parses lines like "0x027f5d43 : 0x00001000 : R", none if no page is bad. One line of another form makes all
// of them unknown.
func parseBadPages(b []byte) (pages badPages, ok bool) {
	for line := range bytes.Lines(b) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		fields := bytes.Split(line, []byte(":"))
		if len(fields) != 3 {
			return badPages{}, false
		}
		switch string(bytes.TrimSpace(fields[2])) {
		case "R":
			pages.reserved++
		case "P":
			pages.pending++
		case "F":
			pages.failed++
		default:
			return badPages{}, false
		}
		if pages.reserved+pages.pending+pages.failed > maxBadPages {
			return badPages{}, false
		}
	}
	return pages, true
}

// ras is what was last read of a GPU's errors.
type ras struct {
	ecc             []gpu.ECC
	remapped        []gpu.Remapped
	pending, failed gpu.Value
}

// readRAS reads the error counters of a GPU.
func (c *device) readRAS(r *sysfs.Reader) ras {
	var out ras
	for _, b := range c.blocks {
		text, err := c.Device.Read(b.file, r.Buffer())
		if err != nil {
			continue
		}
		ue, ce := parseErrors(text)
		for _, e := range []struct {
			kind  string
			count gpu.Value
		}{{gpu.Corrected, ce}, {gpu.Uncorrected, ue}} {
			if n, ok := e.count.Get(); ok {
				out.ecc = append(out.ecc, gpu.ECC{Kind: e.kind, Location: b.name, Count: n})
			}
		}
	}
	if !c.Device.Has(badPagesName) {
		return out
	}
	// An empty list says that no page is bad.
	b, err := c.Device.Read(badPagesName, r.Buffer())
	if err != nil {
		return out
	}
	if pages, ok := parseBadPages(b); ok {
		out.remapped = []gpu.Remapped{{Cause: gpu.Uncorrected, Count: float64(pages.reserved)}}
		out.pending, out.failed = gpu.Known(float64(min(1, pages.pending))), gpu.Known(float64(min(1, pages.failed)))
	}
	return out
}

const badPagesName = "ras/gpu_vram_bad_pages"
