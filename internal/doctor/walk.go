package doctor

import (
	"fmt"
	"slices"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// way is the way of an instance's samples, or of a worker's own.
type way struct {
	worker   *fleet.Worker
	instance *fleet.Instance // nil: the worker's own
	metric   string
	hops     []hop
	broken   []string // hops, in order
	raised   []hit    // those that are no consequence of an earlier one
}

// hop is what was seen at a step.
type hop struct {
	name    string
	state   string
	seen    string
	seconds *float64
	hits    []hit
}

func (h *hop) hit(of *Finding, subject wire.DoctorSubject, seen string, values ...string) *hit {
	h.hits = append(h.hits, hit{of: of, subject: subject, seen: seen, values: values})
	return &h.hits[len(h.hits)-1]
}

// okHop and unknownHop return a hop without findings.
func okHop(format string, args ...any) hop {
	return hop{state: wire.HopOK, seen: fmt.Sprintf(format, args...)}
}

func unknownHop(format string, args ...any) hop {
	return hop{state: wire.HopUnknown, seen: fmt.Sprintf(format, args...)}
}

func (h hop) took(seconds float64) hop {
	h.seconds = &seconds
	return h
}

// foundHop returns a hop with one finding, whose severity decides the state.
func foundHop(of *Finding, subject wire.DoctorSubject, seen string, values ...string) hop {
	h := hop{seen: seen}
	h.hit(of, subject, seen, values...)
	return h
}

// looks are what looks at each hop.
var looks = []struct {
	name     string
	instance bool // only on the way of an instance
	look     func(*view, *way) hop
}{
	{wire.HopWorker, false, lookWorker},
	{wire.HopEndpoint, true, lookEndpoint},
	{wire.HopPage, true, lookPage},
	{wire.HopMapping, true, lookMapping},
	{wire.HopWorkerPage, false, lookWorkerPage},
	{wire.HopTarget, false, lookTarget},
	{wire.HopScrape, false, lookScrape},
	{wire.HopStorage, false, lookStorage},
	{wire.HopDashboard, false, lookDashboard},
}

// walk looks at every hop. Those after a broken one are looked at, too, because they may be in order by older data.
func (w *way) walk(v *view) {
	for _, l := range looks {
		if l.instance && w.instance == nil {
			continue
		}
		h := l.look(v, w)
		h.name = l.name
		h.settle()
		for i := range h.hits {
			if !slices.ContainsFunc(h.hits[i].of.After, func(hop string) bool { return slices.Contains(w.broken, hop) }) {
				w.raised = append(w.raised, h.hits[i])
			}
		}
		if h.state == wire.HopBroken && h.explains() {
			w.broken = append(w.broken, l.name)
		}
		w.hops = append(w.hops, h)
	}
}

// settle sets the state by the findings.
func (h *hop) settle() {
	for i := range h.hits {
		switch hit := &h.hits[i]; {
		case hit.bad() && !hit.of.Passes:
			h.state = wire.HopBroken
		case h.state != wire.HopBroken && (hit.bad() || hit.level() == wire.FindingWarning):
			h.state = wire.HopWarning
		}
	}
	if h.state == "" {
		h.state = wire.HopOK
	}
}

// explains reports whether later findings may follow from this hop: it has more than findings of a part of the samples.
func (h *hop) explains() bool {
	some := false
	for i := range h.hits {
		if hit := &h.hits[i]; hit.bad() && !hit.of.Passes {
			if !hit.of.Partial {
				return true
			}
			some = true
		}
	}
	return !some
}

func (w *way) well() bool {
	return !slices.ContainsFunc(w.hops, func(h hop) bool { return h.state == wire.HopBroken || h.state == wire.HopWarning })
}

// unseen counts the hops that could not be seen.
func (w *way) unseen() (n int) {
	for i := range w.hops {
		if w.hops[i].state == wire.HopUnknown {
			n++
		}
	}
	return n
}

func (w *way) wire() wire.DoctorPath {
	p := wire.DoctorPath{WorkerID: w.worker.ID, WorkerName: w.worker.Name, Metric: w.metric, Hops: make([]wire.DoctorHop, len(w.hops))}
	if w.instance != nil {
		p.InstanceID, p.InstanceName = w.instance.ID, w.instance.Name
	}
	for i := range w.hops {
		h := &w.hops[i]
		out := wire.DoctorHop{Hop: h.name, State: h.state, Seen: clip.Line(h.seen, maxSeen), Seconds: h.seconds}
		for k := range h.hits {
			if w.tells(&h.hits[k]) && !slices.Contains(out.Findings, h.hits[k].of.ID) {
				out.Findings = append(out.Findings, h.hits[k].of.ID)
			}
		}
		p.Hops[i] = out
	}
	return p
}

// tells reports whether a hit is raised on this way.
func (w *way) tells(h *hit) bool {
	return slices.ContainsFunc(w.raised, func(r hit) bool { return r.of == h.of && r.subject == h.subject })
}
