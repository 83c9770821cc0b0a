package doctor

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// Finding is a kind of what may be wrong.
type Finding struct {
	ID       string // in wire.DoctorFinding; never changes
	Severity string
	Hop      string // empty: it is on no way of samples
	// What is a sentence without its full stop. Words in braces are replaced.
	What string
	Do   string // sentences
	Docs string // page and section below docs/
	// After names the hops of which one that is broken before explains this finding, which is not told then.
	After []string
	// Passes says that samples pass all the same: it breaks no hop, and explains no other finding.
	Passes bool
	// Everywhere says that it stops the samples of all workers, so the fleet is told of it first.
	Everywhere bool
	// Partial says that some samples pass: it breaks its hop, but explains no other finding.
	Partial bool
}

// Bounds of an answer.
const (
	maxFindings  = 200 // of an answer
	maxOfOneKind = 20  // findings of one ID
	maxSeen      = 600 // bytes
	maxWhat      = 400
)

// Findings returns all kinds: those on the way of samples in its order, then the others.
func Findings() (all []*Finding) {
	for _, g := range Catalogue() {
		all = append(all, g.Findings...)
	}
	return all
}

// hit is a finding in some evidence.
type hit struct {
	of       *Finding
	subject  wire.DoctorSubject
	values   []string // pairs for Finding.What and Finding.Do: a word, and what replaces it
	seen     string
	first    string // sentences before Finding.Do, such as what the engine's own hint is
	severity string // in place of the finding's
}

func (h *hit) wire() wire.DoctorFinding {
	pairs := make([]string, 0, len(h.values))
	for i := 0; i+1 < len(h.values); i += 2 {
		pairs = append(pairs, "{"+h.values[i]+"}", h.values[i+1])
	}
	fill := strings.NewReplacer(pairs...)
	return wire.DoctorFinding{
		ID: h.of.ID, Severity: h.level(), Subject: h.subject, Hop: h.of.Hop,
		What: clip.Line(fill.Replace(h.of.What), maxWhat), Seen: clip.Line(h.seen, maxSeen),
		Do: strings.TrimSpace(clip.Line(h.first, maxSeen) + " " + clip.Line(fill.Replace(h.of.Do), maxSeen)), Docs: h.of.Docs,
	}
}

// level is the finding's severity.
func (h *hit) level() string { return cmp.Or(h.severity, h.of.Severity) }

// bad reports whether samples do not pass where the finding is.
func (h *hit) bad() bool { return h.level() == wire.FindingError }

func severityRank(severity string) int {
	return slices.Index([]string{wire.FindingError, wire.FindingWarning, wire.FindingInfo}, severity)
}

// hops are the steps of a way, in its order.
var hops = []string{
	wire.HopWorker, wire.HopEndpoint, wire.HopPage, wire.HopMapping, wire.HopWorkerPage, wire.HopTarget, wire.HopScrape, wire.HopStorage, wire.HopDashboard,
}

func hopRank(hop string) int {
	if i := slices.Index(hops, hop); i >= 0 {
		return i
	}
	return len(hops)
}

func ofWorker(w *fleet.Worker) wire.DoctorSubject {
	return wire.DoctorSubject{Kind: wire.DoctorWorker, ID: w.ID, Name: w.Name}
}

func ofInstance(in *fleet.Instance) wire.DoctorSubject {
	return wire.DoctorSubject{Kind: wire.DoctorInstance, ID: in.ID, Name: in.Name}
}

var ofFleet = wire.DoctorSubject{Kind: wire.DoctorFleet}
