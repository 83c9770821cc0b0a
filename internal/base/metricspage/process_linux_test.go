package metricspage

import (
	"math"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// What is read here directly is what client_golang's collector reads.
func TestProcessFamiliesAreThoseOfClientGolang(t *testing.T) {
	type family struct {
		typ   string
		value float64
	}
	gather := func(register func(*prometheus.Registry) error) map[string]family {
		t.Helper()
		r := prometheus.NewRegistry()
		if err := register(r); err != nil {
			t.Fatal(err)
		}
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		byName := map[string]family{}
		for _, f := range families {
			m := f.GetMetric()[0]
			byName[f.GetName()] = family{f.GetType().String(), m.GetGauge().GetValue() + m.GetCounter().GetValue()}
		}
		return byName
	}
	theirs := gather(func(r *prometheus.Registry) error {
		return r.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	})
	ours := gather(registerProcess)
	tolerance := map[string]float64{"process_cpu_seconds_total": 0.5, "process_open_fds": 8, "process_resident_memory_bytes": 32 << 20, "process_virtual_memory_bytes": 512 << 20}
	for name, f := range ours {
		their, ok := theirs[name]
		if !ok || their.typ != f.typ {
			t.Errorf("%s: client_golang has %v", name, their)
			continue
		}
		if math.Abs(f.value-their.value) > tolerance[name] || f.value == 0 && name != "process_cpu_seconds_total" {
			t.Errorf("%s is %v, client_golang says %v", name, f.value, their.value)
		}
	}
	if len(ours) < 6 {
		t.Errorf("only %d families", len(ours))
	}
}
