// Package process decides whether an engine is still the same process. It is the only place that does: a Judge hears what discovery
// sees of the process and what the engine's pages show, and says for each whether it is of the same process or of a new one.
package process

import (
	"math"
	"time"
)

// StartTolerance is by how much two readings of one process' start time may differ. Start times are made from the clock, which may
// be set.
const StartTolerance = 2 * time.Second

// ID is what tells one process of a machine from another.
type ID struct {
	PID     int       // 0: not known
	Started time.Time // zero: not known
}

// Relation says whether two IDs are of one process.
type Relation int

// Relations of two IDs.
const (
	Unknown Relation = iota // they have nothing in common that could be compared
	Same
	Other
)

// Compare compares the process ids if both are known, else the start times: a process keeps its id, but its start time moves with the
// clock.
func (a ID) Compare(b ID) Relation {
	switch {
	case a.PID != 0 && b.PID != 0:
		return relation(a.PID == b.PID)
	case !a.Started.IsZero() && !b.Started.IsZero():
		return relation(near(a.Started, b.Started))
	}
	return Unknown
}

// Identical reports whether a and b have the same known process id and the same start time, as two sources have of one process.
func (a ID) Identical(b ID) bool {
	return a.PID != 0 && a.PID == b.PID && a.Started.Equal(b.Started)
}

func (a ID) isZero() bool { return a.PID == 0 && a.Started.IsZero() }

// merge takes from b what a lacks.
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
