package host

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"

	"github.com/stackscope/stackscope/internal/catalog"
)

// coresEvery is how often cores are counted: the file that lists them is long on large machines.
const coresEvery = 5 * time.Minute

// cpuReader keeps the times of the sample before. Utilization is that of the time between two samples, so the first one has
// none.
type cpuReader struct {
	*rooted

	stat        watched
	buf         []byte
	busy, total float64
	cores       int
	coresAt     time.Time
}

func newCPU(r *rooted) *cpuReader {
	stat := r.watch("proc", "stat")
	stat.head = true // the rest is about single cores and interrupts
	return &cpuReader{rooted: r, stat: stat}
}

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

// times returns the CPU time spent working and the CPU time in all since the machine booted, in a unit of the system's own.
func (c *cpuReader) times(ctx context.Context) (busy, total float64, err error) {
	if runtime.GOOS == "linux" {
		text, err := c.stat.read(&c.buf)
		if err != nil {
			return 0, 0, err
		}
		busy, total, ok := parseTimes(text)
		if !ok {
			return 0, 0, fmt.Errorf("%s does not begin with the times of all cores", c.stat.path)
		}
		return busy, total, nil
	}
	times, err := cpu.TimesWithContext(c.context(ctx), false)
	switch {
	case err != nil:
		return 0, 0, err
	case len(times) == 0:
		return 0, 0, fmt.Errorf("CPU times: %w", errZero)
	}
	t := times[0]
	total = t.User + t.Nice + t.System + t.Idle + t.Iowait + t.Irq + t.Softirq + t.Steal
	return total - t.Idle - t.Iowait, total, nil
}

// parseTimes reads the first line of /proc/stat: "cpu", then user, nice, system, idle, iowait, irq, softirq and steal time in
// ticks. Guest times follow, which are part of user and nice already.
func parseTimes(text []byte) (busy, total float64, ok bool) {
	const idle, iowait, least, most = 3, 4, 4, 8
	line, _, complete := bytes.Cut(text, []byte("\n"))
	numbers, ok := bytes.CutPrefix(line, []byte("cpu "))
	if !ok || !complete {
		return 0, 0, false
	}
	n := 0
	for field := range bytes.FieldsSeq(numbers) {
		v, ok := number(field)
		if !ok {
			return 0, 0, false
		}
		if n < most {
			total += float64(v)
			if n != idle && n != iowait {
				busy += float64(v)
			}
		}
		n++
	}
	return busy, total, n >= least
}
