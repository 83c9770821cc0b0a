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

// state is the registry in its file. The JSON keys say "cards", as the file's name cards.json does: they stay.
type state struct {
	Version int    `json:"version"`
	Boot    string `json:"boot,omitempty"`
	// KernelNext is the first record of the boot's kernel log that was not counted.
	KernelNext uint64            `json:"kernel_next,omitempty"`
	Devices    []stateDevice     `json:"cards,omitempty"`
	Lost       map[string]uint64 `json:"lost,omitempty"`
	Events     []stateEvent      `json:"events,omitempty"`
}

type stateDevice struct {
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
	EarlierBoot bool      `json:"earlier_boot,omitempty"` // it was already absent before the last boot
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
	// EarlierBoot says that the last report is from before the last boot.
	EarlierBoot bool `json:"earlier_boot,omitempty"`
}

// stateFile keeps a registry in a file. It is for one goroutine.
type stateFile struct {
	registry *registry
	mirror   durable.Mirror // with an empty path: memory only
}

// openState restores the registry from the file of an earlier run. A file that cannot be read is renamed to *.bad, and the
// registry starts empty.
func openState(path string, r *registry, boot string) *stateFile {
	f := &stateFile{registry: r, mirror: durable.Mirror{Path: path, Perm: 0o600}}
	r.boot = boot
	if path == "" {
		return f
	}
	data, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f
	}
	if err == nil {
		err = r.restore(data)
	}
	if err == nil {
		f.mirror.Holds(data)
		return f
	}
	aside := path + ".bad"
	if moved := os.Rename(path, aside); moved != nil {
		r.logger.Error("GPU state file can be neither read nor renamed: it is overwritten, error counts and expected GPUs start again", "file", path, "error", err, "reason", moved)
		return f
	}
	r.logger.Error("GPU state file cannot be read: error counts and expected GPUs start again", "file", path, "moved_to", aside, "error", err)
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

// restore loads an earlier run's registry, all of it or nothing.
func (r *registry) restore(data []byte) error {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	switch {
	case s.Version != stateVersion:
		return fmt.Errorf("version %d, not %d", s.Version, stateVersion)
	case len(s.Devices) > maxKnown || len(s.Events) > maxEvents || len(s.Lost) > maxKnown:
		return fmt.Errorf("%d GPUs and %d kinds of errors are too many", len(s.Devices), len(s.Events))
	}
	rebooted := s.Boot != "" && r.boot != "" && s.Boot != r.boot
	var devices []*knownDevice
	ids := map[string]bool{}
	for _, c := range s.Devices {
		if c.ID == "" || c.Vendor == "" || ids[c.ID] {
			return fmt.Errorf("GPU %q of vendor %q has no id of its own", c.ID, c.Vendor)
		}
		ids[c.ID] = true
		id := Identity{c.Vendor, c.Index, c.Chip, c.Name, c.UUID, c.PCI, c.Driver, c.Firmware}
		devices = append(devices, &knownDevice{Identity: id, id: c.ID, up: c.Present, since: c.AbsentSince, earlierBoot: c.EarlierBoot || rebooted && !c.Present})
	}
	for _, e := range s.Events {
		if e.Vendor == "" || e.Subject == "" || e.Kind == "" || max(e.Base, e.Driver, e.Kernel) > 1<<53 {
			return fmt.Errorf("error %q %q lacks a field or has an impossible count", e.Kind, e.Code)
		}
	}
	r.devices = devices
	for _, k := range devices {
		r.unconfirmed[k.Vendor] = true
	}
	maps.Copy(r.lost, s.Lost)
	for _, e := range s.Events {
		r.entries[entryKey{e.Vendor, e.Subject, e.Kind, e.Code}] = &entry{e.Severity, e.Base, e.Driver, e.Kernel, e.Last, e.EarlierBoot || rebooted}
	}
	if s.Boot != "" && s.Boot == r.boot {
		r.next = s.KernelNext
	} else {
		for _, e := range r.entries {
			e.rebase()
		}
	}
	return nil
}

// save writes the file if something has changed. The worker goes on when that fails.
func (f *stateFile) save() {
	r := f.registry
	if f.mirror.Path == "" {
		return
	}
	r.mu.Lock()
	if r.changes == r.saved {
		r.mu.Unlock()
		return
	}
	s, changes := r.snapshot(), r.changes
	r.mu.Unlock()
	data, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = f.mirror.Update(data)
	}
	if err != nil {
		r.logger.Warn("GPU state file cannot be written: a restart would lose error counts and expected GPUs", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved = changes
}

// snapshot copies the registry in a stable order.
func (r *registry) snapshot() state {
	s := state{Version: stateVersion, Boot: r.boot, KernelNext: r.next, Lost: maps.Clone(r.lost)}
	for _, k := range r.devices {
		s.Devices = append(s.Devices, stateDevice{k.id, k.Vendor, k.Index, k.Chip, k.Name, k.UUID, k.PCI, k.Driver, k.Firmware, k.up, k.since, k.earlierBoot})
	}
	for key, e := range r.entries {
		s.Events = append(s.Events, stateEvent{key.vendor, key.subject, key.kind, key.code, e.severity, e.base, e.driver, e.kernel, e.last, e.earlierBoot})
	}
	slices.SortFunc(s.Events, func(a, b stateEvent) int {
		return cmp.Or(cmp.Compare(a.Vendor, b.Vendor), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Code, b.Code))
	})
	return s
}
