package host

import (
	"bytes"
	"context"
	"fmt"

	"github.com/stackscope/stackscope/internal/catalog"
)

// memoryReader reads memory and swap, which are exported apart from each other.
type memoryReader struct {
	info kernelFile
	buf  []byte
}

func newMemoryReader(r *hostFS) *memoryReader {
	return &memoryReader{info: r.kernelFile("proc", "meminfo")}
}

func (m *memoryReader) read(context.Context) ([]sample, error) {
	text, err := m.info.read(&m.buf)
	if err != nil {
		return nil, err
	}
	total, available, ok := parseMemory(text, "MemTotal:", "MemAvailable:")
	if !ok && !bytes.Contains(text, []byte("MemAvailable:")) {
		total, available, ok = estimateAvailable(text)
	}
	if !ok || total == 0 {
		return nil, fmt.Errorf("%s does not tell MemTotal and MemAvailable in kB", m.info.path)
	}
	used := float64(total - available)
	return []sample{
		{metric: &catalog.WorkerNodeMemoryTotal, value: float64(total)},
		{metric: &catalog.WorkerNodeMemoryUsed, value: used},
		{metric: &catalog.WorkerNodeMemoryUtilization, value: percent(used, float64(total))},
	}, nil
}

// estimateAvailable is for kernels before 3.14, which have no MemAvailable: what is free, and what only caches files.
func estimateAvailable(text []byte) (total, available uint64, ok bool) {
	total, available, ok = parseMemory(text, "MemTotal:", "MemFree:")
	for _, key := range []string{"Cached:", "SReclaimable:"} {
		if _, more, found := parseMemory(text, "MemTotal:", key); found {
			available += more
		}
	}
	return total, min(available, total), ok
}

// readSwap reads swap. A machine without swap has 0 bytes of it.
func (m *memoryReader) readSwap(context.Context) ([]sample, error) {
	text, err := m.info.read(&m.buf)
	if err != nil {
		return nil, err
	}
	total, free, ok := parseMemory(text, "SwapTotal:", "SwapFree:")
	if !ok {
		return nil, fmt.Errorf("%s does not tell SwapTotal and SwapFree in kB", m.info.path)
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
