package metricspage

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Scrapes within a second share one reading of the process; a later one reads it again.
func TestProcessIsReadOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewProcess()
		if err != nil {
			t.Fatal(err)
		}
		reads := 0.0
		p.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "reads", Help: "How often."}, func() float64 { reads++; return reads }))
		for _, want := range []string{"reads 1", "reads 1", "reads 2"} {
			var page bytes.Buffer
			if err := p.AppendTo(&page); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{want, "go_goroutines ", "process_start_time_seconds "} {
				if !strings.Contains(page.String(), "\n"+name) {
					t.Errorf("%s is not there after %v reads", name, reads)
				}
			}
			time.Sleep(600 * time.Millisecond)
		}
	})
}

func TestProcessAllocatesNothingWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewProcess()
		if err != nil {
			t.Fatal(err)
		}
		var page bytes.Buffer
		if n := testing.AllocsPerRun(100, func() {
			page.Reset()
			_ = p.AppendTo(&page)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
