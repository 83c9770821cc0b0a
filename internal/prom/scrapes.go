package prom

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/scrape"
)

// States of a target.
const (
	TargetUp      = "up"      // the last scrape succeeded
	TargetDown    = "down"    // it failed
	TargetPending = "unknown" // there was none yet
)

// Scrape is how the last scrape of a target went.
type Scrape struct {
	Job, Address string // host:port
	State        string
	Last         time.Time     // when it began; zero: there was none yet
	Took         time.Duration // it, also if it failed
	Interval     time.Duration
	Timeout      time.Duration // of a scrape
	// Error is why it failed, without anything that the target sent.
	Error string
}

// Scrapes returns the last scrape of each target that the scraper has, by job and address; nil while the TSDB is not open. A new target is
// there within a second of SetTargets.
func (p *Prometheus) Scrapes() []Scrape {
	c := p.core.Load()
	if c == nil {
		return nil
	}
	list := []Scrape{}
	for _, targets := range c.scrape.TargetsActive() {
		for _, t := range targets {
			list = append(list, lastScrape(t))
		}
	}
	slices.SortFunc(list, func(a, b Scrape) int { return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Address, b.Address)) })
	return list
}

// lastScrape reads what a scrape may be writing; a mixed result is harmless.
func lastScrape(t *scrape.Target) Scrape {
	s := Scrape{Job: t.GetValue(model.JobLabel), Address: t.GetValue(model.AddressLabel), State: string(t.Health())}
	s.Interval, s.Timeout = duration(t.GetValue(model.ScrapeIntervalLabel)), duration(t.GetValue(model.ScrapeTimeoutLabel))
	if s.Last = t.LastScrape(); !s.Last.IsZero() {
		s.Took, s.Error = t.LastScrapeDuration(), withoutContent(t.LastError())
	}
	return s
}

// duration reads a label that Prometheus has checked.
func duration(text string) time.Duration {
	d, _ := model.ParseDuration(text)
	return time.Duration(d)
}
