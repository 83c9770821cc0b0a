package engine

import "time"

const (
	// freshStart is how young a process is that was seen from its beginning.
	freshStart = 10 * time.Second
	// maxClockSkew is by how much a process may have started after now, by clocks that are read at different times.
	maxClockSkew = 2 * time.Second
)

// startup is one startup of the engine's process as it goes on. All its times are read from the monotonic clock.
type startup struct {
	following bool
	began     time.Time // of the process
	// fromBeginning: it was not running when it was first fromBeginning. Without it nothing is known about how long its start took.
	fromBeginning bool
	// held and listened are when it was first seen to hold memory of a card and to listen; what it did before it was first
	// seen has no time that could be told, and late says so.
	held, listened         time.Time
	heldLate, listenedLate bool
}

// newStartup begins to follow a process that was first seen as o says.
func newStartup(now time.Time, o ProcessStatus) startup {
	if o.Started.IsZero() {
		return startup{}
	}
	// Both are on the wall clock here, once. A step of the clock between them shows as a start to come.
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

// observe notes how far the process has come.
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

// finish ends the start and returns its phases: those whose beginning and end were seen. They follow one another, so that
// they add up to the whole where all are there. An engine that listens before it holds memory of a card, or of whose cards
// nothing is known, has no phase of loading that could be told from the others.
func (s *startup) finish(now time.Time) (took []phase) {
	defer func() { *s = startup{} }()
	if !s.following || !s.fromBeginning {
		return nil
	}
	if s.listened.IsZero() {
		s.listened = now // it must have been since the last look
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
