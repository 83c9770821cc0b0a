package exporter

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// registerProcess registers what the system says about this process. client_golang has a collector for it, which parses
// all of /proc/stat and the network statistics each time: it took half the CPU time of a scrape, and more with every core.
func registerProcess(r *prometheus.Registry) error {
	started, err := startTime()
	if err != nil {
		return err
	}
	own := []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "process_cpu_seconds_total", Help: "CPU time that this process used, user and system."}, cpuSeconds),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "process_resident_memory_bytes", Help: "Memory of this process that is resident."}, func() float64 { return memory().resident }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "process_virtual_memory_bytes", Help: "Address space of this process."}, func() float64 { return memory().virtual }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "process_open_fds", Help: "Open file descriptors of this process."}, openFiles),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "process_max_fds", Help: "File descriptors that this process may open."}, maxFiles),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "process_start_time_seconds", Help: "Unix time at which this process started."}, func() float64 { return started }),
	}
	for _, c := range own {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// startTime asks client_golang's collector, once. Where it does not know, now is near enough.
func startTime() (float64, error) {
	once := prometheus.NewRegistry()
	if err := once.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return 0, err
	}
	families, err := once.Gather()
	if err == nil {
		for _, f := range families {
			if f.GetName() == "process_start_time_seconds" && len(f.GetMetric()) == 1 {
				return f.GetMetric()[0].GetGauge().GetValue(), nil
			}
		}
	}
	return float64(time.Now().UnixNano()) / 1e9, nil
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

type processMemory struct{ virtual, resident float64 }

func memory() processMemory {
	var virtual, resident float64
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return processMemory{}
	}
	if _, err := fmt.Sscan(string(text), &virtual, &resident); err != nil {
		return processMemory{}
	}
	page := float64(os.Getpagesize())
	return processMemory{virtual * page, resident * page}
}

func openFiles() float64 {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return 0
	}
	return float64(len(names) - 1) // without that of the directory
}

func maxFiles() float64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return float64(l.Cur)
}
