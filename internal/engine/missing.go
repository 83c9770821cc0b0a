package engine

import (
	"cmp"
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	// pagesWithout and timeWithout are how many pages without metrics, and over which time, an engine must send before it is told. The first
	// pages after a start may be empty.
	pagesWithout = 3
	timeWithout  = time.Minute
)

// noMetrics is why an engine gives no metrics: a value of the label reason of gpustack:model_instance_no_metrics.
type noMetrics string

// Reasons besides those of package fetch.
const (
	noSamples             = noMetrics(runtimes.LacksSamples)
	noOwn                 = noMetrics(runtimes.LacksOwn)
	notMapped   noMetrics = "unmapped" // the mapping uses nothing of its page
	processGone noMetrics = "process_ended"
)

// Page is a metrics page of an engine. Its Release must be called.
type Page struct {
	fetch.Page
	number uint64 // of the fetch
}

// Translation is what the mapping made of a page.
type Translation struct {
	Samples int // unified samples
	// Fed is how many of the metrics that count for coverage the page has, and Countable how many there are.
	Fed, Countable int
}

func (t Translation) empty() bool {
	if t.Countable > 0 {
		return t.Fed == 0
	}
	return t.Samples == 0
}

// missingMetrics follows an engine whose pages have no metrics. A translated page decides, because a mapping may use metrics that the runtime is
// not known for. The page itself decides while nobody scrapes the worker.
type missingMetrics struct {
	translated bool // a page of this process was translated
	// seen: a page of this process had metrics, by its translation if there was one.
	seen bool

	pages      int
	lastNumber uint64 // of the fetch of the last of them
	since      time.Time
	reason     noMetrics
	message    string // for the state; set once there were enough pages
	tolerated  bool   // the engine may be in order, so there is a message and no reason
}

// exported returns the reason to export, or "".
func (s *missingMetrics) exported() noMetrics {
	if s.message == "" || s.tolerated {
		return ""
	}
	return s.reason
}

// pageLacks updates the engine after a page that was not translated. The caller holds e.mu.
func (e *Engine) pageLacks(now time.Time, number uint64, lack runtimes.Lack, page []byte) (changed bool) {
	s := &e.missing
	switch {
	case lack == runtimes.LacksSamples, lack == runtimes.LacksOwn && !s.translated:
		// The mapping of a runtime that is not known here decides about its page.
		if _, known := e.runtimeNamed(e.status.Runtime); known || e.status.Runtime == "" || lack == runtimes.LacksSamples {
			return e.countPageWithout(now, number, noMetrics(lack), page)
		}
	case lack == runtimes.LacksNothing && s.reason != notMapped:
		return e.metricsSeen(!s.translated)
	}
	return false
}

// Translated updates the engine with what the mapping made of a page, which is not released yet.
func (e *Engine) Translated(p Page, t Translation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.number < e.lastEnded {
		return // a later read has ended, or the process
	}
	if !e.missing.translated {
		e.missing.translated, e.missing.seen = true, false
	}
	changed := false
	if !t.empty() {
		changed = e.metricsSeen(true)
	} else {
		r, _ := e.runtimeNamed(e.status.Runtime)
		reason := cmp.Or(noMetrics(r.Lack(p.Body)), notMapped)
		changed = e.countPageWithout(time.Now(), p.number, reason, p.Body)
	}
	if changed {
		e.onChange()
	}
}

// metricsSeen records that a page has metrics. sure says that the mapping uses them.
func (e *Engine) metricsSeen(sure bool) (changed bool) {
	s := &e.missing
	if changed = s.message != ""; changed {
		e.logger.Info("engine gives metrics again")
	}
	e.missing = missingMetrics{translated: s.translated, seen: s.seen || sure}
	return changed
}

// countPageWithout counts a page without metrics and reports whether the status has changed.
func (e *Engine) countPageWithout(now time.Time, number uint64, reason noMetrics, page []byte) (changed bool) {
	r, _ := e.runtimeNamed(e.status.Runtime)
	router := r.Gateway || e.status.Role == fleet.RoleRouter
	if reason == notMapped && (router || runtimes.Asleep(page)) {
		return false // it has few metrics, or none while its model sleeps
	}
	s := &e.missing
	if s.pages == 0 {
		s.since = now
	}
	if number != s.lastNumber || s.pages == 0 {
		s.pages++
	}
	s.lastNumber, s.reason = number, reason
	if s.pages < pagesWithout || now.Sub(s.since) < timeWithout {
		return false
	}
	tolerated := !s.seen && (router || r.BeginsWithRequests(page))
	message := e.missingMessage(r, reason, page)
	if tolerated {
		message = fmt.Sprintf("its metrics page has no metrics of %s yet: some appear with the first request", cmp.Or(e.status.Runtime, "an engine"))
	}
	if message == s.message && tolerated == s.tolerated {
		return false
	}
	s.message, s.tolerated = message, tolerated
	if tolerated {
		e.logger.Info("engine gives no metrics yet", "reason", message)
	} else {
		e.logger.Warn("engine gives no metrics", "why", string(reason), "reason", message)
	}
	return true
}

// missingMessage says why the engine gives no metrics and what to do.
func (e *Engine) missingMessage(r runtimes.Runtime, reason noMetrics, page []byte) string {
	name := e.status.Runtime
	hint := r.NoMetricsHint()
	if hint == "" {
		hint = "is the URL the engine's, and are its metrics on?"
	}
	switch {
	case reason == notMapped:
		return fmt.Sprintf("the mapping uses no metric of its page: are runtime %s and version %s right? The worker's /metrics/raw?unmapped=1 shows what it has",
			cmp.Or(name, fleet.Unknown), cmp.Or(e.status.Version, fleet.Unknown))
	case reason == noSamples:
		return "its metrics page is empty: " + hint
	case name == "":
		return "its metrics page has no metrics of a known engine: is the URL the engine's? If it is, declare runtime="
	}
	if other := runtimes.Recognise(page); other != "" && other != r.Name {
		return fmt.Sprintf("its metrics page is one of %s, not of %s: is runtime= right?", other, name)
	}
	return fmt.Sprintf("its metrics page has no metrics of %s: %s", name, hint)
}

// whyNoMetrics returns why the engine gives no metrics, or "" if it gives some or has not failed yet. The caller holds e.mu.
func (e *Engine) whyNoMetrics() noMetrics {
	switch e.status.State {
	case fleet.InstanceRunning:
		return e.missing.exported()
	case fleet.InstanceError, fleet.InstanceUnreachable:
		return e.failure
	}
	return ""
}
