//go:build unix

package host

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkRound samples this machine once with all samplers. cpu-ns/op is the time of the process in user and system mode.
func BenchmarkRound(b *testing.B) {
	benchmarkRounds(b, New(Options{}))
}

// BenchmarkFixture samples the fixture: 6 disks, 8 network devices and 6 InfiniBand ports.
func BenchmarkFixture(b *testing.B) {
	benchmarkRounds(b, New(Options{Root: root, usage: fakeUsage}))
}

func benchmarkRounds(b *testing.B, h *Host) {
	b.Helper()
	for _, c := range h.Collectors() {
		b.Run(c.Name(), func(b *testing.B) { benchmarkSamples(b, c) })
	}
	b.Run("all", func(b *testing.B) { benchmarkSamples(b, h.Collectors()...) })
}

func benchmarkSamples(b *testing.B, collectors ...*Collector) {
	b.Helper()
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		for _, c := range collectors {
			_ = c.sample(b.Context())
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
