package gpu

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// forgetAfter is how long a GPU may be absent before it is no longer expected.
	forgetAfter = 7 * 24 * time.Hour
	// maxKnown bounds the registered GPUs, maxEvents the errors by GPU, kind and code.
	maxKnown  = 512
	maxEvents = 1024
	// missedReadings is how many readings in a row must miss a GPU before it counts as lost, if each of them had an error
	// that may explain why.
	missedReadings = 3
)

// registry keeps the GPUs of this machine and their errors over readings and, with a state file, over restarts. All backends
// share it; nothing slow runs under its lock.
type registry struct {
	logger *slog.Logger

	mu          sync.Mutex
	boot        string
	next        uint64 // the first record of this boot's kernel log that was not counted
	devices     []*knownDevice
	lost        map[string]uint64 // by vendor
	entries     map[entryKey]*entry
	watched     map[string]time.Time // vendors whose driver reports events, and since when
	unconfirmed map[string]bool      // vendors whose GPUs are from the state file, until one of them is read
	// caughtUp says that the kernel log was read to its end once or cannot be read.
	caughtUp   bool
	loggedFull bool // it was logged that no more kinds of errors are counted
	changes    uint64
	saved      uint64
}

// knownDevice is a GPU that was read at least once.
type knownDevice struct {
	Identity
	id    string // key of its errors and sums; it stays when the GPU moves to another slot
	up    bool
	since time.Time // of its absence
	// earlierBoot says that it was already absent before the last boot.
	earlierBoot bool
	missed      int // readings
}

func newRegistry(logger *slog.Logger) *registry {
	return &registry{logger: logger, lost: map[string]uint64{}, entries: map[entryKey]*entry{}, watched: map[string]time.Time{}, unconfirmed: map[string]bool{}}
}

// update records a reading of a vendor's devices. complete says that GPUs which are not in it are absent; else they may only
// have been unreadable this once. Fields that a device lacks in its identity are filled in from the registry. update returns
// the id of each device, "" for one without an identity.
func (r *registry) update(vendor string, devices []Device, complete bool, now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]string, len(devices))
	matched := make(map[*knownDevice]bool, len(devices))
	for _, level := range []int{sameAll, sameUUID, sameAddress, samePlace} {
		for i := range devices {
			if ids[i] != "" {
				continue
			}
			for _, k := range r.devices {
				if !matched[k] && devices[i].same(&k.Identity) >= level {
					ids[i], matched[k] = k.id, true
					devices[i].fill(k.Identity)
					r.refresh(k, &devices[i], now)
					break
				}
			}
		}
	}
	r.forgetOtherMachine(vendor, devices, matched, complete)
	for i := range devices {
		d := &devices[i]
		if ids[i] != "" || d.Index == "" && d.UUID == "" && d.PCI == "" {
			continue
		}
		if k := r.addDevice(d, matched, now); k != nil {
			ids[i], matched[k] = k.id, true
			r.refresh(k, d, now)
		}
	}
	for _, k := range r.devices {
		if k.Vendor != vendor || matched[k] {
			continue
		}
		k.missed++
		if k.up && (complete || k.missed >= missedReadings) {
			r.markLost(k, now)
		}
	}
	r.expire(matched, now)
	return ids
}

// forgetOtherMachine deletes a vendor's GPUs from the state file if the first reading has none of them: then the state is
// that of another machine, from which this one's disk was copied.
func (r *registry) forgetOtherMachine(vendor string, devices []Device, matched map[*knownDevice]bool, complete bool) {
	if !r.unconfirmed[vendor] || len(devices) == 0 || len(matched) == 0 && !complete {
		return
	}
	delete(r.unconfirmed, vendor)
	if len(matched) > 0 {
		return
	}
	r.logger.Warn("none of the GPUs in the state file is in this machine: it is taken for another machine's file, and its GPUs are forgotten", "vendor", vendor)
	r.devices = slices.DeleteFunc(r.devices, func(k *knownDevice) bool { return k.Vendor == vendor && r.deleteEvents(k) })
	maps.DeleteFunc(r.entries, func(key entryKey, e *entry) bool { return key.vendor == vendor && e.earlierBoot })
	delete(r.lost, vendor)
}

