package ascend

import (
	"fmt"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

// fields are the lines "key : value" of a part of an output.
type fields map[string]string

// mcu is the place of what npu-smi prints of an NPU's management controller, beside its chips.
const mcu = "mcu"

// parseFields reads an output that is about one NPU or chip. A key that comes twice makes it one that is not understood.
func parseFields(version string, out []byte) (fields, error) {
	f := fields{}
	for line := range strings.Lines(string(out)) {
		if key, value, ok := keyValue(line); ok && !f.add(key, value) {
			return nil, smi.Unrecognized(tool, version, "a key that comes once", line)
		}
	}
	return f, nil
}

// parseChips reads an output that is about all chips of an NPU: chip ID, or mcu, to its fields. The line with the chip's ID
// stands before its fields in some outputs and behind them in others; an NPU that has one chip and no IDs for chips has it
// as "0".
func parseChips(version string, out []byte) (map[string]fields, error) {
	var (
		chips   = map[string]fields{}
		current = fields{}
		leading bool // the ID stands before the fields
		line    string
	)
	fault := func(wanted string) error { return smi.Unrecognized(tool, version, wanted, strings.TrimSpace(line)) }
	for line = range strings.Lines(string(out)) {
		key, value, ok := keyValue(line)
		var id string
		switch {
		case !ok, key == "NPU ID", key == "Chip Count", key == "":
			continue
		case key == "Chip ID":
			id = value
		case key == "Chip Name": // of a controller; chips are told by their ID
			id = strings.ToLower(value)
		default:
			if !current.add(key, value) {
				return nil, fault("a key that comes once for each chip")
			}
			continue
		}
		if _, twice := chips[id]; twice || len(chips) == maxChips {
			return nil, fault(fmt.Sprintf("each chip once, and at most %d", maxChips))
		}
		if leading = leading || len(chips) == 0 && len(current) == 0; leading {
			current = fields{}
			chips[id] = current
		} else {
			chips[id], current = current, fields{}
		}
	}
	switch {
	case len(chips) == 0 && len(current) > 0:
		chips["0"] = current
	case !leading && len(current) > 0:
		return nil, fault("the chip's ID at the end")
	}
	return chips, nil
}

// keyValue splits a line at its first colon.
func keyValue(line string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, ":")
	return strings.TrimSpace(key), strings.TrimSpace(value), ok
}

func (f fields) add(key, value string) bool {
	if key == "" {
		return true // the line before goes on
	}
	if _, twice := f[key]; twice {
		return false
	}
	f[key] = value
	return true
}
