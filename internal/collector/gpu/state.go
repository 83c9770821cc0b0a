package gpu

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/stackscope/stackscope/internal/base/durable"
)

const (
	maxStateBytes = 4 << 20
	stateVersion  = 1
)

// state is the ledger as it is kept in a file.
type state struct {
	Version int    `json:"version"`
	Boot    string `json:"boot,omitempty"`
	// KernelNext is the first record of the boot's kernel log that was not counted.
	KernelNext uint64            `json:"kernel_next,omitempty"`
	Cards      []stateCard       `json:"cards,omitempty"`
	Lost       map[string]uint64 `json:"lost,omitempty"`
	Events     []stateEvent      `json:"events,omitempty"`
}

type stateCard struct {
	ID          string    `json:"id"`
	Vendor      string    `json:"vendor"`
	Index       string    `json:"index"`
	Chip        string    `json:"chip,omitempty"`
	Name        string    `json:"name"`
	UUID        string    `json:"uuid,omitempty"`
	PCI         string    `json:"pci,omitempty"`
	Driver      string    `json:"driver,omitempty"`
	Firmware    string    `json:"firmware,omitempty"`
	Present     bool      `json:"present"`
	AbsentSince time.Time `json:"absent_since,omitzero"`
	EarlierBoot bool      `json:"earlier_boot,omitempty"` // it was absent in one
}

type stateEvent struct {
	Vendor   string    `json:"vendor"`
	Subject  string    `json:"subject"`
	Kind     string    `json:"kind"`
	Code     string    `json:"code,omitempty"`
	Severity Severity  `json:"severity"`
	Base     uint64    `json:"base,omitempty"`
	Driver   uint64    `json:"driver,omitempty"`
	Kernel   uint64    `json:"kernel,omitempty"`
	Last     time.Time `json:"last"`
	// EarlierBoot says that it was last reported in one.
	EarlierBoot bool `json:"earlier_boot,omitempty"`
}

// stateFile keeps a ledger in a file. It is for one goroutine.
type stateFile struct {
	ledger *ledger
	mirror durable.Mirror // with an empty path: memory only
}

// openState reads what an earlier run has kept. A file that cannot be understood is moved aside, and all begins anew.
func openState(path string, l *ledger, boot string) *stateFile {
	f := &stateFile{ledger: l, mirror: durable.Mirror{Path: path, Perm: 0o600}}
	l.boot = boot
	if path == "" {
		return f
	}
	data, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f
	}
	if err == nil {
		err = l.restore(data)
	}
	if err == nil {
		f.mirror.Holds(data)
		return f
	}
	aside := path + ".bad"
	if moved := os.Rename(path, aside); moved != nil {
		l.logger.Error("gpu state cannot be read nor moved aside; it is overwritten and counts begin anew", "file", path, "error", err, "reason", moved)
		return f
	}
	l.logger.Error("gpu state cannot be read; error counts and expected cards begin anew", "file", path, "moved_to", aside, "error", err)
	return f
}

func readBounded(path string) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err = io.ReadAll(io.LimitReader(f, maxStateBytes+1))
	if err == nil && len(data) > maxStateBytes {
		err = fmt.Errorf("more than %d bytes", maxStateBytes)
	}
	return data, err
}

// restore takes over an earlier run's ledger, all of it or nothing.
func (l *ledger) restore(data []byte) error {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	switch {
	case s.Version != stateVersion:
		return fmt.Errorf("version %d, not %d", s.Version, stateVersion)
	case len(s.Cards) > maxKnown || len(s.Events) > maxEvents || len(s.Lost) > maxKnown:
		return fmt.Errorf("%d cards and %d kinds of errors are too many", len(s.Cards), len(s.Events))
	}
	rebooted := s.Boot != "" && l.boot != "" && s.Boot != l.boot
	var cards []*known
	ids := map[string]bool{}
	for _, c := range s.Cards {
		if c.ID == "" || c.Vendor == "" || ids[c.ID] {
			return fmt.Errorf("card %q of vendor %q has no id of its own", c.ID, c.Vendor)
		}
		ids[c.ID] = true
		id := Identity{c.Vendor, c.Index, c.Chip, c.Name, c.UUID, c.PCI, c.Driver, c.Firmware}
		cards = append(cards, &known{Identity: id, id: c.ID, up: c.Present, since: c.AbsentSince, earlierBoot: c.EarlierBoot || rebooted && !c.Present})
	}
	for _, e := range s.Events {
		if e.Vendor == "" || e.Subject == "" || e.Kind == "" || max(e.Base, e.Driver, e.Kernel) > 1<<53 {
			return fmt.Errorf("error %q %q is not whole", e.Kind, e.Code)
		}
	}
	l.cards = cards
	for _, k := range cards {
		l.kept[k.Vendor] = true
	}
	maps.Copy(l.lost, s.Lost)
	for _, e := range s.Events {
		l.entries[entryKey{e.Vendor, e.Subject, e.Kind, e.Code}] = &entry{e.Severity, e.Base, e.Driver, e.Kernel, e.Last, e.EarlierBoot || rebooted}
	}
	if s.Boot != "" && s.Boot == l.boot {
		l.next = s.KernelNext
	} else {
		for _, e := range l.entries {
			e.settle()
		}
	}
	return nil
}

// save writes the file if something has changed. The worker goes on when that fails.
func (f *stateFile) save() {
	l := f.ledger
	if f.mirror.Path == "" {
		return
	}
	l.mu.Lock()
	if l.changes == l.saved {
		l.mu.Unlock()
		return
	}
	s, changes := l.snapshot(), l.changes
	l.mu.Unlock()
	data, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = f.mirror.Update(data)
	}
	if err != nil {
		l.logger.Warn("gpu state is not kept on disk; a restart would lose error counts and expected cards", "error", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saved = changes
}

// snapshot copies the ledger, in an order that stays the same.
func (l *ledger) snapshot() state {
	s := state{Version: stateVersion, Boot: l.boot, KernelNext: l.next, Lost: maps.Clone(l.lost)}
	for _, k := range l.cards {
		s.Cards = append(s.Cards, stateCard{k.id, k.Vendor, k.Index, k.Chip, k.Name, k.UUID, k.PCI, k.Driver, k.Firmware, k.up, k.since, k.earlierBoot})
	}
	for key, e := range l.entries {
		s.Events = append(s.Events, stateEvent{key.vendor, key.subject, key.kind, key.code, e.severity, e.base, e.driver, e.kernel, e.last, e.earlierBoot})
	}
	slices.SortFunc(s.Events, func(a, b stateEvent) int {
		return cmp.Or(cmp.Compare(a.Vendor, b.Vendor), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Code, b.Code))
	})
	return s
}