// refresh updates a registered device from a reading.
func (r *registry) refresh(k *knownDevice, d *Device, now time.Time) {
	k.missed = 0
	if k.Identity != d.Identity {
		k.Identity = d.Identity
		r.changes++
		r.claimEvents(k)
	}
	switch {
	case d.Lost && k.up:
		r.markLost(k, now)
	case !d.Lost && !k.up:
		k.up, k.since, k.earlierBoot = true, time.Time{}, false
		r.changes++
	}
}

func (r *registry) markLost(k *knownDevice, now time.Time) {
	k.up, k.since = false, now
	r.lost[k.Vendor]++
	r.changes++
}

// addDevice registers a device. A registered device at the same address that is no longer there was replaced by it and is
// deleted.
func (r *registry) addDevice(d *Device, matched map[*knownDevice]bool, now time.Time) *knownDevice {
	r.devices = slices.DeleteFunc(r.devices, func(k *knownDevice) bool {
		at := pciAddress(d.PCI)
		return !matched[k] && k.Vendor == d.Vendor && at != "" && at == pciAddress(k.PCI) && k.chip() == d.chip() && r.deleteEvents(k)
	})
	if len(r.devices) >= maxKnown {
		return nil
	}
	k := &knownDevice{Identity: d.Identity, up: !d.Lost}
	if d.Lost {
		k.since = now
	}
	for _, s := range []string{d.UUID, d.PCI, "index " + d.Index} {
		if s != "" {
			k.id = d.Vendor + "/" + clip(s) + "/" + clip(d.chip())
			break
		}
	}
	for slices.ContainsFunc(r.devices, func(other *knownDevice) bool { return other.id == k.id }) {
		k.id += "+"
	}
	r.devices = append(r.devices, k)
	r.changes++
	r.claimEvents(k)
	return k
}

// deleteEvents deletes the events of a device. It returns true, for use in slices.DeleteFunc.
func (r *registry) deleteEvents(k *knownDevice) bool {
	for key := range r.entries {
		if key.subject == k.id {
			delete(r.entries, key)
		}
	}
	r.changes++
	return true
}

func (r *registry) expire(matched map[*knownDevice]bool, now time.Time) {
	r.devices = slices.DeleteFunc(r.devices, func(k *knownDevice) bool {
		return !matched[k] && !k.up && !k.since.IsZero() && now.Sub(k.since) > forgetAfter && r.deleteEvents(k)
	})
}

// vendorView is a copy of what the registry has of one vendor.
type vendorView struct {
	known   int
	lost    uint64
	devices []deviceView
	// others are the subjects of events that are no registered GPU: switches, and GPUs that were never read.
	others []deviceView
}

type deviceView struct {
	Identity
	id        string
	up        bool
	stillLost bool
	since     time.Time // of its absence
	events    []eventTotal
}

func (r *registry) view(vendor string) vendorView {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := vendorView{lost: r.lost[vendor]}
	bySubject := map[string][]eventTotal{}
	var others []string
	for key, e := range r.entries {
		if key.vendor == vendor {
			bySubject[key.subject] = append(bySubject[key.subject], e.total(key))
		}
	}
	for _, list := range bySubject {
		slices.SortFunc(list, func(a, b eventTotal) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.code, b.code)) })
	}
	for _, k := range r.devices {
		if k.Vendor == vendor {
			v.known++
			v.devices = append(v.devices, deviceView{k.Identity, k.id, k.up, !k.up && k.earlierBoot, k.since, bySubject[k.id]})
			delete(bySubject, k.id)
		}
	}
	for subject := range bySubject {
		others = append(others, subject)
	}
	slices.Sort(others)
	for _, subject := range others {
		events := bySubject[subject]
		name := "unknown"
		if events[0].kind == kindSXID {
			name = "nvswitch"
		}
		v.others = append(v.others, deviceView{Identity: Identity{Vendor: vendor, Index: subject, Chip: "0", Name: name}, events: events})
	}
	return v
}

// hasDevices says whether a vendor has registered GPUs.
func (r *registry) hasDevices(vendor string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.devices, func(k *knownDevice) bool { return k.Vendor == vendor })
}

// changeCount grows with each change.
func (r *registry) changeCount() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes
}
