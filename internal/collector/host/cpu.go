package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
)

// coresEvery is how often cores are counted: the file that lists them is long on large machines.
const coresEvery = 5 * time.Minute

// cpuReader keeps the times of the sample before. Utilization is that of the time between two samples, so the first one has
// none.
type cpuReader struct {
	*hostFS

	stat        kernelFile
	buf         []byte
	busy, total float64
	cores       int
	coresAt     time.Time
}

func newCPUReader(r *hostFS) *cpuReader {
	stat := r.kernelFile("proc", "stat")
	stat.headOnly = true // the rest is about single cores and interrupts
	return &cpuReader{hostFS: r, stat: stat}
}

func (c *cpuReader) read(context.Context) ([]sample, error) {
	var samples []sample
	var errs []error
	if err := c.countCores(); err != nil {
		errs = append(errs, err)
	} else {
		samples = append(samples, sample{metric: &catalog.WorkerNodeCPUCores, value: float64(c.cores)})
	}
	busy, total, err := c.times()
	if err != nil {
		c.busy, c.total = 0, 0
		return samples, joinErrors(append(errs, err))
	}
	if c.total > 0 && total > c.total {
		used := min(max((busy-c.busy)/(total-c.total), 0), 1)
		samples = append(samples, sample{metric: &catalog.WorkerNodeCPUUtilization, value: percent(used, 1)})
	}
	c.busy, c.total = busy, total
	return samples, joinErrors(errs)
}

// countCores counts logical cores: "processor : 0" in /proc/cpuinfo or, where the architecture writes that file in another
// way (s390x), "cpu0 ..." in /proc/stat.
func (c *cpuReader) countCores() error {
	if c.cores > 0 && time.Since(c.coresAt) < coresEvery {
		return nil
	}
	n, err := countLines(c.path("proc", "cpuinfo"), func(line []byte) bool {
		key, value, _ := bytes.Cut(line, []byte(":"))
		_, isNumber := number(bytes.TrimSpace(value))
		return isNumber && string(bytes.TrimSpace(key)) == "processor"
	})
	if n == 0 {
		n, err = countLines(c.path("proc", "stat"), func(line []byte) bool {
			rest, ok := bytes.CutPrefix(line, []byte("cpu"))
			return ok && len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9'
		})
	}
	switch {
	case err != nil:
		return err
	case n == 0:
		return fmt.Errorf("%s and %s name no CPU core", c.path("proc", "cpuinfo"), c.path("proc", "stat"))
	}
	c.cores, c.coresAt = n, time.Now()
	return nil
}

// countLines counts the lines of a file that match. It does not hold the file in memory: cpuinfo has 1 MB on large machines.
func countLines(path string, match func(line []byte) bool) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewReader(f)
	for rest := false; ; {
		line, more, err := lines.ReadLine()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		if !rest && match(line) {
			n++
		}
		rest = more
	}
}

// times returns the CPU time spent working and the CPU time in all since the machine booted, in ticks.
func (c *cpuReader) times() (busy, total float64, err error) {
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
