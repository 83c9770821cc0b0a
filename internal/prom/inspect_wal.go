package prom

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/tsdb/wlog"
)

const checkpointPrefix = "checkpoint."

// inspectWAL finds damage that the TSDB's own repair can't fix. That repair truncates the WAL after a corrupt record, and it needs all
// segments since the checkpoint. A corrupt checkpoint must be found before the TSDB reads it: the repair would take the offset in the
// checkpoint for one in the WAL and delete the segments after it.
func inspectWAL(dir string) []fault {
	segments, faults, err := numberedFiles(dir)
	if err != nil || len(faults) > 0 {
		f := fault{path: dir, what: "write-ahead log", err: err, lost: "all samples that are in no block yet"}.repairByMove()
		return unlessNotExist(f, faults)
	}
	checkpoint, first, err := lastCheckpoint(dir)
	if err != nil {
		return []fault{fault{path: checkpoint, what: "checkpoint of the write-ahead log", err: err}.repairByMove()}
	}
	if checkpoint != "" {
		if err := readCheckpoint(checkpoint); err != nil {
			f := fault{
				path: checkpoint, what: "checkpoint of the write-ahead log", err: err,
				lost: "samples in no block yet of the series that it lists",
			}
			f.repair = func(q *quarantine) error { return errors.Join(q.move(f.path, f.lost), q.emptyCheckpoint(f.path)) }
			return []fault{f}
		}
	}
	return missingSegments(dir, segments, first)
}

// missingSegments returns a fault for each missing segment between first and the last one.
func missingSegments(dir string, segments map[int]string, first int) []fault {
	numbers := slices.Sorted(maps.Keys(segments))
	if len(numbers) == 0 {
		return nil
	}
	// A truncated WAL has a checkpoint of at least its first two segments. If only the first segment is missing, there never was a
	// checkpoint.
	if numbers[0] > 1 && first == 0 {
		path := filepath.Join(dir, fmt.Sprintf("%s%08d", checkpointPrefix, numbers[0]-1))
		return []fault{{
			path: dir, what: "write-ahead log",
			err:    fmt.Errorf("it begins with %s: %s or the segments before are missing", filepath.Base(segments[numbers[0]]), path),
			lost:   "samples in no block yet: older ones, and newer ones of the same series",
			repair: func(q *quarantine) error { return q.emptyCheckpoint(path) },
		}}
	}
	var faults []fault
	next := min(first, numbers[0]) // segments before the checkpoint are not read, but a gap among them is a fault
	for _, n := range numbers {
		lost := lostBetween(segments[next-1], segments[n])
		for ; next < n; next++ {
			path := wlog.SegmentName(dir, next)
			faults = append(faults, fault{
				path: path, what: "segment of the write-ahead log", err: errors.New("it is missing"), lost: lost,
				repair: func(q *quarantine) error { return q.emptySegment(path) },
			})
		}
		next = n + 1
	}
	return faults
}

// lostBetween describes the samples that are lost between the last writes of two segments.
func lostBetween(before, after string) string {
	until, err := os.Stat(after)
	if err != nil {
		return ""
	}
	from, err := os.Stat(before)
	if err != nil {
		return "samples in no block yet: those scraped before " + formatTime(until.ModTime()) + ", and newer ones of the same series"
	}
	return "samples scraped between " + formatTime(from.ModTime()) + " and " + formatTime(until.ModTime())
}

// lastCheckpoint returns the checkpoint with which the replay begins and the segment that follows it; "" and 0 if there is none. With
// an error it returns the path of the file that is not a directory.
func lastCheckpoint(dir string) (path string, next int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", 0, nil //nolint:nilerr // an absent WAL has no checkpoint; numberedFiles has reported read errors
	}
	last := -1
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), checkpointPrefix)
		if !ok {
			continue
		}
		if !e.IsDir() {
			return filepath.Join(dir, e.Name()), 0, errNoDirectory
		}
		if n, err := strconv.Atoi(number); err == nil && n > last {
			last, path = n, filepath.Join(dir, e.Name())
		}
	}
	return path, last + 1, nil
}

// readCheckpoint reads every record of a checkpoint and returns the first error.
func readCheckpoint(dir string) error {
	segments, err := wlog.NewSegmentsReader(dir)
	if err != nil {
		return err
	}
	defer func() { _ = segments.Close() }()
	return recovered(func() error {
		r := wlog.NewReader(segments)
		for r.Next() {
			continue // reading a record checks it
		}
		if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
			return cmp.Or(corruption(err), err)
		}
		return nil
	})
}

// corruption returns the error of a corrupt segment without its path, nil for other errors.
func corruption(err error) error {
	if c, ok := errors.AsType[*wlog.CorruptionErr](err); ok {
		return fmt.Errorf("its segment %08d can't be read at %d: %w", c.Segment, c.Offset, c.Err)
	}
	return nil
}
