package simengine

import (
	"fmt"
	"time"
)

// maxSpeed is the highest number of simulated seconds in a second.
const maxSpeed = 600

// A timeline says how much simulated time has passed.
type timeline struct {
	now   func() time.Time
	start time.Time // at which simulated time is 0
	since time.Time // at which it was base
	base  float64   // seconds
	speed float64   // simulated seconds in a second, from since on
}

// newTimeline returns a timeline that is now as many seconds old as start is ago. The default of now is time.Now, of start this moment,
// of speed 1.
func newTimeline(now func() time.Time, start time.Time, speed float64) (timeline, error) {
	if now == nil {
		now = time.Now
	}
	t := timeline{now: now, start: start, since: now()}
	if start.IsZero() {
		t.start = t.since
	}
	if speed == 0 {
		speed = 1
	}
	history := t.since.Sub(t.start)
	if history < 0 || history > MaxHistory {
		return timeline{}, fmt.Errorf("simulated start %s is not within the last %s", t.start.Format(time.RFC3339), MaxHistory)
	}
	t.base = history.Seconds()
	return t, t.setSpeed(speed)
}

// elapsed returns the simulated seconds since the start.
func (t *timeline) elapsed() float64 { return t.base + t.now().Sub(t.since).Seconds()*t.speed }

// setSpeed lets speed simulated seconds pass in a second from now on.
func (t *timeline) setSpeed(speed float64) error {
	if !(speed > 0 && speed <= maxSpeed) { // NaN too
		return fmt.Errorf("simulated speed %v: use a number above 0 and up to %d", speed, maxSpeed)
	}
	now := t.now()
	t.base += now.Sub(t.since).Seconds() * t.speed
	t.since, t.speed = now, speed
	return nil
}
