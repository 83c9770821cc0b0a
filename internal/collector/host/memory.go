package host

import (
	"context"
	"fmt"

	"github.com/prometheus/procfs"

	"github.com/stackscope/stackscope/internal/catalog"
)

func (r *hostFS) readMemory(context.Context) ([]sample, error) {
	info, err := r.meminfo()
	if err != nil {
		return nil, err
	}
	availableKB := info.MemAvailable
	if availableKB == nil {
		availableKB = estimateAvailable(info)
	}
	total, available, ok := memory(info.MemTotal, availableKB)
	if !ok || total == 0 {
		return nil, fmt.Errorf("%s has no usable MemTotal and MemAvailable", r.path("proc", "meminfo"))
	}
	used := float64(total - available)
	return []sample{
		{metric: &catalog.WorkerNodeMemoryTotal, value: float64(total)},
		{metric: &catalog.WorkerNodeMemoryUsed, value: used},
		{metric: &catalog.WorkerNodeMemoryUtilization, value: percent(used, float64(total))},
	}, nil
}

// estimateAvailable is for kernels before 3.14, which have no MemAvailable: what is free, and what only caches files.
func estimateAvailable(info procfs.Meminfo) (kB *uint64) {
	if info.MemTotal == nil || info.MemFree == nil {
		return nil
	}
	available := *info.MemFree
	for _, cache := range []*uint64{info.Cached, info.SReclaimable} {
		if cache != nil && *cache <= *info.MemTotal {
			available += *cache
		}
	}
	available = min(available, *info.MemTotal)
	return &available
}

// readSwap reads swap. A machine without swap has 0 bytes of it.
func (r *hostFS) readSwap(context.Context) ([]sample, error) {
	info, err := r.meminfo()
	if err != nil {
		return nil, err
	}
	total, free, ok := memory(info.SwapTotal, info.SwapFree)
	if !ok {
		return nil, fmt.Errorf("%s has no usable SwapTotal and SwapFree", r.path("proc", "meminfo"))
	}
	return []sample{
		{metric: &catalog.WorkerNodeSwapTotal, value: float64(total)},
		{metric: &catalog.WorkerNodeSwapUsed, value: float64(total - free)},
	}, nil
}

func (r *hostFS) meminfo() (procfs.Meminfo, error) {
	proc, err := r.procfs()
	if err != nil {
		return procfs.Meminfo{}, err
	}
	info, err := proc.Meminfo()
	if err != nil {
		return procfs.Meminfo{}, errorAt(r.path("proc", "meminfo"), err)
	}
	return info, nil
}

// memory converts a total and a free part of it from kB to bytes. ok is false if one is missing or they cannot be right.
func memory(totalKB, freeKB *uint64) (total, free uint64, ok bool) {
	const most = 1 << 50 // kB that a machine may have
	if totalKB == nil || freeKB == nil || *totalKB > most || *freeKB > *totalKB {
		return 0, 0, false
	}
	return *totalKB << 10, *freeKB << 10, true
}
