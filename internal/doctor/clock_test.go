package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/wire"
)

// A difference that the way of question and answer explains is none.
func TestClockOfAWorker(t *testing.T) {
	for _, c := range []struct {
		asked, answered, theirs time.Duration // after now
		want                    string
	}{
		{0, 10 * time.Second, 5 * time.Second, ""},
		{0, 10 * time.Second, 14 * time.Second, ""},
		{0, time.Second, 7 * time.Second, wire.FindingWarning},
		{0, time.Second, -6 * time.Second, wire.FindingWarning},
		{0, time.Second, 62 * time.Second, wire.FindingError},
		{0, time.Second, -time.Hour, wire.FindingError},
	} {
		a := healthy(t)
		a.about(wire.DoctorWorker, 1, "gpu-1")
		a.check(func(k *Check) {
			k.Asked, k.Answered, k.Now = now.Add(c.asked), now.Add(c.answered), now.Add(c.theirs)
		})
		got := ""
		if d := examine(a); len(d.Findings) > 0 {
			got = d.Findings[0].Severity
			if d.Findings[0].ID != "worker_clock" || strings.Contains(d.Findings[0].What, "(ahead)") != (c.theirs > 0) {
				t.Errorf("%+v: %+v", c, d.Findings)
			}
		}
		if got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

// Without a check, a time that has not come yet shows a clock that is ahead.
func TestClockOfAWorkerByItsReports(t *testing.T) {
	for ahead, want := range map[time.Duration]int{-time.Hour: 0, 30 * time.Second: 0, 5 * time.Minute: 1} {
		a := healthy(t)
		a.Checks = nil
		a.instance().Since = now.Add(ahead)
		if d := examine(a); len(d.Findings) != want || want == 1 && d.Findings[0].Severity != wire.FindingError {
			t.Errorf("%s: %+v", ahead, d.Findings)
		}
	}
}

func TestClockOfPrometheus(t *testing.T) {
	a := healthy(t)
	a.Prometheus.Kind = PrometheusExternal
	ahead := now.Add(3 * time.Minute)
	a.answer(queryClock, Sample{Value: unix(ahead)})
	for _, worker := range []int64{1, 2} {
		a.stored(worker, -3*time.Minute)
	}
	if d := examine(a); len(d.Findings) != 1 || d.Findings[0].ID != "prometheus_clock" || d.Findings[0].Severity != wire.FindingError {
		t.Errorf("%+v", d.Findings)
	}
}
