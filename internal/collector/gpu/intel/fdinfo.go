package intel

import (
	"bytes"
	"strconv"
	"strings"
)

const maxEngines = 16

// client is what a driver tells of one use of a GPU by a process (Documentation/gpu/drm-usage-stats.rst).
type client struct {
	driver, pci string
	id          uint64
	memory      int64 // bytes of the GPU's own memory that are resident; negative: not told
	engines     []engine
	asleep      bool // the GPU sleeps: nothing else is known
}

// engine is the time of a class of engines that a client had: of i915 in ns (total is 0), of xe in cycles out of a total.
type engine struct {
	class       string
	busy, total uint64
	capacity    uint64 // engines of the class; 1 if not told
}

// parseFdinfo parses the fdinfo of a file of a GPU. ok is false if it isn't one of i915 or xe.
func parseFdinfo(b []byte) (c client, ok bool) {
	c.memory = -1
	known := false
	total := int64(-1) // of drivers that don't tell what is resident
	for line := range bytes.Lines(b) {
		key, value, _ := strings.Cut(string(line), ":")
		key, ours := strings.CutPrefix(key, "drm-")
		if !ours {
			continue
		}
		value = strings.TrimSpace(value)
		switch {
		case key == "driver":
			c.driver = value
		case key == "pdev":
			c.pci = strings.ToLower(value)
		case key == "client-id":
			n, err := strconv.ParseUint(value, 10, 64)
			c.id, known = n, err == nil
		case local(key, "resident-"):
			c.memory = addSize(c.memory, value)
		case local(key, "total-"):
			total = addSize(total, value)
		default:
			c.addEngine(key, value)
		}
	}
	if c.memory < 0 {
		c.memory = total
	}
	return c, known && c.pci != "" && (c.driver == "i915" || c.driver == "xe")
}

// local reports whether a key is about memory of the GPU: vram0 in xe, local0 in i915.
func local(key, prefix string) bool {
	region, ok := strings.CutPrefix(key, prefix)
	return ok && (numberedName(region, "vram") || numberedName(region, "local"))
}

func numberedName(s, prefix string) bool {
	number, ok := strings.CutPrefix(s, prefix)
	return ok && len(number) <= 2 && strings.Trim(number, "0123456789") == ""
}

const maxMemory = 1 << 50

// addSize adds a size ("51200 KiB") to a sum, which is negative if nothing was added yet.
func addSize(sum int64, value string) int64 {
	number, unit, _ := strings.Cut(value, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > maxMemory {
		return sum
	}
	switch strings.TrimSpace(unit) {
	case "", "B":
	case "KiB":
		n <<= 10
	case "MiB":
		n <<= 20
	case "GiB":
		n <<= 30
	default:
		return sum
	}
	if n < 0 || n > maxMemory || max(sum, 0)+n > maxMemory {
		return sum
	}
	return max(sum, 0) + n
}

// addEngine reads engine-<class>, engine-capacity-<class>, cycles-<class> and total-cycles-<class>.
func (c *client) addEngine(key, value string) {
	number, _, _ := strings.Cut(value, " ")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return
	}
	for _, f := range []struct {
		prefix string
		set    func(*engine)
	}{
		{"engine-capacity-", func(e *engine) { e.capacity = max(1, n) }},
		{"engine-", func(e *engine) { e.busy = n }},
		{"cycles-", func(e *engine) { e.busy = n }},
		{"total-cycles-", func(e *engine) { e.total = n }},
	} {
		class, ok := strings.CutPrefix(key, f.prefix)
		if !ok {
			continue
		}
		if e := c.engine(class); e != nil {
			f.set(e)
		}
		return
	}
}

// engine returns the class's entry, a new one if there is room.
func (c *client) engine(class string) *engine {
	for i := range c.engines {
		if c.engines[i].class == class {
			return &c.engines[i]
		}
	}
	if class == "" || len(c.engines) == maxEngines {
		return nil
	}
	c.engines = append(c.engines, engine{class: class, capacity: 1})
	return &c.engines[len(c.engines)-1]
}

// busy is the share of the class's engines that the client had since the reading before. elapsed is in ns.
func (e engine) busySince(last engine, elapsed float64) (float64, bool) {
	if e.busy < last.busy || e.capacity == 0 {
		return 0, false
	}
	span := elapsed
	if e.total > 0 || last.total > 0 {
		if e.total <= last.total {
			return 0, false
		}
		span = float64(e.total - last.total)
	}
	if span <= 0 {
		return 0, false
	}
	return min(1, float64(e.busy-last.busy)/span/float64(e.capacity)), true
}
