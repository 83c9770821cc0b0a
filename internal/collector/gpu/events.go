package gpu

import "time"

// entryKey files an error. subject is a card's id, or the address of what is no known card.
type entryKey struct{ vendor, subject, kind, code string }

// entry counts an error. Two sources may report the same occurrence, one of them later or never; the greater of both counts
// since the two run side by side is how often it happened. base is what was counted before.
type entry struct {
	severity             Severity
	base, driver, kernel uint64
	last                 time.Time
	earlierBoot          bool // it was last in one
}

// eventTotal is how often an error happened.
type eventTotal struct {
	kind, code  string
	severity    Severity
	count       uint64
	last        time.Time
	earlierBoot bool
}

func (e *entry) total(key entryKey) eventTotal {
	return eventTotal{key.kind, key.code, e.severity, e.base + max(e.driver, e.kernel), e.last, e.earlierBoot}
}

// settle makes the counts so far the base: what is still to be read was not counted yet.
func (e *entry) settle() { e.base, e.driver, e.kernel = e.base+max(e.driver, e.kernel), 0, 0 }

// count counts an event.
func (l *ledger) count(e Event, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(e, now)
}

func (l *ledger) add(e Event, now time.Time) {
	if e.Kind == "" || e.Vendor == "" {
		return
	}
	if e.At.IsZero() || e.At.After(now) {
		e.At = now
	}
	key := entryKey{clip(e.Vendor), l.subject(e), clip(e.Kind), clip(e.Code)}
	if key.subject == "" {
		return
	}
	entry := l.entry(key, e.Severity)
	if entry == nil {
		return
	}
	since, watched := l.watched[e.Vendor]
	switch {
	case e.Source != SourceKernelLog:
		entry.driver++
	case watched && !e.At.Before(since), entry.kernel < entry.driver:
		entry.kernel++ // what the driver reports too, now or in the run before
	default:
		entry.base++
	}
	if e.At.After(entry.last) || entry.last.After(now) { // the clock was set back
		entry.last = e.At
	}
	entry.earlierBoot = false
	l.changes++
}

// subject says what an event is about.
func (l *ledger) subject(e Event) string {
	address := pciAddress(e.PCI)
	for _, k := range l.cards {
		if k.Vendor == e.Vendor && e.UUID != "" && k.UUID == e.UUID && (address == "" || k.PCI == "" || pciAddress(k.PCI) == address) {
			return k.id
		}
	}
	for _, k := range l.cards {
		if k.Vendor == e.Vendor && address != "" && pciAddress(k.PCI) == address {
			return k.id
		}
	}
	if address != "" {
		return address
	}
	return clip(e.UUID)
}

func (l *ledger) entry(key entryKey, severity Severity) *entry {
	if e, ok := l.entries[key]; ok {
		return e
	}
	if len(l.entries) >= maxEvents {
		if !l.full {
			l.full = true
			l.logger.Warn("too many kinds of gpu errors: further ones are not counted", "most", maxEvents, "kind", key.kind, "code", key.code)
		}
		return nil
	}
	if severity != SeverityInfo && severity != SeverityWarning && severity != SeverityCritical {
		severity, _ = judge(key.kind, key.code)
	}
	e := &entry{severity: severity}
	l.entries[key] = e
	return e
}

// adopt files under a card that has become known what was reported of its address.
func (l *ledger) adopt(k *known) {
	for _, subject := range []string{pciAddress(k.PCI), k.UUID} {
		if subject == "" {
			continue
		}
		for key, e := range l.entries {
			if key.vendor != k.Vendor || key.subject != subject {
				continue
			}
			delete(l.entries, key)
			key.subject = k.id
			if mine, ok := l.entries[key]; ok {
				e.settle()
				mine.base += e.base
				mine.earlierBoot = mine.earlierBoot && e.earlierBoot
				if e.last.After(mine.last) {
					mine.last = e.last
				}
				continue
			}
			l.entries[key] = e
		}
	}
}

// watch notes that a vendor's driver reports events from now on.
func (l *ledger) watch(vendor string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.caughtUp {
		l.settle(vendor)
	}
	l.watched[vendor] = now
}

// unwatch notes that it reports no more.
func (l *ledger) unwatch(vendor string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle(vendor)
	delete(l.watched, vendor)
}

func (l *ledger) settle(vendor string) {
	for key, e := range l.entries {
		if key.vendor == vendor {
			e.settle()
		}
	}
}

// logged takes in what the kernel log said in the records before next.
func (l *ledger) logged(events []Event, next uint64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.add(e, now)
	}
	l.next = max(l.next, next)
}

// replayed notes that the kernel log was read to its end for the first time, or cannot be read: from now on the sources
// are counted side by side.
func (l *ledger) replayed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.caughtUp = true
	for key, e := range l.entries {
		if _, watched := l.watched[key.vendor]; !watched { // else what the driver told lately may still be to come
			e.settle()
		}
	}
}
