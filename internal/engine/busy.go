package engine

import "time"

const (
	// busyWindow is full of a busyMeter: busy time beyond it does not count.
	busyWindow = 30 * time.Second
	// busyGap is the longest time that one sample counts for.
	busyGap = 5 * time.Second
)

// busyMeter decides from samples whether GPUs are busy. Single samples mislead: a GPU is idle between two kernels of the same request, and
// a health check makes an idle GPU busy. Therefore busy time raises level and idle time lowers it, between 0 and full. The meter turns on at
// half of full and off at a quarter.
type busyMeter struct {
	full         time.Duration
	level        time.Duration
	lastObserved time.Time // of the last sample
	busy         bool      // in the last sample
	risingSince  time.Time // when it was last empty
	on           bool
}

// observe adds a sample.
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

// since returns when the GPUs became busy, at most full ago; zero: they are idle, or there is no recent sample.
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
