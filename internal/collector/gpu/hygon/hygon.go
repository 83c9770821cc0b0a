// Package hygon reads Hygon DCUs (HCUs) with hy-smi. Its JSON is read, which in some versions lacks commas between fields, or
// the same fields as text, which it prints where it ignores --json. Numbers are read by the names of their fields and columns.
//
// A card's index is the number of hy-smi's cardN. The utilization is "HCU use", in older versions "DCU use": the share of time
// in which the card had work. The temperature is the edge sensor's, or that of the hottest spot where there is none. What a
// process holds on several cards is told as one sum: then it is on each of them without a number.
package hygon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

const (
	vendor = "hygon"
	tool   = "hy-smi"
	// slowly is the pause between two readings of what seldom changes.
	slowly = 10 * time.Minute
)

// The command lines.
var (
	measures   = []string{"--showproductname", "--showpower", "--showtemp", "--showuse", "--showmeminfo", "vram", "-c", "--json"}
	fewer      = []string{"--showproductname", "--showpower", "--showtemp", "--showuse", "--json"} // of versions that refuse an option of those
	identities = []string{"--showuniqueid", "--showbus", "--json"}
	firmware   = []string{"-v", "--json"}
	driver     = []string{"--showdriverversion"}
	processes  = []string{"--showpids"}
)

// Options are what a Backend may be told.
type Options struct {
	Run    smi.Runner   // nil: smi.Run
	Logger *slog.Logger // unused: what is wrong stands in Read's error
}

// Backend reads Hygon DCUs.
type Backend struct {
	run smi.Runner

	due        time.Time // of the next slow reading
	identities cards
	firmware   cards
	driver     string
	caps       map[string]gpu.Value // power limit by index
	slowFault  error
}

var _ gpu.Backend = (*Backend)(nil)

// New returns a Backend. It runs nothing yet.
func New(o Options) *Backend {
	if o.Run == nil {
		o.Run = smi.Run
	}
	return &Backend{run: o.Run}
}

// Vendor implements gpu.Backend.
func (*Backend) Vendor() string { return vendor }

// MinInterval implements gpu.Backend.
func (*Backend) MinInterval() time.Duration { return smi.Interval }

// Close implements gpu.Backend.
func (*Backend) Close() error { return nil }

// Read implements gpu.Backend.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, smi.Budget)
	defer cancel()
	out, err := b.run(ctx, tool, measures...)
	if err != nil && refusal(err) == nil {
		out, err = b.run(ctx, tool, fewer...)
	}
	if errors.Is(err, gpu.ErrAbsent) {
		return gpu.Reading{}, err
	}
	found, fault := parseCards(out)
	if len(found.list) == 0 {
		if err == nil {
			err = fault
		}
		return gpu.Reading{}, err
	}
	if now := time.Now(); !now.Before(b.due) {
		b.due = now.Add(slowly)
		b.slowFault = b.readSlowly(ctx)
	}
	r := gpu.Reading{Devices: make([]gpu.Device, 0, len(found.list))}
	for _, index := range found.list {
		d := device(index, found.fields[index])
		b.identify(&d)
		r.Devices = append(r.Devices, d)
	}
	return r, errors.Join(err, fault, b.slowFault, b.readProcesses(ctx, r.Devices))
}

// readSlowly reads what seldom changes. A version that does not have an option costs what it says and nothing else.
func (b *Backend) readSlowly(ctx context.Context) error {
	ask := func(to *cards, args []string) error {
		out, err := b.run(ctx, tool, args...)
		if err != nil {
			return refusal(err)
		}
		found, err := parseCards(out)
		if len(found.list) > 0 {
			*to = found
		}
		return err
	}
	errs := []error{ask(&b.identities, identities), ask(&b.firmware, firmware)}
	out, err := b.run(ctx, tool, driver...)
	if version := driverVersion(out); version != "" {
		b.driver = version
	}
	errs = append(errs, refusal(err))
	out, err = b.run(ctx, tool)
	if err == nil {
		b.caps, err = parseCaps(out)
	}
	return errors.Join(append(errs, err)...)
}

// refusal drops an error that says that this version lacks an option.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	for _, says := range []string{"unrecognized", "invalid option", "not support"} {
		if strings.Contains(strings.ToLower(err.Error()), says) {
			return nil
		}
	}
	return err
}

func (b *Backend) identify(d *gpu.Device) {
	f := b.identities.fields[d.Index]
	d.Driver = b.driver
	d.UUID = told(f["unique id"])
	if d.UUID == "" {
		d.UUID = told(f["serial number"])
	}
	bus, _, _ := strings.Cut(f["pci bus"], " ")
	if pciAddress.MatchString(bus) {
		d.PCI = strings.ToLower(bus)
	}
	d.Firmware = told(b.firmware.fields[d.Index]["vbios version"])
	d.PowerLimit = b.caps[d.Index]
}

func (b *Backend) readProcesses(ctx context.Context, devices []gpu.Device) error {
	out, err := b.run(ctx, tool, processes...)
	if err != nil {
		return refusal(err)
	}
	list, known, err := parseProcesses(out)
	if !known {
		return err
	}
	for i := range devices {
		devices[i].ProcessesKnown = true
	}
	for _, p := range list {
		place := p.places(devices)
		if len(place) == 0 {
			err = errors.Join(err, smi.Unrecognized(tool, "", fmt.Sprintf("cards of process %d", p.pid), strings.Join(append(p.indexes, p.buses...), " ")))
		}
		memory := p.memory
		if len(place) > 1 {
			memory = gpu.Value{}
		}
		for _, i := range place {
			devices[i].Processes = append(devices[i].Processes, gpu.Process{PID: p.pid, Memory: memory})
		}
	}
	return err
}
