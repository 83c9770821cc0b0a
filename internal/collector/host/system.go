package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

const maxFileBytes = 64 << 10

// readOS reads os-release, as all Linux distributions have it. gopsutil, which is asked elsewhere, would start a program
// for it.
func (r *rooted) readOS(ctx context.Context) ([]sample, error) {
	var name, version string
	text, err := r.file("etc", "os-release")
	if errors.Is(err, fs.ErrNotExist) {
		text, err = r.file("usr", "lib", "os-release")
	}
	switch {
	case err == nil:
		name, version = osRelease(text)
	case runtime.GOOS != "linux":
		if name, _, version, err = host.PlatformInformationWithContext(r.context(ctx)); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	if name == "" {
		return nil, errors.New("os-release names no system")
	}
	return []sample{{&catalog.WorkerNodeOS, 1, exposition.RenderLabels("name", name, "version", version)}}, nil
}

// osRelease returns NAME and VERSION_ID of an os-release file.
func osRelease(text string) (name, version string) {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		key, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "NAME":
			name = value
		case "VERSION_ID":
			version = value
		}
	}
	return name, version
}

func (r *rooted) readKernel(context.Context) ([]sample, error) {
	arch, err := host.KernelArch()
	if err != nil {
		return nil, err
	}
	name, release, version := runtime.GOOS, "", ""
	if runtime.GOOS == "linux" {
		for file, to := range map[string]*string{"ostype": &name, "osrelease": &release, "version": &version} {
			text, err := r.file("proc", "sys", "kernel", file)
			if err != nil {
				return nil, err
			}
			*to = strings.TrimSpace(text)
		}
	} else if release, err = host.KernelVersion(); err != nil {
		return nil, err
	}
	return []sample{{&catalog.WorkerNodeKernel, 1, exposition.RenderLabels("name", name, "release", release, "version", version, "architecture", arch)}}, nil
}

func (r *rooted) readUptime(ctx context.Context) ([]sample, error) {
	seconds, err := host.UptimeWithContext(r.context(ctx))
	if err != nil {
		return nil, err
	}
	return []sample{{metric: &catalog.WorkerNodeUptime, value: float64(seconds)}}, nil
}

func (r *rooted) readMemory(ctx context.Context) ([]sample, error) {
	m, err := mem.VirtualMemoryWithContext(r.context(ctx))
	switch {
	case err != nil:
		return nil, err
	case m.Total == 0:
		return nil, fmt.Errorf("memory: %w", errZero)
	}
	return []sample{
		{metric: &catalog.WorkerNodeMemoryTotal, value: float64(m.Total)},
		{metric: &catalog.WorkerNodeMemoryUsed, value: float64(m.Used)},
		{metric: &catalog.WorkerNodeMemoryUtilization, value: rate(float64(m.Used), float64(m.Total))},
	}, nil
}

func (r *rooted) file(elem ...string) (text string, err error) {
	f, err := os.Open(r.path(elem...))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := httpjson.ReadAll(f, maxFileBytes)
	return string(data), err
}

// cpuReader keeps the times of the sample before. Utilization is that of the time between two samples, so the first one has
// none.
type cpuReader struct {
	*rooted

	busy, total float64
	cores       int
	coresAt     time.Time
}

// coresEvery is how often cores are counted: the file that lists them is long on large machines.
const coresEvery = 5 * time.Minute

func (c *cpuReader) read(ctx context.Context) ([]sample, error) {
	var samples []sample
	var errs []error
	if err := c.count(ctx); err != nil {
		errs = append(errs, err)
	} else {
		samples = append(samples, sample{metric: &catalog.WorkerNodeCPUCores, value: float64(c.cores)})
	}
	busy, total, err := c.times(ctx)
	if err != nil {
		c.busy, c.total = 0, 0
		return samples, joined(append(errs, err))
	}
	if c.total > 0 && total > c.total {
		used := min(max((busy-c.busy)/(total-c.total), 0), 1)
		samples = append(samples, sample{metric: &catalog.WorkerNodeCPUUtilization, value: rate(used, 1)})
	}
	c.busy, c.total = busy, total
	return samples, joined(errs)
}

func (c *cpuReader) count(ctx context.Context) error {
	if c.cores > 0 && time.Since(c.coresAt) < coresEvery {
		return nil
	}
	n, err := cpu.CountsWithContext(c.context(ctx), true)
	switch {
	case err != nil:
		return err
	case n == 0:
		return fmt.Errorf("CPU cores: %w", errZero)
	}
	c.cores, c.coresAt = n, time.Now()
	return nil
}

// times returns the CPU time spent working and the CPU time in all, in seconds since the machine booted.
func (c *cpuReader) times(ctx context.Context) (busy, total float64, err error) {
	times, err := cpu.TimesWithContext(c.context(ctx), false)
	switch {
	case err != nil:
		return 0, 0, err
	case len(times) == 0:
		return 0, 0, fmt.Errorf("CPU times: %w", errZero)
	}
	t := times[0]
	// Guest times are part of user and nice already.
	total = t.User + t.Nice + t.System + t.Idle + t.Iowait + t.Irq + t.Softirq + t.Steal
	return total - t.Idle - t.Iowait, total, nil
}
