package gpu

import (
	"errors"
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// recent is how long an error counts for the recommended action, unless the machine is rebooted before. recentApp is the
// same for errors that ask for a restart of the application, which is done soon or not at all.
const (
	recent    = 24 * time.Hour
	recentApp = time.Hour
)

// page holds the samples exported for one backend. It is immutable.
type page struct {
	at      time.Time // of the reading; zero if it does not expire
	took    time.Duration
	samples []sample
	known   []Status
	err     error
	hung    bool
	hangs   string // why the GPUs are missing if hung
}

// Collector exports the last reading of one backend.
type Collector struct {
	name    string
	sampler *sampler
}

// Name is the value of label collector: gpu_ and the vendor.
func (c *Collector) Name() string { return c.name }

// Collect calls emit for each sample of the last reading, one metric after the other; it never waits. It returns how long
// that reading took and its error. The time is negative before the first reading and if the vendor has no GPU here.
func (c *Collector) Collect(emit func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels)) (took time.Duration, err error) {
	p := c.sampler.page.Load()
	if p == nil {
		return -1, nil
	}
	age := time.Duration(0)
	if !p.at.IsZero() {
		age = time.Since(p.at)
	}
	fresh := !p.hung && age <= c.sampler.maxAge(staleAfter)
	for i := range p.samples {
		if s := &p.samples[i]; fresh || s.lasting {
			emit(s.metric, "", s.value, s.labels)
		}
	}
	if p.err == nil && age > c.sampler.maxAge(lateAfter) {
		return p.took, fmt.Errorf("the last reading is %s old", age.Round(time.Second))
	}
	return p.took, p.err
}

// publish builds and stores the page for the current state. It returns the page's error.
func (s *sampler) publish() error {
	v := s.set.registry.view(s.vendor)
	now := time.Now()
	p := &page{took: s.last.took, err: s.err, hung: s.hung, hangs: s.hangs()}
	devices, ids := s.last.devices, s.last.ids
	if s.err != nil && !s.hung && now.Sub(s.last.at) > s.maxAge(staleAfter) {
		devices, ids = nil, nil // registered GPUs, none of which can be read
	}
	if len(devices) > 0 && !s.hung {
		p.at = s.last.at
	}
	if s.absent && v.known == 0 {
		p.took = -1
	}
	if p.took >= 0 {
		statuses := s.statuses(v, devices, ids, now)
		p.known = s.known(statuses)
		s.builder.build(statuses)
		p.samples = s.builder.samples
		if p.err == nil {
			p.err = joinErrors(s.builder.errs)
		}
	}
	p.samples = append(p.samples, s.nodeSamples(v, devices)...)
	s.page.Store(p)
	return p.err
}

// statuses returns the devices that were read, then the registered ones that were not, then the subjects of other events.
func (s *sampler) statuses(v vendorView, devices []Device, ids []string, now time.Time) []deviceStatus {
	byID := make(map[string]*deviceView, len(v.devices))
	for i := range v.devices {
		byID[v.devices[i].id] = &v.devices[i]
	}
	list := make([]deviceStatus, 0, len(v.devices)+len(v.others))
	labels := make(map[exposition.Labels]bool, len(devices))
	for i := range devices {
		d := &devices[i]
		c := deviceStatus{Device: d, labels: s.builder.deviceLabels(d.Identity), up: !d.Lost}
		if m := s.meters[ids[i]]; m != nil {
			c.energy, c.throttled = m.energy(), m.throttled()
		}
		f := findings{device: d, lost: d.Lost}
		if known := byID[ids[i]]; known != nil {
			c.events = known.events
			f.stillLost, f.events = known.stillLost && d.Lost, s.recentEvents(known.events, now)
			delete(byID, ids[i])
		}
		c.action, c.reason = f.action()
		labels[c.labels] = true
		list = append(list, c)
	}
	for i := range v.devices {
		known := &v.devices[i]
		if byID[known.id] == nil {
			continue
		}
		known.complete()
		c := deviceStatus{Device: &Device{Identity: known.Identity}, labels: s.builder.deviceLabels(known.Identity), events: known.events, unread: known}
		c.labelsTaken = labels[c.labels]
		labels[c.labels] = true
		f := findings{lost: !known.up, stillLost: known.stillLost, events: s.recentEvents(known.events, now)}
		c.action, c.reason = f.action()
		list = append(list, c)
	}
	for i := range v.others {
		id := v.others[i].Identity
		list = append(list, deviceStatus{Device: &Device{Identity: id}, labels: s.builder.deviceLabels(id), eventsOnly: true, events: v.others[i].events})
	}
	return list
}

// recentEvents returns the events that still count for the recommended action.
func (s *sampler) recentEvents(events []eventTotal, now time.Time) []eventTotal {
	var list []eventTotal
	for _, e := range events {
		within := recent
		if _, action := classify(e.kind, e.code); action == ActionRestartApp {
			within = recentApp
		}
		if now.Sub(e.last) <= within && !e.earlierBoot {
			list = append(list, e)
		}
	}
	return list
}

// nodeSamples returns the samples about all GPUs of the vendor together.
func (s *sampler) nodeSamples(v vendorView, devices []Device) []sample {
	labels := s.builder.vendorLabels(s.vendor)
	vendors := s.set.vendors()
	if s.absent && v.known == 0 {
		if !s.reportsAbsence() || vendors > 0 || !s.set.othersAbsent() {
			return nil
		}
		labels = "" // none of the expected GPUs is here, of any vendor
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

// reportsAbsence says that this sampler is the one that reports that no expected GPU is here.
func (s *sampler) reportsAbsence() bool { return s.reportsForSet && s.absent && s.set.expected > 0 }

// vendors counts the vendors that have registered GPUs, lost ones included.
func (s *Set) vendors() (n int) {
	for _, sampler := range s.samplers {
		if s.registry.hasDevices(sampler.vendor) {
			n++
		}
	}
	return n
}

// othersAbsent says that all backends except perhaps the first were read and found no GPU.
func (s *Set) othersAbsent() bool {
	for _, other := range s.samplers[1:] {
		if p := other.page.Load(); p == nil || p.took >= 0 {
			return false
		}
	}
	return true
}
