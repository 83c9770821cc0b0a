package engine

import "time"

const (
	// freshStart is the age up to which a process counts as observed from its beginning.
	freshStart = 10 * time.Second
	// maxClockSkew is by how much a start time may be in the future, because both clocks are read at different times.
	maxClockSkew = 2 * time.Second
)

// startup measures the phases of one start of the engine's process, on the monotonic clock.
type startup struct {
	following bool
	began     time.Time // of the process
	// fromBeginning: the process was not ready when it was first seen. Otherwise the duration of its start is unknown.
	fromBeginning bool
	// held and listened are when it was first seen to hold GPU memory and to listen. heldLate and listenedLate: it already did when it
	// was first seen, so these times are later than the true ones.
	held, listened         time.Time
	heldLate, listenedLate bool
}

// newStartup begins to measure a process that was first seen with status o.
func newStartup(now time.Time, o ProcessStatus) startup {
	if o.Started.IsZero() {
		return startup{}
	}
	// Both times are on the wall clock here. If it was set back between them, the start is in the future.
	age := now.Round(0).Sub(o.Started.Round(0))
	if age < -maxClockSkew {
		return startup{}
	}
	age = max(0, age)
	fresh := age < freshStart
	return startup{
		following: true, began: now.Add(-age), fromBeginning: fresh || !o.Listening,
		heldLate: !fresh && o.HoldsGPU, listenedLate: !fresh && o.Listening,
	}
}

// observe records when the process begins to hold GPU memory and to listen.
func (s *startup) observe(now time.Time, o ProcessStatus) {
	if o.GPUKnown && o.HoldsGPU && s.held.IsZero() {
		s.held = now
	}
	if o.Listening && s.listened.IsZero() {
		s.listened = now
	}
}

// phase is a phase of a start and how long it took.
type phase struct {
	index int
	took  time.Duration
}

// The phases in the order in which they are exported.
const (
	phaseInitializing = iota
	phaseLoading
	phaseStarting
	phaseAll
	phases
)

func phaseNames() [phases]string {
	return [phases]string{"initializing", "loading", "starting", "all"}
}

// finish ends the measurement and returns the phases whose beginning and end are known. If all are known, they add up to the whole start.
// There is no phase loading if the engine listens before it holds GPU memory, or if its GPUs are unknown.
func (s *startup) finish(now time.Time) (took []phase) {
	defer func() { *s = startup{} }()
	if !s.following || !s.fromBeginning {
		return nil
	}
	if s.listened.IsZero() {
		s.listened = now // it began to listen after the last status
	}
	first, firstLate := s.listened, s.listenedLate
	if !s.held.IsZero() {
		first, firstLate = s.held, s.heldLate
	}
	last, lastLate := s.listened, s.listenedLate
	if s.held.After(last) {
		last, lastLate = s.held, s.heldLate
	}
	if !firstLate {
		took = append(took, phase{phaseInitializing, first.Sub(s.began)})
	}
	if !firstLate && !lastLate && first.Before(last) {
		took = append(took, phase{phaseLoading, last.Sub(first)})
	}
	if !lastLate {
		took = append(took, phase{phaseStarting, now.Sub(last)})
	}
	took = append(took, phase{phaseAll, now.Sub(s.began)})
	for i := range took {
		took[i].took = max(0, took[i].took)
	}
	return took
}

// phaseBounds are the bounds of the histogram's buckets in seconds.
func phaseBounds() []float64 {
	return []float64{1, 2.5, 5, 10, 20, 30, 60, 120, 180, 300, 600, 900, 1800, 3600}
}

// durations is a histogram of a phase.
type durations struct {
	counts []uint64 // by bucket, the last one +Inf
	sum    float64
	n      uint64
}

func (d *durations) observe(took time.Duration) {
	bounds := phaseBounds()
	if d.counts == nil {
		d.counts = make([]uint64, len(bounds)+1)
	}
	seconds, i := took.Seconds(), 0
	for i < len(bounds) && seconds > bounds[i] {
		i++
	}
	d.counts[i]++
	d.sum += seconds
	d.n++
}
