package host

import (
	"strings"
	"testing"
)

func TestCores(t *testing.T) {
	long := "flags\t\t: " + strings.Repeat("processor : 1 ", 1000) + "\n"
	for name, c := range map[string]struct {
		cpuinfo, stat string
		want          int
	}{
		"x86":         {"processor\t: 0\nmodel name : y\n" + long + "\nprocessor\t: 1\n" + long, "", 2},
		"no line end": {"processor : 0", "", 1},
		"s390x":       {"vendor_id       : IBM/S390\n# processors    : 2\nprocessor 0: version = FF,  identification = 1\n", "cpu  1 2 3 4\ncpu0 1\ncpu1 1\ncpufreq 1\nintr 3\n", 2},
		"stat alone":  {"", "cpu  1 2 3 4\ncpu0 1\n", 1},
		"none":        {"model : x\n", "cpu  1 2 3 4\n", 0},
	} {
		c2 := newCPUReader(tree(t, map[string]string{"proc/cpuinfo": c.cpuinfo, "proc/stat": c.stat}))
		err := c2.countCores()
		if c2.cores != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%s: %d cores, error %v", name, c2.cores, err)
		}
	}
}
