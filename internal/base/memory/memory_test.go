package memory

import (
	"math"
	"strings"
	"testing"
	"testing/fstest"
)

const gib = 1 << 30

func TestLimitIsTheSmallestBound(t *testing.T) {
	t.Parallel()
	meminfo := "MemTotal:       8388608 kB\nMemFree:        1 kB\n"
	for name, tc := range map[string]struct {
		files   map[string]string
		runtime int64
		want    Bound
	}{
		"nothing to read": {runtime: math.MaxInt64, want: Bound{}},
		"machine":         {files: map[string]string{"proc/meminfo": meminfo}, runtime: math.MaxInt64, want: Bound{8 * gib, "the machine's memory", false}},
		"GOMEMLIMIT":      {files: map[string]string{"proc/meminfo": meminfo}, runtime: 2 * gib, want: Bound{2 * gib, "GOMEMLIMIT", false}},
		"larger GOMEMLIMIT": {
			files: map[string]string{"proc/meminfo": meminfo}, runtime: 16 * gib, want: Bound{8 * gib, "the machine's memory", false},
		},
		"version 2": {
			files: map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/stackscope.service\n",
				"sys/fs/cgroup/system.slice/stackscope.service/memory.max": "1073741824\n",
			},
			runtime: 2 * gib, want: Bound{gib, "/sys/fs/cgroup/system.slice/stackscope.service/memory.max", true},
		},
		"version 2, of a group above": {
			files: map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/stackscope.service\n",
				"sys/fs/cgroup/system.slice/memory.high":                   "3221225472\n",
				"sys/fs/cgroup/system.slice/stackscope.service/memory.max": "max\n",
			},
			runtime: math.MaxInt64, want: Bound{3 * gib, "/sys/fs/cgroup/system.slice/memory.high", true},
		},
		"version 2, in a container": {
			files:   map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"},
			runtime: math.MaxInt64, want: Bound{gib / 2, "/sys/fs/cgroup/memory.max", true},
		},
		"version 1": {
			files: map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes":            "9223372036854771712\n",
				"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "1073741824\n",
			},
			runtime: math.MaxInt64, want: Bound{gib, "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", true},
		},
		"version 1, in a container": {
			files: map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "4:hugetlb,memory:/docker/abc\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
			},
			runtime: math.MaxInt64, want: Bound{gib, "/sys/fs/cgroup/memory/memory.limit_in_bytes", true},
		},
		"damaged": {
			files: map[string]string{
				"proc/meminfo": "MemTotal: lots kB\n", "proc/self/cgroup": "nonsense\n4:memory:/../../etc\n",
				"sys/fs/cgroup/memory.max": "-5\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "",
			},
			runtime: math.MaxInt64, want: Bound{},
		},
		"unlimited": {
			files: map[string]string{
				"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			},
			runtime: math.MaxInt64, want: Bound{8 * gib, "the machine's memory", false},
		},
	} {
		files := fstest.MapFS{}
		for file, text := range tc.files {
			files[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := limit(files, tc.runtime); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
	}
	if huge := machine(fstest.MapFS{"proc/meminfo": {Data: []byte("MemTotal: " + strings.Repeat("9", 19) + " kB\n")}}); huge != 0 {
		t.Errorf("a number that is none gives %d", huge)
	}
}
