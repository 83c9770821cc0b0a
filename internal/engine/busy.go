package engine

import "time"

const (
	// busyWindow bounds the time over which a card's busyness is judged.
	busyWindow = 30 * time.Second
	// busyGap is how long what was last heard of the cards holds.
	busyGap = 5 * time.Second
)

// busyMeter decides whether cards are at work, from looks at them that flicker: a card that waits for the next step, or that
// is sampled between two kernels, shows idle in the middle of work, and one without work shows some for a health check or a
// driver's housekeeping. Time at work fills it, other time empties it, so it rises only where work is in the majority. It
// turns on half full and off a quarter full, which keeps it from following the flicker.
type busyMeter struct {
	full         time.Duration
	level        time.Duration
	lastObserved time.Time // of the last look
	busy         bool      // at the last look
	risingSince  time.Time // when it was last empty
	on           bool
}

// observe notes a look.
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

// since returns when the work began that is going on now, at most a full meter ago; zero: none is, or nobody has looked
// lately.
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
