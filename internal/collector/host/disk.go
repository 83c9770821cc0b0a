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

// diskReader reads /proc/diskstats (https://docs.kernel.org/admin-guide/iostats.html).
type diskReader struct {
	*hostFS

	file  kernelFile
	buf   []byte
	known map[string]*blockDevice // by name: what /sys says of a device is read once
	round int
	found []diskReading
}

// blockDevice is what /sys says about a block device.
type blockDevice struct {
	exported bool
	labels   exposition.Labels
	round    int // the last sample that had it
}

type diskReading struct {
	disk *blockDevice
	diskCounters
}

// diskCounters are the numbers that are read from a line.
type diskCounters struct{ reads, sectorsRead, writes, sectorsWritten, busyMilliseconds uint64 }

func newDiskReader(r *hostFS) *diskReader {
	return &diskReader{hostFS: r, file: r.kernelFile("proc", "diskstats"), known: map[string]*blockDevice{}}
}

func (d *diskReader) read(context.Context) ([]sample, error) {
	text, err := d.file.read(&d.buf)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errAbsent
	case err != nil:
		return nil, err
	}
	if d.round++; d.round%rareEvery == 0 {
		clear(d.known)
	}
	var errs []error
	d.found = d.found[:0]
	left := 0
	for n, line := range numberedLines(text) {
		name := diskName(line)
		if name == nil {
			errs = append(errs, fmt.Errorf("%s: line %d does not name a device", d.file.path, n))
			continue
		}
		dev := d.lookup(name)
		if !dev.exported {
			continue
		}
		counters, ok := parseDisk(line)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s: the line of %s does not have the numbers of a disk", d.file.path, name))
		case len(d.found) == maxDisks:
			left++
		default:
			d.found = append(d.found, diskReading{dev, counters})
		}
	}
	for name, dev := range d.known {
		if dev.round != d.round {
			delete(d.known, name)
		}
	}
	if left > 0 {
		errs = append(errs, fmt.Errorf("there are %d disks: the first %d are exported", maxDisks+left, maxDisks))
	}
	if len(d.found) == 0 && len(errs) == 0 {
		return nil, errAbsent
	}
	return d.samples(), joinErrors(errs)
}

func (d *diskReader) samples() []sample {
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

func (d *diskReader) lookup(name []byte) *blockDevice {
	dev, ok := d.known[string(name)]
	if !ok {
		dev = &blockDevice{}
		if dev.exported = d.isDisk(string(name)); dev.exported {
			dev.labels = exposition.RenderLabels("device", string(name))
		}
		d.known[string(name)] = dev
	}
	dev.round = d.round
	return dev
}

// isDisk reports whether a block device is a disk, or is made of disks (dm, md), and has a medium. Partitions and the paths
// of a multipath device would count the same bytes twice; RAM, loop and removable devices are not exported.
func (d *diskReader) isDisk(name string) bool {
	kind := strings.TrimRight(name, "0123456789")
	if kind != name && slices.Contains([]string{"loop", "ram", "zram", "fd", "sr"}, kind) {
		return false
	}
	folder := strings.ReplaceAll(name, "/", "!")
	if !d.exists("sys", "block", folder) {
		return false
	}
	return d.readWord("sys", "block", folder, "hidden") != "1" && d.readWord("sys", "block", folder, "size") != "0"
}

// diskName is the third field of a line, nil if it is not a name.
func diskName(line []byte) []byte {
	n := 0
	for field := range bytes.FieldsSeq(line) {
		if n++; n == 3 && isDeviceName(field) {
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
