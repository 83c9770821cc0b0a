// Package hygon reads Hygon DCUs (HCUs) with hy-smi. Its JSON is read, which in some versions lacks commas between fields, or
// the same fields as text, which it prints where it ignores --json. Numbers are read by the names of their fields and columns.
//
// A DCU's index is the number of hy-smi's cardN. The utilization is "HCU use", in older versions "DCU use": the share of time
// in which the DCU had work. The temperature is the edge sensor's, or that of the hottest spot where there is none. What a
// process holds on several DCUs is told as one sum: then it is on each of them without a number.
package hygon

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// again is the pause before what failed of it is tried again.
	again = time.Minute
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
type Options = smi.Options

// Backend reads Hygon DCUs.
type Backend struct {
	smi.Tool

	due        time.Time // of the next slow reading
	list       []string  // indexes at the last one: other DCUs may have other numbers
	identities deviceFields
	firmware   deviceFields
	driver     string
	caps       map[string]gpu.Value // power limit by index
	slowFault  error
}

var _ gpu.Backend = (*Backend)(nil)

// New returns a Backend. It runs nothing yet.
func New(o Options) *Backend {
	return &Backend{Tool: smi.NewTool(vendor, tool, o)}
}

// Read implements gpu.Backend.
func (b *Backend) Read(ctx context.Context) (gpu.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, smi.Budget)
	defer cancel()
	out, err := b.Run(ctx, measures...)
	if err != nil && refusal(err) == nil {
		out, err = b.Run(ctx, fewer...)
	}
	if errors.Is(err, gpu.ErrAbsent) {
		return gpu.Reading{}, err
	}
	found, fault := parseDevices(out)
	if len(found.list) == 0 {
		return gpu.Reading{}, b.NoDevices(err, fault)
	}
	if !slices.Equal(found.list, b.list) {
		b.list, b.due = found.list, time.Time{}
		b.identities, b.firmware, b.caps = deviceFields{}, deviceFields{}, nil
	}
	if now := time.Now(); !now.Before(b.due) {
		b.due = now.Add(slowly)
		if b.slowFault = b.readSlowly(ctx); b.slowFault != nil {
			b.due = now.Add(again)
		}
	}
	r := gpu.Reading{Devices: make([]gpu.Device, 0, len(found.list))}
	for _, index := range found.list {
		d := device(index, found.fields[index])
		b.identify(&d)
		r.Devices = append(r.Devices, d)
	}
	b.RecordDevices(r.Devices)
	return r, smi.Join(err, fault, b.slowFault, b.readProcesses(ctx, r.Devices))
}

// readSlowly reads what seldom changes. A version that does not have an option costs what it says and nothing else.
func (b *Backend) readSlowly(ctx context.Context) error {
	ask := func(to *deviceFields, args []string) error {
		out, err := b.Run(ctx, args...)
		if err != nil {
			return refusal(err)
		}
		found, err := parseDevices(out)
		if len(found.list) > 0 {
			*to = found
		}
		return err
	}
	errs := []error{ask(&b.identities, identities), ask(&b.firmware, firmware)}
	out, err := b.Run(ctx, driver...)
	if version := driverVersion(out); version != "" {
		b.driver = version
	}
	errs = append(errs, refusal(err))
	out, err = b.Run(ctx)
	if err == nil {
		b.caps, err = parseCaps(out)
	}
	return smi.Join(append(errs, err)...)
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
	d.UUID = smi.Text(f["unique id"])
	if d.UUID == "" {
		d.UUID = smi.Text(f["serial number"])
	}
	bus, _, _ := strings.Cut(f["pci bus"], " ")
	d.PCI = smi.Address(bus)
	d.Firmware = smi.Text(b.firmware.fields[d.Index]["vbios version"])
	d.PowerLimit = b.caps[d.Index]
}

func (b *Backend) readProcesses(ctx context.Context, devices []gpu.Device) error {
	out, err := b.Run(ctx, processes...)
	if err != nil {
		return refusal(err)
	}
	list, known, err := parseProcesses(out)
	if !known {
		return err
	}
	var faults smi.Faults
	for i := range devices {
		devices[i].ProcessesKnown = true
	}
	for _, p := range list {
		place := p.places(devices)
		if len(place) == 0 {
			faults.Add(smi.Unrecognized(tool, "", fmt.Sprintf("DCUs of process %d", p.pid), strings.Join(append(p.indexes, p.buses...), " ")))
		}
		memory := p.memory
		if len(place) > 1 {
			memory = gpu.Value{}
		}
		for _, i := range place {
			devices[i].Processes = append(devices[i].Processes, gpu.Process{PID: p.pid, Memory: memory})
		}
	}
	return faults.Err()
}
