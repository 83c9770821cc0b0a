package hygon

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const maxDevices = 256

// deviceFields are the fields that hy-smi tells of each DCU, by its index; keys are in lower case, without a colon at their end.
type deviceFields struct {
	list   []string // indexes in the order of the output
	fields map[string]map[string]string
}

var (
	deviceKey = regexp.MustCompile(`^card(\d{1,4})$`)
	textLine  = regexp.MustCompile(`^(?:HCU|DCU|GPU)\[(\d{1,4})\]\s*:\s*([^:]+?)\s*:\s*(.*?)\s*$`)
)

// parseDevices reads JSON, or lines "HCU[0] : key: value".
func parseDevices(out []byte) (deviceFields, error) {
	text := string(out)
	c := deviceFields{fields: map[string]map[string]string{}}
	if i := strings.IndexByte(text, '{'); i >= 0 && !strings.Contains(text[:i], "[0]") {
		s := scanner{rest: text[i:]}
		if err := s.object(func(key string) error { return c.addJSON(&s, key) }); err != nil {
			return deviceFields{}, smi.Unrecognized(tool, "", "JSON: "+err.Error(), s.rest)
		}
	} else {
		for line := range strings.Lines(text) {
			if m := textLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil && !c.add(m[1], m[2], m[3]) {
				return deviceFields{}, smi.Unrecognized(tool, "", "each field of a DCU once", strings.TrimSpace(line))
			}
		}
	}
	if len(c.list) == 0 {
		return deviceFields{}, smi.Unrecognized(tool, "", "DCUs, as JSON or as lines HCU[n]", strings.TrimSpace(text))
	}
	return c, nil
}

func (c *deviceFields) addJSON(s *scanner, key string) error {
	m := deviceKey.FindStringSubmatch(key)
	if m != nil && slices.Contains(c.list, m[1]) {
		return errors.New("a DCU twice")
	}
	return s.object(func(name string) error {
		value, err := s.text()
		if err == nil && m != nil && !c.add(m[1], name, value) {
			err = errors.New("a field twice")
		}
		return err
	})
}

// add adds a field; false if the DCU has it already, or if there are too many DCUs.
func (c *deviceFields) add(index, key, value string) bool {
	f := c.fields[index]
	if f == nil {
		if len(c.list) == maxDevices {
			return false
		}
		f = map[string]string{}
		c.fields[index] = f
		c.list = append(c.list, index)
	}
	key = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(key), ":"))
	if key == "" {
		return true // separators, in some versions
	}
	if _, twice := f[key]; twice {
		return false
	}
	f[key] = strings.TrimSpace(value)
	return true
}

// scanner reads JSON objects of strings and numbers in which commas may be missing.
type scanner struct{ rest string }

func (s *scanner) skip(also string) { s.rest = strings.TrimLeft(s.rest, " \t\r\n"+also) }

func (s *scanner) take(b byte) bool {
	s.skip("")
	if s.rest == "" || s.rest[0] != b {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// object calls member for each key, which has to read the value.
func (s *scanner) object(member func(key string) error) error {
	if !s.take('{') {
		return errors.New("an object")
	}
	for {
		s.skip(",")
		if s.take('}') {
			return nil
		}
		key, err := s.quoted()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return errors.New("a colon")
		}
		if err := member(key); err != nil {
			return err
		}
	}
}

func (s *scanner) quoted() (string, error) {
	if s.skip(""); s.rest == "" || s.rest[0] != '"' {
		return "", errors.New("a string")
	}
	for end := 1; end < len(s.rest); end++ {
		switch s.rest[end] {
		case '\\':
			end++
		case '"':
			var text string
			if err := json.Unmarshal([]byte(s.rest[:end+1]), &text); err != nil {
				return "", errors.New("a string")
			}
			s.rest = s.rest[end+1:]
			return text, nil
		}
	}
	return "", errors.New("the end of a string")
}

// text is a string, or a number as it is written; null and the like are "".
func (s *scanner) text() (string, error) {
	if s.skip(""); strings.HasPrefix(s.rest, `"`) {
		return s.quoted()
	}
	end := strings.IndexAny(s.rest, ",}\"\n")
	if end <= 0 {
		return "", errors.New("a value")
	}
	word := strings.TrimSpace(s.rest[:end])
	if _, isNumber := smi.Number(word).Get(); !isNumber && !slices.Contains([]string{"null", "true", "false"}, word) {
		return "", errors.New("a string or number")
	}
	s.rest = s.rest[end:]
	return word, nil
}

// device is a DCU with what its fields say.
func device(index string, f map[string]string) gpu.Device {
	d := gpu.Device{Identity: gpu.Identity{Vendor: vendor, Index: index, Chip: "0", Name: "Hygon DCU"}}
	if series := smi.Text(f["card series"]); series != "" {
		d.Name = "Hygon " + strings.TrimPrefix(series, "Hygon ")
	}
	first := func(unit string, keys ...string) gpu.Value {
		for _, k := range keys {
			if v := smi.Quantity(f[k], unit); v != (gpu.Value{}) {
				return v
			}
		}
		return gpu.Value{}
	}
	d.Utilization = first("%", "hcu use (%)", "dcu use (%)", "gpu use (%)")
	d.Temperature = first("C", "temperature (sensor edge) (c)", "temperature (sensor junction) (c)", "temperature (sensor core) (c)")
	d.MemoryTemperature = first("C", "temperature (sensor mem) (c)", "temperature (sensor memory) (c)")
	d.PowerUsed = first("W", "average graphics package power (w)")
	for _, unit := range []string{"MiB", "B"} { // the unit stands in the field's name
		total := smi.Quantity(f["vram total memory ("+strings.ToLower(unit)+")"], unit)
		if total == (gpu.Value{}) {
			continue
		}
		d.MemoryTotal = total
		d.MemoryUsed = smi.Quantity(f["vram total used memory ("+strings.ToLower(unit)+")"], unit)
		break
	}
	for _, c := range []struct{ part, key string }{{"sm", "sclk clock speed"}, {"memory", "mclk clock speed"}} {
		if v := smi.Quantity(strings.Trim(f[c.key], "()"), "MHz"); v != (gpu.Value{}) {
			d.Clocks = append(d.Clocks, gpu.Clock{Part: c.part, Now: v})
		}
	}
	d.PCIe = pcie(f["pcie clock speed"])
	return d
}

var pcieSpeed = regexp.MustCompile(`^([0-9.]+)GT/s,? x(\d{1,2})\b`)

// pcie reads "32.0GT/s, x16 1100Mhz".
func pcie(s string) (p gpu.PCIe) {
	m := pcieSpeed.FindStringSubmatch(strings.Trim(s, "()"))
	if m == nil {
		return p
	}
	speed, _ := smi.Number(m[1]).Get()
	if g := slices.Index([]float64{2.5, 5, 8, 16, 32, 64}, speed); g >= 0 {
		p.Generation = gpu.Known(float64(g + 1))
	}
	p.Width = smi.Number(m[2])
	return p
}
