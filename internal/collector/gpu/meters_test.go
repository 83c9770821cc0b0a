package gpu

import (
	"testing"
	"time"
)

func TestEnergyFromPower(t *testing.T) {
	var m meters
	want := func(step string, joules float64, known bool) {
		t.Helper()
		if got, ok := m.energy().Get(); got != joules || ok != known {
			t.Errorf("%s: %v, %t; want %v, %t", step, got, ok, joules, known)
		}
	}
	want("before", 0, false)
	m.add(&Device{}, time.Second)
	want("no power", 0, false)
	m.add(&Device{PowerUsed: Known(100)}, 5*time.Second)
	want("first power", 0, true)
	m.add(&Device{PowerUsed: Known(200)}, 2*time.Second)
	want("mean of both", 300, true)
	m.add(&Device{}, time.Second)
	want("not read", 300, true)
	m.add(&Device{PowerUsed: Known(200)}, time.Second)
	want("power again", 300, true)
	m.add(&Device{PowerUsed: Known(-1)}, time.Second)
	want("nonsense", 300, true)
}

func TestGPUsOwnEnergyWins(t *testing.T) {
	var m meters
	last := 0.0
	for i, c := range []struct {
		energy Value
		want   float64
	}{
		{Known(1000), 1000},
		{Known(1010), 1010},
		{Value{}, 1010},     // unread once: not added up from power
		{Known(1030), 1030}, // and on
		{Known(5), 1035},    // started anew
		{Known(7), 1037},
	} {
		m.add(&Device{Energy: c.energy, PowerUsed: Known(500)}, time.Second)
		got, ok := m.energy().Get()
		if !ok || got != c.want || got < last {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
		last = got
	}
	var late meters // the counter shows up after power was summed, below the sum
	late.add(&Device{PowerUsed: Known(100)}, 0)
	late.add(&Device{PowerUsed: Known(100)}, 10*time.Second)
	late.add(&Device{Energy: Known(400), PowerUsed: Known(100)}, time.Second)
	late.add(&Device{Energy: Known(500), PowerUsed: Known(100)}, time.Second)
	if got, _ := late.energy().Get(); got != 1100 {
		t.Errorf("%v, want 1100", got)
	}
}

func TestThrottled(t *testing.T) {
	var m meters
	m.add(&Device{ThrottleKnown: true, ThrottleReasons: []Throttle{ThrottlePowerCap, ThrottleThermal}, Throttles: []Throttle{ThrottlePowerCap}}, 0)
	m.add(&Device{ThrottleKnown: true, Throttles: []Throttle{ThrottlePowerCap, ThrottlePowerCap, ThrottleSync}}, time.Second)
	m.add(&Device{Throttles: []Throttle{ThrottlePowerCap}}, time.Second) // not known this time
	m.add(&Device{ThrottleKnown: true, Throttles: []Throttle{ThrottleThermalHW}, Throttled: []ThrottleTime{{ThrottleThermalHW, 90 * time.Second}}}, time.Second)
	got := map[Throttle]time.Duration{}
	for _, r := range m.throttled() {
		got[r.Reason] = r.Time
	}
	want := map[Throttle]time.Duration{ThrottlePowerCap: time.Second, ThrottleThermal: 0, ThrottleSync: time.Second, ThrottleThermalHW: 90 * time.Second}
	if len(got) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
	for reason, d := range want {
		if got[reason] != d {
			t.Errorf("%s: %s, want %s", reason, got[reason], d)
		}
	}
}
