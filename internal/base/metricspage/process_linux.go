package metricspage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// registerProcess registers what the system says about this process. client_golang has a collector for it, which parses
// all of /proc/stat and the network statistics each time: it took half the CPU time of a scrape, and more with every core.
func registerProcess(r *prometheus.Registry) error {
	p := process{}
	add := func(name, help string, typ prometheus.ValueType, read func() (float64, error)) {
		p = append(p, reading{prometheus.NewDesc(name, help, nil, nil), typ, read})
	}
	add("process_cpu_seconds_total", "CPU time that this process used, user and system.", prometheus.CounterValue, cpuSeconds)
	add("process_resident_memory_bytes", "Memory of this process that is resident.", prometheus.GaugeValue, func() (float64, error) {
		_, resident, err := memory()
		return resident, err
	})
	add("process_virtual_memory_bytes", "Address space of this process.", prometheus.GaugeValue, func() (float64, error) {
		virtual, _, err := memory()
		return virtual, err
	})
	add("process_open_fds", "Open file descriptors of this process.", prometheus.GaugeValue, openFiles)
	add("process_max_fds", "File descriptors that this process may open.", prometheus.GaugeValue, maxFiles)
	if started, ok := startTime(); ok {
		add("process_start_time_seconds", "Unix time at which this process started.", prometheus.GaugeValue, func() (float64, error) { return started, nil })
	}
	return r.Register(p)
}

// process collects readings. One that fails is left out.
type process []reading

type reading struct {
	desc *prometheus.Desc
	typ  prometheus.ValueType
	read func() (float64, error)
}

func (p process) Describe(ch chan<- *prometheus.Desc) {
	for _, r := range p {
		ch <- r.desc
	}
}

func (p process) Collect(ch chan<- prometheus.Metric) {
	for _, r := range p {
		if value, err := r.read(); err == nil {
			ch <- prometheus.MustNewConstMetric(r.desc, r.typ, value)
		}
	}
}

// startTime asks client_golang's collector, once.
func startTime() (seconds float64, ok bool) {
	once := prometheus.NewRegistry()
	if err := once.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return 0, false
	}
	families, err := once.Gather()
	if err != nil {
		return 0, false
	}
	for _, f := range families {
		if f.GetName() == "process_start_time_seconds" && len(f.GetMetric()) == 1 {
			return f.GetMetric()[0].GetGauge().GetValue(), true
		}
	}
	return 0, false
}

func cpuSeconds() (float64, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9, nil
}

// statm is opened once, since each reading of the process reads it twice.
var statm = sync.OnceValues(func() (*os.File, error) { return os.Open("/proc/self/statm") })

func memory() (virtual, resident float64, err error) {
	f, err := statm()
	if err != nil {
		return 0, 0, err
	}
	var text [128]byte
	n, err := f.ReadAt(text[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	fields := bytes.Fields(text[:n])
	if len(fields) < 2 {
		return 0, 0, fmt.Errorf("/proc/self/statm: found %q", text[:n])
	}
	pages, err := strconv.ParseUint(string(fields[0]), 10, 64)
	held, failed := strconv.ParseUint(string(fields[1]), 10, 64)
	if err := errors.Join(err, failed); err != nil {
		return 0, 0, fmt.Errorf("/proc/self/statm: %w", err)
	}
	size := float64(os.Getpagesize())
	return float64(pages) * size, float64(held) * size, nil
}

func openFiles() (float64, error) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return 0, err
	}
	return float64(len(names) - 1), nil // without that of the directory
}

func maxFiles() (float64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	return float64(l.Cur), nil
}
