package gpu

import (
	"slices"
	"strings"
	"time"
)

// meter is a counter that never goes down: it follows a counter of the GPU, or the worker adds to it. Once it has followed
// the GPU, the worker no longer adds to it.
type meter struct {
	total, last float64
	own, known  bool
}

// follow takes what the GPU's counter shows. One that went back was started anew, as after a reload of the driver.
func (m *meter) follow(v float64) {
	switch {
	case !m.own:
		m.total = max(m.total, v)
	case v >= m.last:
		m.total += v - m.last
	default:
		m.total += v
	}
	m.last, m.own, m.known = v, true, true
}

// add adds to a meter that no counter of the GPU's moves.
func (m *meter) add(v float64) {
	if !m.own {
		m.total += v
		m.known = true
	}
}

// meters are the sums of one GPU over time: its energy, and how long it was throttled for each reason.
type meters struct {
	joules  meter
	reasons []reasonMeter // in order of reason
	watts   Value         // at the last reading
	at      time.Time
}

type reasonMeter struct {
	reason  Throttle
	seconds meter
}

// maxReasons bounds the reasons of a GPU.
const maxReasons = 32

// add takes a reading that came gap after the one before. Power counts as the mean of both readings; a reason counts for the
// whole time before the reading that shows it.
func (m *meters) add(d *Device, gap time.Duration) {
	seconds := gap.Seconds()
	watts := within(d.PowerUsed, 0, maxWatts)
	if joules, ok := count(d.Energy).Get(); ok {
		m.joules.follow(joules)
	} else if now, ok := watts.Get(); ok {
		before, known := m.watts.Get()
		if !known {
			before, seconds = now, 0
		}
		m.joules.add((before + now) / 2 * seconds)
	}
	m.watts = watts

	for _, t := range d.Throttled {
		if t.Time >= 0 {
			if r := m.reason(t.Reason); r != nil {
				r.follow(t.Time.Seconds())
			}
		}
	}
	if !d.ThrottleKnown {
		return
	}
	for _, known := range d.ThrottleReasons {
		if r := m.reason(known); r != nil {
			r.add(0)
		}
	}
	for i, active := range d.Throttles {
		if r := m.reason(active); r != nil && !slices.Contains(d.Throttles[:i], active) {
			r.add(gap.Seconds())
		}
	}
}

// reason returns the meter of a reason, nil if there are too many.
func (m *meters) reason(reason Throttle) *meter {
	i, found := slices.BinarySearchFunc(m.reasons, reason, func(r reasonMeter, reason Throttle) int {
		return strings.Compare(string(r.reason), string(reason))
	})
	if !found {
		if len(m.reasons) == maxReasons || reason == "" {
			return nil
		}
		m.reasons = slices.Insert(m.reasons, i, reasonMeter{reason: reason})
	}
	return &m.reasons[i].seconds
}

func (m *meters) energy() Value {
	if !m.joules.known {
		return Value{}
	}
	return Known(m.joules.total)
}

func (m *meters) throttled() []ThrottleTime {
	list := make([]ThrottleTime, 0, len(m.reasons))
	for _, r := range m.reasons {
		if r.seconds.known {
			list = append(list, ThrottleTime{r.reason, time.Duration(r.seconds.total * float64(time.Second))})
		}
	}
	return list
}
