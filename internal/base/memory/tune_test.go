package memory

import "testing"

func TestTune(t *testing.T) {
	const gib = 1 << 30
	for _, tt := range []struct {
		name    string
		limit   Bound
		env     map[string]string
		percent int   // 0: is left alone
		bytes   int64 // 0: is left alone
	}{
		{"a container", Bound{gib, "/sys/fs/cgroup/memory.max", true}, nil, garbagePercent, gib / 100 * 90},
		{"a machine", Bound{gib, "the machine's memory", false}, nil, garbagePercent, 0},
		{"nobody knows", Bound{}, nil, garbagePercent, 0},
		{"GOGC is set", Bound{gib, "", true}, map[string]string{"GOGC": "200"}, 0, gib / 100 * 90},
		{"GOMEMLIMIT is set", Bound{gib, "", true}, map[string]string{"GOMEMLIMIT": "2GiB"}, garbagePercent, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var percent int
			var bytes int64
			tune(tt.limit, func(name string) string { return tt.env[name] },
				func(p int) int { percent = p; return 0 }, func(b int64) int64 { bytes = b; return 0 })
			if percent != tt.percent || bytes != tt.bytes {
				t.Errorf("%d %%, %d bytes; want %d, %d", percent, bytes, tt.percent, tt.bytes)
			}
		})
	}
}
