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
	// forgetAfter is how long a card may be absent before it is no longer expected.
	forgetAfter = 7 * 24 * time.Hour
	// maxKnown bounds the cards that are remembered, maxEvents the errors by card, kind and code.
	maxKnown  = 512
	maxEvents = 1024
	// missedReadings is how many readings in a row a card has to be missing from if each had an error that may explain it.
	missedReadings = 3
)

// ledger remembers over readings, and over restarts where it has a file, which cards there are and which errors they had. It
// is shared by all backends; nothing slow is done under its lock.
type ledger struct {
	logger *slog.Logger

	mu      sync.Mutex
	boot    string
	next    uint64 // the first record of this boot's kernel log that was not taken in
	cards   []*known
	lost    map[string]uint64 // by vendor
	entries map[entryKey]*entry
	watched map[string]time.Time // vendors whose driver reports events, and since when
	kept    map[string]bool      // vendors whose cards an earlier run has kept and none of which was read yet
	// caughtUp says that the kernel log was read to its end once, or cannot be read.
	caughtUp bool
	full     bool // it was said that no more kinds of errors are counted
	changes  uint64
	saved    uint64
}

// known is a card that was once seen.
type known struct {
	Identity
	id    string // how its errors and sums are filed; it stays when the card moves
	up    bool
	since time.Time // of its absence
	// earlierBoot says that it was absent in one, too.
	earlierBoot bool
	missed      int // readings
}

func newLedger(logger *slog.Logger) *ledger {
	return &ledger{logger: logger, lost: map[string]uint64{}, entries: map[entryKey]*entry{}, watched: map[string]time.Time{}, kept: map[string]bool{}}
}

// observe takes in which cards of a vendor were read. sure says that cards that are not among them are not there; else they
// may only have been unreadable this once. What a device lacks of its identity is filled in from what was known. It returns
// under which id each device is filed, "" for one without an identity.
func (l *ledger) observe(vendor string, devices []Device, sure bool, now time.Time) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, len(devices))
	matched := make(map[*known]bool, len(devices))
	for _, level := range []int{sameAll, sameUUID, sameAddress, samePlace} {
		for i := range devices {
			if ids[i] != "" {
				continue
			}
			for _, k := range l.cards {
				if !matched[k] && devices[i].same(&k.Identity) >= level {
					ids[i], matched[k] = k.id, true
					devices[i].fill(k.Identity)
					l.see(k, &devices[i], now)
					break
				}
			}
		}
	}
	l.recognize(vendor, devices, matched, sure)
	for i := range devices {
		d := &devices[i]
		if ids[i] != "" || d.Index == "" && d.UUID == "" && d.PCI == "" {
			continue
		}
		if k := l.meet(d, matched, now); k != nil {
			ids[i], matched[k] = k.id, true
			l.see(k, d, now)
		}
	}
	for _, k := range l.cards {
		if k.Vendor != vendor || matched[k] {
			continue
		}
		k.missed++
		if k.up && (sure || k.missed >= missedReadings) {
			l.lose(k, now)
		}
	}
	l.forget(matched, now)
	return ids
}

// recognize forgets a vendor's kept cards if the first reading has others alone: they are another machine's, from which this
// one's disk was copied.
func (l *ledger) recognize(vendor string, devices []Device, matched map[*known]bool, sure bool) {
	if !l.kept[vendor] || len(devices) == 0 || len(matched) == 0 && !sure {
		return
	}
	delete(l.kept, vendor)
	if len(matched) > 0 {
		return
	}
	l.logger.Warn("none of the cards that were kept is here: they are taken for another machine's and forgotten", "vendor", vendor)
	l.cards = slices.DeleteFunc(l.cards, func(k *known) bool { return k.Vendor == vendor && l.drop(k) })
	maps.DeleteFunc(l.entries, func(key entryKey, e *entry) bool { return key.vendor == vendor && e.earlierBoot })
	delete(l.lost, vendor)
}

