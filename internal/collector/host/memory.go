package host

import (
	"bytes"
	"context"
	"fmt"
	"runtime"

	"github.com/shirou/gopsutil/v4/mem"

	"github.com/stackscope/stackscope/internal/catalog"
)

// memoryReader reads memory and swap, which are exported apart from each other.
type memoryReader struct {
	*rooted

	info watched
	buf  []byte
}

func newMemory(r *rooted) *memoryReader {
	return &memoryReader{rooted: r, info: r.watch("proc", "meminfo")}
}

func (m *memoryReader) read(ctx context.Context) ([]sample, error) {
	total, used, err := m.memory(ctx)
	switch {
	case err != nil:
		return nil, err
	case total == 0:
		return nil, fmt.Errorf("memory: %w", errZero)
	}
	return []sample{
		{metric: &catalog.WorkerNodeMemoryTotal, value: float64(total)},
		{metric: &catalog.WorkerNodeMemoryUsed, value: float64(used)},
		{metric: &catalog.WorkerNodeMemoryUtilization, value: rate(float64(used), float64(total))},
	}, nil
}

// memory returns what there is and what is not available to programs, in bytes. gopsutil, which estimates what kernels before
// 3.14 do not tell, reads all lines of the file at a tenfold price.
func (m *memoryReader) memory(ctx context.Context) (total, used uint64, err error) {
	if runtime.GOOS == "linux" {
		text, err := m.info.read(&m.buf)
		if err != nil {
			return 0, 0, err
		}
		if total, available, ok := parseMemory(text, "MemTotal:", "MemAvailable:"); ok {
			return total, total - available, nil
		}
	}
	v, err := mem.VirtualMemoryWithContext(m.context(ctx))
	if err != nil {
		return 0, 0, err
	}
	return v.Total, v.Used, nil
}

// readSwap reads /proc/meminfo itself, because gopsutil does not look below the root for swap. A machine without swap has 0
// bytes of it.
func (m *memoryReader) readSwap(ctx context.Context) ([]sample, error) {
	var total, free uint64
	if runtime.GOOS == "linux" {
		text, err := m.info.read(&m.buf)
		if err != nil {
			return nil, err
		}
		var ok bool
		if total, free, ok = parseMemory(text, "SwapTotal:", "SwapFree:"); !ok {
			return nil, fmt.Errorf("%s does not tell SwapTotal and SwapFree in kB", m.info.path)
		}
	} else {
		s, err := mem.SwapMemoryWithContext(m.context(ctx))
		if err != nil {
			return nil, err
		}
		total, free = s.Total, min(s.Free, s.Total)
	}
	return []sample{
		{metric: &catalog.WorkerNodeSwapTotal, value: float64(total)},
		{metric: &catalog.WorkerNodeSwapUsed, value: float64(total - free)},
	}, nil
}

// parseMemory finds a whole and a part of it, in bytes, in a meminfo file, which has lines such as "MemTotal:  1024 kB".
func parseMemory(text []byte, whole, part string) (total, free uint64, ok bool) {
	var hasTotal, hasFree bool
	for line := range bytes.Lines(text) {
		if v, found := memoryLine(line, whole); found {
			total, hasTotal = v, true
		} else if v, found := memoryLine(line, part); found {
			free, hasFree = v, true
		}
	}
	if !hasTotal || !hasFree || free > total {
		return 0, 0, false
	}
	return total, free, true
}

func memoryLine(line []byte, key string) (size uint64, ok bool) {
	const most = 1 << 50 // kB that a machine may have
	rest, ok := bytes.CutPrefix(line, []byte(key))
	if !ok {
		return 0, false
	}
	rest, ok = bytes.CutSuffix(bytes.TrimSpace(rest), []byte(" kB"))
	if !ok {
		return 0, false
	}
	v, ok := number(bytes.TrimSpace(rest))
	if !ok || v > most {
		return 0, false
	}
	return v << 10, true
}
