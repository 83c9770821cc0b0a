package gpu

import (
	"fmt"
	"slices"
	"time"
)

// Status is what is known of a GPU of this machine beyond its readings.
type Status struct {
	Identity
	MemoryTotal Value // bytes
	// Missing is why the GPU is expected and cannot be read; empty: it is there. It stays the same while the reason does.
	Missing string
	// Action is what is recommended, ActionNone or "" if nothing is, and Reason why.
	Action Action
	Reason string
}

// Statuses returns the GPUs that were read and those that are expected, vendor by vendor. ok is false until all backends were read, or hung,
// for the first time. It never waits.
func (s *Set) Statuses() (list []Status, ok bool) {
	for _, sampler := range s.samplers {
		p := sampler.page.Load()
		if p == nil {
			return nil, false
		}
		list = append(list, sampler.current(p)...)
	}
	return list, true
}

// current returns the GPUs of a page. Those of a reading that is too old or of a driver that hangs are missing.
func (s *sampler) current(p *page) []Status {
	reason := ""
	switch {
	case p.hung:
		reason = p.hangs
	case !p.at.IsZero() && time.Since(p.at) > s.maxAge(staleAfter):
		reason = "not read since " + p.at.UTC().Format(time.RFC3339)
	}
	if reason == "" {
		return p.known
	}
	list := slices.Clone(p.known)
	for i := range list {
		if list[i].Missing == "" {
			list[i].Missing = reason
		}
	}
	return list
}

// known returns what is known of the GPUs among statuses.
func (s *sampler) known(statuses []deviceStatus) []Status {
	list := make([]Status, 0, len(statuses))
	for i := range statuses {
		if c := &statuses[i]; !c.eventsOnly {
			list = append(list, Status{Identity: c.Identity, MemoryTotal: memoryTotal(c.MemoryTotal), Missing: s.missing(c), Action: c.action, Reason: c.reason})
		}
	}
	return list
}

// missing says why a GPU is missing; "" if it is not.
func (s *sampler) missing(c *deviceStatus) string {
	switch {
	case c.up:
		return ""
	case c.unread == nil:
		return "the driver lists it and cannot reach it"
	case s.hung:
		return s.hangs()
	case !c.unread.up:
		return fmt.Sprintf("not among the GPUs that the driver lists since %s", c.unread.since.UTC().Format(time.RFC3339))
	case s.err != nil:
		return "it could not be read: " + s.err.Error()
	}
	return "it was not read the last time"
}

// hangs says that the driver does not answer, in a text that stays the same.
func (s *sampler) hangs() string {
	if s.last.at.IsZero() {
		return "the driver does not answer"
	}
	return "the driver does not answer since " + s.last.at.UTC().Format(time.RFC3339)
}
