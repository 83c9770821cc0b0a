package gpu

import (
	"errors"
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// recent is how long an error speaks for what to do about a card, unless the machine is started anew before;
// recentApp is the same for restarting what ran on it, which is done soon or not at all.
const (
	recent    = 24 * time.Hour
	recentApp = time.Hour
)

// page is what is exported of one backend. It is immutable.
type page struct {
	at      time.Time // of the reading; zero if it doesn't age
	took    time.Duration
	samples []sample
	err     error
	hung    bool
}

// Collector hands out the last reading of one backend.
type Collector struct {
	name    string
	sampler *sampler
}

// Name is the value of label collector: gpu_ and the vendor.
func (c *Collector) Name() string { return c.name }

// Collect calls emit for each sample of the last reading, one family after the other; it never waits. It returns how long
// that reading took, negative if there was none yet or there is nothing of the vendor, and what was wrong with it.
func (c *Collector) Collect(emit func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels)) (took time.Duration, err error) {
	p := c.sampler.page.Load()
	if p == nil {
		return -1, nil
	}
	age := time.Duration(0)
	if !p.at.IsZero() {
		age = time.Since(p.at)
	}
	fresh := !p.hung && age <= c.sampler.overdue(staleAfter)
	for i := range p.samples {
		if s := &p.samples[i]; fresh || s.lasting {
			emit(s.metric, "", s.value, s.labels)
		}
	}
	if p.err == nil && age > c.sampler.overdue(lateAfter) {
		return p.took, fmt.Errorf("the last reading is %s old", age.Round(time.Second))
	}
	return p.took, p.err
}

// publish makes the page from what is known now. It returns what is wrong with it.
func (s *sampler) publish() error {
	v := s.set.ledger.view(s.vendor)
	now := time.Now()
	p := &page{took: s.last.took, err: s.err, hung: s.hung}
	devices, ids := s.last.devices, s.last.ids
	if s.err != nil && !s.hung && now.Sub(s.last.at) > s.overdue(staleAfter) {
		devices, ids = nil, nil // known cards of which nothing can be read
	}
	if len(devices) > 0 && !s.hung {
		p.at = s.last.at
	}
	if s.absent && v.known == 0 {
		p.took = -1
	}
	if p.took >= 0 {
		cards := s.cards(v, devices, ids, now)
		s.builder.build(cards)
		p.samples = s.builder.samples
		if p.err == nil {
			p.err = joined(s.builder.errs)
		}
	}
	p.samples = append(p.samples, s.node(v, devices)...)
	s.page.Store(p)
	return p.err
}

// cards are the cards that were read, then the known ones that were not, then what else had errors.
func (s *sampler) cards(v view, devices []Device, ids []string, now time.Time) []card {
	byID := make(map[string]*cardView, len(v.cards))
	for i := range v.cards {
		byID[v.cards[i].id] = &v.cards[i]
	}
	cards := make([]card, 0, len(v.cards)+len(v.strangers))
	labels := make(map[exposition.Labels]bool, len(devices))
	for i := range devices {
		d := &devices[i]
		c := card{Device: d, labels: s.builder.card(d.Identity), up: !d.Lost}
		if m := s.meters[ids[i]]; m != nil {
			c.energy, c.throttled = m.energy(), m.throttled()
		}
		a := advice{device: d, lost: d.Lost}
		if known := byID[ids[i]]; known != nil {
			c.events = known.events
			a.stillLost, a.events = known.stillLost && d.Lost, s.late(known.events, now)
			delete(byID, ids[i])
		}
		c.action, c.reason = a.action()
		labels[c.labels] = true
		cards = append(cards, c)
	}
	for i := range v.cards {
		known := &v.cards[i]
		if byID[known.id] == nil {
			continue
		}
		known.complete()
		c := card{Device: &Device{Identity: known.Identity}, labels: s.builder.card(known.Identity), events: known.events}
		c.taken = labels[c.labels]
		labels[c.labels] = true
		a := advice{lost: !known.up, stillLost: known.stillLost, events: s.late(known.events, now)}
		c.action, c.reason = a.action()
		cards = append(cards, c)
	}
	for i := range v.strangers {
		id := v.strangers[i].Identity
		cards = append(cards, card{Device: &Device{Identity: id}, labels: s.builder.card(id), stranger: true, events: v.strangers[i].events})
	}
	return cards
}

// late returns the events that still speak for doing something.
func (s *sampler) late(events []eventTotal, now time.Time) []eventTotal {
	var list []eventTotal
	for _, e := range events {
		within := recent
		if _, action := judge(e.kind, e.code); action == ActionRestartApp {
			within = recentApp
		}
		if now.Sub(e.last) <= within && !e.earlierBoot {
			list = append(list, e)
		}
	}
	return list
}

// node are the samples about all of a vendor's cards.
func (s *sampler) node(v view, devices []Device) []sample {
	labels := s.builder.vendor(s.vendor)
	vendors := s.set.vendors()
	if s.absent && v.known == 0 {
		if !s.speaks() || vendors > 0 || !s.set.idle() {
			return nil
		}
		labels = "" // no card at all of those that should be here, of whatever vendor
	}
	expected := v.known
	if vendors == 0 || vendors == 1 && v.known > 0 {
		expected = max(expected, s.set.expected)
	}
	present := 0
	for i := range devices {
		if !devices[i].Lost {
			present++
		}
	}
	list := []sample{
		{&catalog.GPUExpected, float64(expected), labels, true},
		{&catalog.GPUPresent, float64(present), labels, false},
		{&catalog.GPULost, float64(v.lost), labels, true},
	}
	if !s.absent {
		list = append(list, sample{&catalog.GPUDriverResponsive, truth(!s.hung && !errors.Is(s.err, ErrHangs)), labels, true})
	}
	return list
}

// speaks says that this sampler tells that none of the expected cards is here, if so.
func (s *sampler) speaks() bool { return s.first && s.absent && s.set.expected > 0 }

// vendors counts those that have cards, of which some may be lost.
func (s *Set) vendors() (n int) {
	for _, sampler := range s.samplers {
		if s.ledger.knows(sampler.vendor) {
			n++
		}
	}
	return n
}

// idle says that all backends but perhaps the first have looked and have nothing.
func (s *Set) idle() bool {
	for _, other := range s.samplers[1:] {
		if p := other.page.Load(); p == nil || p.took >= 0 {
			return false
		}
	}
	return true
}
