package discovery

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

func discard(*catalog.Metric, string, float64, exposition.Labels) {}

// emitted returns what a collector exports, a line each.
func emitted(c *Collector) (lines string, took time.Duration, err error) {
	took, err = c.Collect(func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels) {
		lines += fmt.Sprintf("%s%s{%s} %g\n", m.WireName(), suffix, labels, value)
	})
	return lines, took, err
}

func TestCollectors(t *testing.T) {
	m := newTree(t)
	m.add(vllm(100, "m"))
	off := vllm(200, "n", "--port", "9", "--disable-log-stats")
	m.add(off)
	d, _ := m.discover(func(o *Options) {
		o.Declared = []Declared{{Key: "far", URL: "http://192.0.2.1:8000"}}
		o.Docker = true
	})
	list := d.Collectors()
	if len(list) != 2 || list[0].Name() != "discovery_process" || list[1].Name() != "discovery_docker" {
		t.Fatalf("%v", list)
	}
	if lines, took, err := emitted(list[0]); took >= 0 || err != nil || lines != "gpustack:discovered_engines{source=\"declared\"} 1\n" {
		t.Errorf("before the first round: %s %s %v", lines, took, err)
	}
	d.runRound()
	lines, took, err := emitted(list[0])
	want := `gpustack:discovered_engines{source="declared"} 1
gpustack:discovered_engines{source="process"} 1
gpustack:discovery_skipped_total{source="process",reason="metrics_off"} 1
`
	if lines != want || took < 0 || err != nil {
		t.Errorf("%s\ntook %s, error %v", lines, took, err)
	}
	if lines, took, err := emitted(list[1]); lines != "" || took >= 0 || err != nil {
		t.Errorf("docker, which is not there: %s %s %v", lines, took, err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = list[0].Collect(discard) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		c := d.Collectors()[0]
		d.processSkips.recordRound(time.Millisecond, nil)
		time.Sleep(minLate)
		if _, err := c.Collect(discard); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if _, err := c.Collect(discard); err == nil {
			t.Error("a round that hangs is no failure")
		}
		d.processSkips.recordRound(time.Millisecond, errors.New("broken"))
		if _, err := c.Collect(discard); err == nil || err.Error() != "broken" {
			t.Error(err)
		}
	})
}

// The daemon is asked more seldom than the processes, so a round of it is late only later.
func TestDaemonIsLateLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New(Options{Interval: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		for i, after := range []time.Duration{lateRounds * time.Minute, lateRounds * (resyncEvery + callTimeout)} {
			c, skips := d.Collectors()[i], []*skipCounter{d.processSkips, d.dockerSkips}[i]
			skips.recordRound(time.Millisecond, nil)
			time.Sleep(after)
			if _, err := c.Collect(discard); err != nil {
				t.Errorf("%s after %s: %v", c.Name(), after, err)
			}
			time.Sleep(time.Nanosecond)
			if _, err := c.Collect(discard); err == nil {
				t.Errorf("%s is not late after %s", c.Name(), after)
			}
		}
	})
}
