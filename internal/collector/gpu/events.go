package gpu

import "time"

// entryKey identifies an error. subject is a registered device's id, or an address that is no registered device's.
type entryKey struct{ vendor, subject, kind, code string }

// entry counts an error. The driver and the kernel log may report the same occurrence, one of them later or never. So each is
// counted apart, and the greater count since both are read is how often the error happened. base is the count before that.
type entry struct {
	severity             Severity
	base, driver, kernel uint64
	last                 time.Time
	earlierBoot          bool // its last occurrence was before the last boot
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

// rebase adds the counts so far to the base. Call it when nothing that was counted can come again from the other source.
func (e *entry) rebase() { e.base, e.driver, e.kernel = e.base+max(e.driver, e.kernel), 0, 0 }

// count counts an event.
func (r *registry) count(e Event, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(e, now)
}

func (r *registry) add(e Event, now time.Time) {
	if e.Kind == "" || e.Vendor == "" {
		return
	}
	if e.At.IsZero() || e.At.After(now) {
		e.At = now
	}
	key := entryKey{clip(e.Vendor), r.subject(e), clip(e.Kind), clip(e.Code)}
	if key.subject == "" {
		return
	}
	entry := r.entry(key, e.Severity)
	if entry == nil {
		return
	}
	since, watched := r.watched[e.Vendor]
	switch {
	case e.Source != SourceKernelLog:
		entry.driver++
	case watched && !e.At.Before(since), entry.kernel < entry.driver:
		entry.kernel++ // the driver reports it too, now or in the run before
	default:
		entry.base++
	}
	if e.At.After(entry.last) || entry.last.After(now) { // the clock was set back
		entry.last = e.At
	}
	entry.earlierBoot = false
	r.changes++
}

// subject returns the id of the device that an event is about, or an address.
func (r *registry) subject(e Event) string {
	address := pciAddress(e.PCI)
	for _, k := range r.devices {
		if k.Vendor == e.Vendor && e.UUID != "" && k.UUID == e.UUID && (address == "" || k.PCI == "" || pciAddress(k.PCI) == address) {
			return k.id
		}
	}
	for _, k := range r.devices {
		if k.Vendor == e.Vendor && address != "" && pciAddress(k.PCI) == address {
			return k.id
		}
	}
	if address != "" {
		return address
	}
	return clip(e.UUID)
}

func (r *registry) entry(key entryKey, severity Severity) *entry {
	if e, ok := r.entries[key]; ok {
		return e
	}
	if len(r.entries) >= maxEvents {
		if !r.loggedFull {
			r.loggedFull = true
			r.logger.Warn("too many kinds of GPU errors: further ones are not counted", "most", maxEvents, "kind", key.kind, "code", key.code)
		}
		return nil
	}
	if severity != SeverityInfo && severity != SeverityWarning && severity != SeverityCritical {
		severity, _ = classify(key.kind, key.code)
	}
	e := &entry{severity: severity}
	r.entries[key] = e
	return e
}

// claimEvents moves events that were reported of a device's address before it was registered to the device.
func (r *registry) claimEvents(k *knownDevice) {
	for _, subject := range []string{pciAddress(k.PCI), k.UUID} {
		if subject == "" {
			continue
		}
		for key, e := range r.entries {
			if key.vendor != k.Vendor || key.subject != subject {
				continue
			}
			delete(r.entries, key)
			key.subject = k.id
			if mine, ok := r.entries[key]; ok {
				e.rebase()
				mine.base += e.base
				mine.earlierBoot = mine.earlierBoot && e.earlierBoot
				if e.last.After(mine.last) {
					mine.last = e.last
				}
				continue
			}
			r.entries[key] = e
		}
	}
}

// startWatch notes that a vendor's driver reports events from now on.
func (r *registry) startWatch(vendor string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.caughtUp {
		r.rebase(vendor)
	}
	r.watched[vendor] = now
}

// stopWatch notes that it no longer does.
func (r *registry) stopWatch(vendor string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rebase(vendor)
	delete(r.watched, vendor)
}

func (r *registry) rebase(vendor string) {
	for key, e := range r.entries {
		if key.vendor == vendor {
			e.rebase()
		}
	}
}

// countKernelLog counts the events in the kernel log's records before next.
func (r *registry) countKernelLog(events []Event, next uint64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		r.add(e, now)
	}
	r.next = max(r.next, next)
}

// kernelLogCaughtUp notes that the kernel log was read to its end for the first time, or cannot be read. From now on driver
// and kernel log are counted side by side.
func (r *registry) kernelLogCaughtUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caughtUp = true
	for key, e := range r.entries {
		if _, watched := r.watched[key.vendor]; !watched { // else the kernel log may still repeat what the driver has reported
			e.rebase()
		}
	}
}
