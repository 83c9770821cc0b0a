// Package process decides whether an engine is still the same process. Nothing else decides this. A Tracker receives what discovery sees
// of the process and what the engine's pages show, and says for each whether it comes from the known process or from a new one.
package process

import (
	"math"
	"time"
)

// StartTolerance is by how much two start times of the same process may differ. They are computed from the clock, which may be set between
// the two readings.
const StartTolerance = 2 * time.Second

// ID identifies a process of a machine.
type ID struct {
	PID     int       // 0: not known
	Started time.Time // zero: not known
}

// Relation says whether two IDs belong to the same process.
type Relation int

// Relations of two IDs.
const (
	Unknown Relation = iota // no field is known of both
	Same
	Other
)

// Compare compares the process ids if both are known, else the start times. The ids come first, because a change of the clock moves the
// start time of a running process.
func (a ID) Compare(b ID) Relation {
	switch {
	case a.PID != 0 && b.PID != 0:
		return relation(a.PID == b.PID)
	case !a.Started.IsZero() && !b.Started.IsZero():
		return relation(near(a.Started, b.Started))
	}
	return Unknown
}

// Identical reports whether a and b have the same known process id and exactly the same start time. Two sources of discovery that see
// one process do.
func (a ID) Identical(b ID) bool {
	return a.PID != 0 && a.PID == b.PID && a.Started.Equal(b.Started)
}

func (a ID) isZero() bool { return a.PID == 0 && a.Started.IsZero() }

// merge returns a with its unknown fields from b.
func (a ID) merge(b ID) ID {
	if a.PID == 0 {
		a.PID = b.PID
	}
	if a.Started.IsZero() {
		a.Started = b.Started
	}
	return a
}

func relation(same bool) Relation {
	if same {
		return Same
	}
	return Other
}

func near(a, b time.Time) bool {
	return math.Abs(a.Sub(b).Seconds()) <= StartTolerance.Seconds()
}
