package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/wire"
)

// Examine says what the evidence shows.
func Examine(e *Evidence, r Resolved) wire.Doctor {
	ways := e.ways(r)
	unwell := e.walkAll(ways)
	v := newView(e)
	var hits []hit
	for _, w := range ways {
		hits = append(hits, w.raised...)
	}
	server := lookServer(v)
	if r.Subject.Kind == wire.DoctorFleet {
		hits = slices.Concat(hits, server, lookJoining(v), v.lookRemoved())
	} else {
		for _, h := range lookJoining(v) {
			if h.subject == r.Subject { // another one that has its name or its identity
				hits = append(hits, h)
			}
		}
		for i := range server {
			if server[i].bad() {
				hits = append(hits, server[i])
			}
		}
	}
	d := wire.Doctor{Subject: e.Subject, CheckedAt: e.Now.UTC(), Paths: []wire.DoctorPath{}, Findings: findings(hits, r.Subject.Kind == wire.DoctorFleet)}
	shown := shownWays(r, ways, unwell)
	for _, w := range shown {
		d.Paths = append(d.Paths, w.wire())
	}
	if r.Subject.Kind == wire.DoctorFleet {
		d.PathsLeftOut = max(0, len(unwell)-len(shown))
	} else {
		d.PathsLeftOut = len(ways) - len(shown)
	}
	d.OK = !slices.ContainsFunc(d.Findings, func(f wire.DoctorFinding) bool { return f.Severity != wire.FindingInfo })
	d.Summary = summary(v, r, &d, ways)
	return d
}

// shownWays are those of an answer: those that are not in order first.
func shownWays(r Resolved, ways, unwell []*way) []*way {
	shown := slices.Clone(unwell)
	most := maxWays
	if r.Subject.Kind == wire.DoctorFleet {
		most = max(someWays, min(maxWays, len(unwell)))
	}
	for _, w := range ways {
		if len(shown) < most && !slices.Contains(shown, w) {
			shown = append(shown, w)
		}
	}
	return shown[:min(len(shown), maxWays)]
}

// findings turns hits into findings: each once, the most severe first, and not too many of one kind.
func findings(hits []hit, fleet bool) []wire.DoctorFinding {
	type same struct {
		id, severity, what string
		subject            wire.DoctorSubject
	}
	seen := make(map[same]bool)
	out := []wire.DoctorFinding{}
	for i := range hits {
		f := hits[i].wire()
		if k := (same{f.ID, f.Severity, f.What, f.Subject}); !seen[k] {
			seen[k] = true
			out = append(out, f)
		}
	}
	rank := func(f *wire.DoctorFinding) int {
		if fleet && f.Hop == "" && kinds()[f.ID].Everywhere {
			return -1
		}
		return hopRank(f.Hop)
	}
	slices.SortStableFunc(out, func(a, b wire.DoctorFinding) int {
		return cmp.Or(cmp.Compare(severityRank(a.Severity), severityRank(b.Severity)), passRank(a.ID)-passRank(b.ID), cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.ID, b.ID))
	})
	perID := map[string]int{}
	last := map[string]int{}
	kept := out[:0]
	for _, f := range out {
		perID[f.ID]++
		if perID[f.ID] > maxOfOneKind || len(kept) == maxFindings {
			continue
		}
		last[f.ID] = len(kept)
		kept = append(kept, f)
	}
	for id, n := range perID {
		if at, ok := last[id]; ok && n > maxOfOneKind {
			kept[at].Seen += fmt.Sprintf(" (and %d more of this kind)", n-maxOfOneKind)
		}
	}
	return kept
}

// hopWords are where samples stop.
var hopWords = map[string]string{
	wire.HopWorker: "the worker", wire.HopEndpoint: "the engine's endpoint", wire.HopPage: "the engine's page", wire.HopMapping: "the mapping",
	wire.HopWorkerPage: "the worker's page", wire.HopTarget: "Prometheus' targets", wire.HopScrape: "the scrape", wire.HopStorage: "Prometheus' storage",
	wire.HopDashboard: "the dashboards' variables",
}

// summary says the most important finding in a sentence, with what to do.
func summary(v *view, r Resolved, d *wire.Doctor, ways []*way) string {
	if len(d.Findings) > 0 && d.Findings[0].Severity != wire.FindingInfo {
		f := &d.Findings[0]
		text := sentence(f.What) + ". " + f.Do
		if f.Severity == wire.FindingError && f.Hop != "" && !passes(f.ID) {
			who := "Samples"
			if r.Subject.Kind == wire.DoctorInstance || r.Subject.Kind == wire.DoctorWorker {
				who = "Samples of " + r.Subject.Name
			} else if f.Subject.Name != "" {
				who = "Samples of " + f.Subject.Name
			}
			text = who + " stop at " + hopWords[f.Hop] + ": " + f.What + ". " + f.Do
		}
		if n := len(d.Findings) - 1; n > 0 && r.Subject.Kind == wire.DoctorFleet {
			text += fmt.Sprintf(" (%d more %s)", n, map[bool]string{true: "finding", false: "findings"}[n == 1])
		}
		return text
	}
	unseen := 0
	for _, w := range ways {
		unseen += w.unseen()
	}
	text := "No fault was found"
	switch {
	case r.Subject.Kind == wire.DoctorMetric && len(ways) == 0 && v.canQuery():
		n := 0.0
		for _, s := range v.Answers[queryMetric].Samples {
			n += s.Value
		}
		text = fmt.Sprintf("The server exports %s itself; Prometheus has %.0f series of it", r.Metric, n)
	case len(ways) == 0 && r.Subject.Kind == wire.DoctorModel:
		text = "There is no instance of the model " + r.Subject.Name + " now, so no samples of it come"
	case len(ways) == 0:
	case unseen == 0:
		text += ": samples arrive in Prometheus, and the dashboards list them"
	default:
		text += fmt.Sprintf(", but %d of the steps could not be seen", unseen)
	}
	if len(d.Findings) > 0 {
		text += ". " + sentence(d.Findings[0].What)
	}
	return text + "."
}

// passRank puts what stops samples before what does not.
func passRank(id string) int {
	if passes(id) {
		return 1
	}
	return 0
}

func passes(id string) bool { return kinds()[id].Passes }

var kinds = sync.OnceValue(func() map[string]*Finding {
	list := map[string]*Finding{}
	for _, f := range Findings() {
		list[f.ID] = f
	}
	return list
})

// sentence begins a text with a capital letter where that is no name.
func sentence(text string) string {
	for _, word := range []string{"the ", "a ", "no ", "two ", "worker ", "clients ", "registrations ", "nothing ", "new ", "samples ", "only ", "discovery ", "something "} {
		if strings.HasPrefix(text, word) {
			return strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return text
}

// ofServer reports whether the server exports a metric.
func ofServer(metric string) bool {
	for _, list := range [][]catalog.Metric{catalog.Server, catalog.ServerOwn, catalog.EmbeddedPrometheus} {
		for _, m := range list {
			if m.WireName() == metric {
				return true
			}
		}
	}
	return false
}