// see notes a known card's state.
func (l *ledger) see(k *known, d *Device, now time.Time) {
	k.missed = 0
	if k.Identity != d.Identity {
		k.Identity = d.Identity
		l.changes++
		l.adopt(k)
	}
	switch {
	case d.Lost && k.up:
		l.lose(k, now)
	case !d.Lost && !k.up:
		k.up, k.since, k.earlierBoot = true, time.Time{}, false
		l.changes++
	}
}

func (l *ledger) lose(k *known, now time.Time) {
	k.up, k.since = false, now
	l.lost[k.Vendor]++
	l.changes++
}

// meet makes a card known. One that stood at its address and is no longer there was replaced by it.
func (l *ledger) meet(d *Device, matched map[*known]bool, now time.Time) *known {
	l.cards = slices.DeleteFunc(l.cards, func(k *known) bool {
		at := pciAddress(d.PCI)
		return !matched[k] && k.Vendor == d.Vendor && at != "" && at == pciAddress(k.PCI) && k.chip() == d.chip() && l.drop(k)
	})
	if len(l.cards) >= maxKnown {
		return nil
	}
	k := &known{Identity: d.Identity, up: !d.Lost}
	if d.Lost {
		k.since = now
	}
	for _, s := range []string{d.UUID, d.PCI, "index " + d.Index} {
		if s != "" {
			k.id = d.Vendor + "/" + clip(s) + "/" + clip(d.chip())
			break
		}
	}
	for slices.ContainsFunc(l.cards, func(other *known) bool { return other.id == k.id }) {
		k.id += "+"
	}
	l.cards = append(l.cards, k)
	l.changes++
	l.adopt(k)
	return k
}

// drop forgets what is filed under a card.
func (l *ledger) drop(k *known) bool {
	for key := range l.entries {
		if key.subject == k.id {
			delete(l.entries, key)
		}
	}
	l.changes++
	return true
}

func (l *ledger) forget(matched map[*known]bool, now time.Time) {
	l.cards = slices.DeleteFunc(l.cards, func(k *known) bool {
		return !matched[k] && !k.up && !k.since.IsZero() && now.Sub(k.since) > forgetAfter && l.drop(k)
	})
}

// view is what the ledger knows about a vendor.
type view struct {
	known int
	lost  uint64
	cards []cardView
	// strangers are what errors were reported of besides cards: switches, and cards that were never read.
	strangers []cardView
}

type cardView struct {
	Identity
	id        string
	up        bool
	stillLost bool
	events    []eventTotal
}

func (l *ledger) view(vendor string) view {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := view{lost: l.lost[vendor]}
	bySubject := map[string][]eventTotal{}
	var strangers []string
	for key, e := range l.entries {
		if key.vendor == vendor {
			bySubject[key.subject] = append(bySubject[key.subject], e.total(key))
		}
	}
	for _, list := range bySubject {
		slices.SortFunc(list, func(a, b eventTotal) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.code, b.code)) })
	}
	for _, k := range l.cards {
		if k.Vendor == vendor {
			v.known++
			v.cards = append(v.cards, cardView{k.Identity, k.id, k.up, !k.up && k.earlierBoot, bySubject[k.id]})
			delete(bySubject, k.id)
		}
	}
	for subject := range bySubject {
		strangers = append(strangers, subject)
	}
	slices.Sort(strangers)
	for _, subject := range strangers {
		events := bySubject[subject]
		name := "unknown"
		if events[0].kind == kindSXID {
			name = "nvswitch"
		}
		v.strangers = append(v.strangers, cardView{Identity: Identity{Vendor: vendor, Index: subject, Chip: "0", Name: name}, events: events})
	}
	return v
}

// knows says whether a vendor has cards.
func (l *ledger) knows(vendor string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.cards, func(k *known) bool { return k.Vendor == vendor })
}

// changed counts the changes.
func (l *ledger) changed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes
}
