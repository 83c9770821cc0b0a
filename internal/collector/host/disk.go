package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

const (
	// maxDisks bounds the exported disks.
	maxDisks = 128
	// sectorBytes is the sector of /proc/diskstats, whatever the disk's own sectors are.
	sectorBytes = 512
)

// disks reads /proc/diskstats (https://docs.kernel.org/admin-guide/iostats.html).
type disks struct {
	*rooted

	file  watched
	buf   []byte
	known map[string]*blockDevice // what was found out about a device, so that it is found out rarely
	round int
	found []diskReading
}

// blockDevice is what is known of a block device.
type blockDevice struct {
	exported bool
	labels   exposition.Labels
	round    int // when it was there last
}

type diskReading struct {
	disk *blockDevice
	diskCounters
}

// diskCounters are what is taken of a line.
type diskCounters struct{ reads, sectorsRead, writes, sectorsWritten, busyMilliseconds uint64 }

func newDisks(r *rooted) *disks {
	return &disks{rooted: r, file: r.watch("proc", "diskstats"), known: map[string]*blockDevice{}}
}

func (d *disks) read(context.Context) ([]sample, error) {
	text, err := d.file.read(&d.buf)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errNone
	case err != nil:
		return nil, err
	}
	if d.round++; d.round%rareEvery == 0 {
		clear(d.known)
	}
	var errs []error
	d.found = d.found[:0]
	left := 0
	for n, line := range lines(text) {
		name := diskName(line)
		if name == nil {
			errs = append(errs, fmt.Errorf("%s: line %d does not name a device", d.file.path, n))
			continue
		}
		of := d.lookup(name)
		if !of.exported {
			continue
		}
		counters, ok := parseDisk(line)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s: the line of %s does not have the numbers of a disk", d.file.path, name))
		case len(d.found) == maxDisks:
			left++
		default:
			d.found = append(d.found, diskReading{of, counters})
		}
	}
	for name, of := range d.known {
		if of.round != d.round {
			delete(d.known, name)
		}
	}
	if left > 0 {
		errs = append(errs, fmt.Errorf("there are %d disks: the first %d are exported", maxDisks+left, maxDisks))
	}
	if len(d.found) == 0 && len(errs) == 0 {
		return nil, errNone
	}
	return d.samples(), joined(errs)
}

func (d *disks) samples() []sample {
	samples := make([]sample, 0, 5*len(d.found))
	add := func(metric *catalog.Metric, value func(*diskReading) float64) {
		for i := range d.found {
			samples = append(samples, sample{metric, value(&d.found[i]), d.found[i].disk.labels})
		}
	}
	add(&catalog.WorkerNodeDiskReadBytes, func(r *diskReading) float64 { return float64(r.sectorsRead) * sectorBytes })
	add(&catalog.WorkerNodeDiskWrittenBytes, func(r *diskReading) float64 { return float64(r.sectorsWritten) * sectorBytes })
	add(&catalog.WorkerNodeDiskReads, func(r *diskReading) float64 { return float64(r.reads) })
	add(&catalog.WorkerNodeDiskWrites, func(r *diskReading) float64 { return float64(r.writes) })
	add(&catalog.WorkerNodeDiskBusy, func(r *diskReading) float64 { return float64(r.busyMilliseconds) / 1e3 })
	return samples
}

func (d *disks) lookup(name []byte) *blockDevice {
	of, ok := d.known[string(name)]
	if !ok {
		of = &blockDevice{}
		if of.exported = d.whole(string(name)); of.exported {
			of.labels = exposition.RenderLabels("device", string(name))
		}
		d.known[string(name)] = of
	}
	of.round = d.round
	return of
}

// whole reports whether a block device is a disk, or is made of disks (dm, md), and has a medium. Partitions and the paths
// below a multipath device would count the same bytes twice; of memory, loop and removable devices nobody wants to know.
func (d *disks) whole(name string) bool {
	kind := strings.TrimRight(name, "0123456789")
	if kind != name && slices.Contains([]string{"loop", "ram", "zram", "fd", "sr"}, kind) {
		return false
	}
	folder := strings.ReplaceAll(name, "/", "!")
	if !d.exists("sys", "block", folder) {
		return false
	}
	return d.word("sys", "block", folder, "hidden") != "1" && d.word("sys", "block", folder, "size") != "0"
}

// diskName is the third field of a line, nil if it is not a name.
func diskName(line []byte) []byte {
	n := 0
	for field := range bytes.FieldsSeq(line) {
		if n++; n == 3 && device(field) {
			return field
		}
	}
	return nil
}

// parseDisk reads a line of 14 fields or more (Linux 4.18 and 5.5 added some): major and minor number, name, then reads,
// reads merged, sectors read, milliseconds reading, the same of writes, requests in flight, milliseconds busy and weighted.
func parseDisk(line []byte) (c diskCounters, ok bool) {
	const least = 14
	n := 0
	for field := range bytes.FieldsSeq(line) {
		var to *uint64
		switch n++; n {
		case 4:
			to = &c.reads
		case 6:
			to = &c.sectorsRead
		case 8:
			to = &c.writes
		case 10:
			to = &c.sectorsWritten
		case 13:
			to = &c.busyMilliseconds
		default:
			continue
		}
		if *to, ok = number(field); !ok {
			return diskCounters{}, false
		}
	}
	if n < least {
		return diskCounters{}, false
	}
	return c, true
}
