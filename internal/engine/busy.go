package engine

import "time"

const (
	// busyWindow is the time over which it is decided whether GPUs are busy.
	busyWindow = 30 * time.Second
	// busyGap bounds how long one sample counts.
	busyGap = 5 * time.Second
)

// busyMeter decides from samples whether GPUs are busy. Samples flicker: a GPU between two kernels is idle in the middle of work, and
// a health check makes an idle GPU busy. So busy time fills the meter and idle time empties it. It turns on when half full and off
// when a quarter full.
type busyMeter struct {
	full         time.Duration
	level        time.Duration
	lastObserved time.Time // of the last sample
	busy         bool      // in the last sample
	risingSince  time.Time // when it was last empty
	on           bool
}

// observe takes a sample.
func (m *busyMeter) observe(now time.Time, busy bool) {
	if !m.lastObserved.IsZero() {
		passed := min(max(0, now.Sub(m.lastObserved)), busyGap)
		if !m.busy {
			passed = -passed
		}
		m.level = min(max(0, m.level+passed), m.full)
	}
	if m.level == 0 {
		m.risingSince = now
	}
	m.lastObserved, m.busy = now, busy
	m.on = m.level >= m.full/2 || m.on && m.level > m.full/4
}

// since returns since when the GPUs are busy, at most the time that fills the meter ago; zero: they are not, or there is no recent
// sample.
func (m *busyMeter) since(now time.Time) time.Time {
	if !m.on || now.Sub(m.lastObserved) > 2*busyGap {
		return time.Time{}
	}
	if earliest := m.lastObserved.Add(-m.full); m.risingSince.Before(earliest) {
		return earliest
	}
	return m.risingSince
}

func (m *busyMeter) reset() { *m = busyMeter{full: m.full} }
