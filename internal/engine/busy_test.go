package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
)

// GPUs turn busy at the half and idle at the quarter of the window: what lies between changes nothing.
func TestBusyMeter(t *testing.T) {
	m := busyMeter{full: 40 * time.Second}
	now := time.Unix(1_700_000_000, 0)
	for i, step := range []struct {
		busy    bool
		seconds int
		want    bool
	}{
		{true, 19, false}, {true, 1, true}, // up to the half
		{false, 9, true}, {false, 1, false}, // down to the quarter
		{true, 9, false}, {true, 1, true}, // up again
		{false, 5, true}, {true, 5, true}, {false, 5, true}, // between both
		{true, 60, true}, {false, 29, true}, {false, 1, false}, // what is full is no fuller
		{false, 60, false}, {true, 19, false}, {true, 1, true}, // and what is empty no emptier
	} {
		m.observe(now, step.busy)
		for range step.seconds {
			now = now.Add(time.Second)
			m.observe(now, step.busy)
		}
		if got := !m.since(now).IsZero(); got != step.want {
			t.Errorf("step %d, %d s of busy %t: busy is %t, at %s of %s", i, step.seconds, step.busy, got, m.level, m.full)
		}
	}
	if began := m.since(now); now.Sub(began) != 20*time.Second {
		t.Errorf("it works since %s, want 20 s", now.Sub(began))
	}
	if late := m.since(now.Add(2*busyGap + 1)); !late.IsZero() {
		t.Error("GPUs without a recent sample are busy")
	}
	m.reset()
	m.observe(now, true)
	m.observe(now.Add(time.Hour), true)
	if m.level != busyGap {
		t.Errorf("two looks an hour apart count for %s, want %s", m.level, busyGap)
	}
}

// A hung engine keeps its GPU busy without a pause or with many: as long as it works half of the time, that is one piece of work.
func TestHangWithAGPUThatFlickers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sim := simulate(t, simengine.ProfileVLLM, time.Minute)
		h.look(time.Minute, always)
		sim.SetHang(simengine.HangHidden)
		time.Sleep(time.Second)
		h.look(30*time.Second, never) // what was before is over
		h.look(16*time.Second, always)
		h.look(80*time.Second, func(second int) bool { return second%8 >= 4 })
		h.wantStalled(t, true, "with a GPU busy half of the time")
	})
}
